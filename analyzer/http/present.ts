import type { LegFacts, PairFacts } from "../storage/queries.ts";
import { toInstant } from "./instants.ts";
import type { Leg, PairItem } from "./schemas.ts";

/** A stored pair as the API shows it. */
export function presentPair(pair: PairFacts): PairItem {
  return {
    correlationId: pair.correlationId,
    run: pair.run,
    startedAt: toInstant(pair.startedUs),
    joinedAt: toInstant(pair.joinedUs),
    method: pair.method,
    route: pair.route,
    requestBytes: pair.requestBytes,
    divergent: pair.divergent,
    bytesEqual: pair.bytesEqual,
    latencyRatio: pair.latencyRatio,
    controlLatencyRatio: pair.controlLatencyRatio,
    primary: presentLeg("primary", pair.primary),
    shadow: presentLeg(pair.shadowName, pair.shadow),
    control: pair.control === null ? null : presentLeg("control", pair.control),
    divergences: [...pair.divergences],
    segments: { ...pair.segments },
  };
}

function presentLeg(leg: string, facts: LegFacts): Leg {
  return {
    leg,
    status: facts.status,
    grpcStatus: facts.grpcStatus,
    bytes: facts.bytes,
    firstByteUs: facts.firstByteUs,
    totalUs: facts.totalUs,
    ending: facts.ending,
    attempts: Math.max(1, facts.attempts),
    contentType: facts.contentType,
    contentEncoding: facts.contentEncoding,
    failure: facts.failure,
  };
}
