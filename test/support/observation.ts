import type { Observation } from "../../analyzer/observation/observation.ts";

/** A correlation id for the n-th request of a test. */
export function correlationId(n: number): string {
  return `01a2076b-4400-7a11-9c3d-${n.toString(16).padStart(12, "0")}`;
}

/** An answered POST as the filter sees it, with what a test changes about it. */
export function observation(changes: Partial<Observation> = {}): Observation {
  return {
    experiment: "fraud",
    run: "0f3a5c7e9b1d",
    worker: "8899aabbccddeeff",
    correlationId: correlationId(1),
    leg: "primary",
    attempt: 1,
    final: true,
    startedAtUs: 1_795_420_800_000_000,
    method: "POST",
    route: "/score",
    params: [],
    status: 200,
    grpcStatus: null,
    requestBytes: 17,
    responseBytes: 120,
    requestDigest: "9c5978a1dd3f6632ab80f369be76f627",
    responseDigest: "f0dc38a3e5b918e54360271ac8c021ba",
    requestContentType: "application/json",
    requestContentEncoding: null,
    responseContentType: "application/json",
    responseContentEncoding: null,
    firstByteUs: 8_000,
    requestEndUs: 100,
    totalUs: 10_000,
    chunkCount: 1,
    chunkGapMaxUs: 0,
    ending: "complete",
    failure: "",
    cut: [],
    segments: {},
    ...changes,
  };
}

/** A leg whose server never answered. */
export function unanswered(changes: Partial<Observation> = {}): Observation {
  return observation({
    status: 0,
    responseBytes: 0,
    responseContentType: null,
    firstByteUs: null,
    chunkCount: 0,
    ending: "no-answer",
    failure: "connection_timeout",
    ...changes,
  });
}
