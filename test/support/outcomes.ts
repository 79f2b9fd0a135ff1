import type {
  BatchGap,
  Divergence,
  JudgedPair,
  Outcomes,
} from "../../analyzer/divergence/outcomes.ts";
import type { Orphan, Pair } from "../../analyzer/join/pair.ts";
import type { DeadLetter } from "../../analyzer/observation/dead-letter.ts";
import type { Ledger, LegLedger } from "../../analyzer/observation/ledger.ts";
import type { Observation } from "../../analyzer/observation/observation.ts";

// Outcomes built in code: each builder makes something plain and whole, and a test says only what matters to it.

/** 2026-01-02T03:04:05.678901Z */
export const START_US = 1_767_323_045_678_901;
export const EXPERIMENT = "fraud";
export const RUN = "0f3a5c7e9b1d";
export const WORKER = "00000000000000aa";

/** A UUIDv7-shaped id by number. */
export function correlationId(number: number): string {
  return `019b7c00-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

export function observation(over: Partial<Observation> = {}): Observation {
  return {
    experiment: EXPERIMENT,
    run: RUN,
    worker: WORKER,
    correlationId: correlationId(1),
    leg: "primary",
    attempt: 1,
    final: true,
    startedAtUs: START_US,
    method: "POST",
    route: "/score/{…}",
    params: [],
    status: 200,
    grpcStatus: null,
    requestBytes: 120,
    responseBytes: 80,
    requestDigest: "00112233445566778899aabbccddeeff",
    responseDigest: "ffeeddccbbaa99887766554433221100",
    requestContentType: "application/json",
    requestContentEncoding: null,
    responseContentType: "application/json",
    responseContentEncoding: null,
    firstByteUs: 900,
    requestEndUs: 100,
    totalUs: 1_000,
    chunkCount: 1,
    chunkGapMaxUs: 0,
    ending: "complete",
    failure: "",
    cut: [],
    segments: {},
    ...over,
  };
}

export interface PairOptions {
  readonly number: number;
  readonly primary?: Partial<Observation>;
  readonly shadow?: Partial<Observation>;
  /** Without it there is no control. */
  readonly control?: Partial<Observation>;
  readonly both?: Partial<Observation>;
  readonly shadowName?: string;
  readonly pair?: Partial<Pair>;
  readonly divergences?: readonly Divergence[];
  readonly noise?: readonly Divergence[];
}

export function judgedPair(options: PairOptions): JudgedPair {
  const shared = {
    correlationId: correlationId(options.number),
    startedAtUs: START_US + options.number,
    ...options.both,
  };
  const primary = observation({ ...shared, ...options.primary });
  const control =
    options.control === undefined
      ? null
      : observation({ ...shared, leg: "control", ...options.control });
  return {
    pair: {
      experiment: primary.experiment,
      run: primary.run,
      correlationId: primary.correlationId,
      primary,
      shadow: observation({ ...shared, leg: options.shadowName ?? "shadow", ...options.shadow }),
      control,
      primaryAttempts: 1,
      joinedAtUs: START_US + 2_000 + options.number,
      ...options.pair,
    },
    divergences: options.divergences ?? [],
    noise: control === null ? null : (options.noise ?? []),
  };
}

export function statusDivergence(primary: number, shadow: number): Divergence {
  return {
    rule: "status",
    grade: "high",
    primary: String(primary),
    shadow: String(shadow),
    sentence: `the primary answered ${primary}, the shadow ${shadow}`,
  };
}

export function bodyDivergence(): Divergence {
  return {
    rule: "body-digest",
    grade: "medium",
    primary: "80 bytes",
    shadow: "80 bytes",
    sentence: "the bodies differ",
  };
}

export function orphan(over: Partial<Orphan> & { readonly number: number }): Orphan {
  const { number, ...rest } = over;
  return {
    experiment: EXPERIMENT,
    run: RUN,
    correlationId: correlationId(number),
    observation: observation({ correlationId: correlationId(number) }),
    missingLeg: "shadow",
    reason: "shadow-missing",
    batchLost: false,
    closedAtUs: START_US + 30_000_000 + number,
    ...rest,
  };
}

export function legLedger(over: Partial<LegLedger> = {}): LegLedger {
  return {
    leg: "primary",
    requests: 0,
    attempts: 0,
    endings: { complete: 0, reset: 0, "client-left": 0, "no-answer": 0, streaming: 0 },
    published: 0,
    dropped: { "outbox-full": 0, "too-large": 0, "table-full": 0 },
    ...over,
  };
}

export function ledger(over: Partial<Ledger> = {}): Ledger {
  return {
    experiment: EXPERIMENT,
    run: RUN,
    worker: WORKER,
    number: 1,
    clockUs: START_US + 5_000_000,
    final: false,
    requests: {
      seen: 0,
      sampled: 0,
      unreached: 0,
      unsampled: {
        fraction: 0,
        "request-size": 0,
        "unknown-length": 0,
        upgrade: 0,
        connect: 0,
        "outbox-full": 0,
        "table-full": 0,
      },
    },
    legs: [],
    batches: { sent: 0, retried: 0, failed: 0 },
    ...over,
  };
}

export function batchGap(over: Partial<BatchGap> = {}): BatchGap {
  return {
    experiment: EXPERIMENT,
    worker: WORKER,
    partition: 3,
    firstMissing: 7,
    lastMissing: 8,
    seenAtUs: START_US,
    ...over,
  };
}

export function deadLetter(over: Partial<DeadLetter> = {}): DeadLetter {
  return {
    sequence: 1,
    subject: `shadow.v1.${EXPERIMENT}.3`,
    receivedAtUs: START_US,
    code: "WIRE_MALFORMED",
    message: "line 3 is not JSON",
    line: 3,
    excerpt: "{{{",
    ...over,
  };
}

export function outcomes(token: string, over: Partial<Outcomes> = {}): Outcomes {
  return {
    token,
    pairs: [],
    orphans: [],
    ledgers: [],
    gaps: [],
    deadLetters: [],
    duplicates: [],
    ...over,
  };
}
