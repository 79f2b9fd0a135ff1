import { answered, type ComparedLegs, isComplete, nameOf } from "../legs.ts";
import type { Divergence } from "../outcomes.ts";

/** https://grpc.io/docs/guides/status-codes, by number. */
const NAMES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/**
 * gRPC's own status, which lies behind an HTTP 200.
 *
 * High when the shadow fails where the primary was OK. Medium otherwise: another error, or a
 * success where the primary failed. Where one side has none: not compared when its answer was cut
 * (the trailers that hold it never came: `ending` says so) or when the HTTP statuses differ (then
 * that is the reason, and said already); else medium.
 */
export function compareGrpcStatus(legs: ComparedLegs): Divergence | null {
  const { primary, shadow } = legs;
  if (!answered(primary) || !answered(shadow)) return null;
  if (primary.grpcStatus === shadow.grpcStatus) return null;
  if (primary.grpcStatus === null || shadow.grpcStatus === null) {
    const without = primary.grpcStatus === null ? primary : shadow;
    if (!isComplete(without) || primary.status !== shadow.status) return null;
  }
  const fails = primary.grpcStatus === 0 && shadow.grpcStatus !== null;
  return {
    rule: "grpc-status",
    grade: fails ? "high" : "medium",
    primary: grpcText(primary.grpcStatus),
    shadow: grpcText(shadow.grpcStatus),
    sentence: `the ${nameOf(shadow)} answered ${inSentence(shadow.grpcStatus)} where the primary answered ${inSentence(primary.grpcStatus)}`,
  };
}

function grpcText(status: number | null): string {
  if (status === null) return "none";
  const name = NAMES[status];
  return name === undefined ? String(status) : `${status} ${name}`;
}

function inSentence(status: number | null): string {
  return status === null ? "without a gRPC status" : `gRPC ${grpcText(status)}`;
}
