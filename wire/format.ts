// The wire format's constants, read by two compilers (tsc and asc): plain constants and plain enums only,
// no imports, values only ever added at the end. The format itself is the table in wire/README.md.

/** A later minor is read (unknown fields and line types are skipped and counted); a later major is refused. */
export const WIRE_MAJOR = 1;
export const WIRE_MINOR = 0;

export const SUBJECT_PREFIX = "shadow.v1";
export const SUBJECT_LEDGER = "ledger";
/** Partitions of an experiment unless configured; range 1 to PARTITIONS_MAX. */
export const PARTITIONS_DEFAULT = 16;
export const PARTITIONS_MAX = 256;

/** One NATS message, header line included. NATS' own default limit is 1 MiB. */
export const BATCH_BYTES_MAX = 524288;
/** One record line with its newline; a longer one is dropped and counted as "too-large". */
export const RECORD_BYTES_MAX = 4096;

export const EXPERIMENT_CHARS_MAX = 63;
export const RUN_CHARS_MAX = 63;
export const LEG_CHARS_MAX = 31;
export const LEGS_MAX = 8;
export const METHOD_CHARS_MAX = 16;
export const ROUTE_CHARS_MAX = 256;
export const PARAMS_MAX = 16;
export const PARAM_CHARS_MAX = 32;
export const CONTENT_TYPE_CHARS_MAX = 64;
export const FAILURE_CHARS_MAX = 96;
export const SEGMENTS_MAX = 8;
export const SEGMENT_CHARS_MAX = 64;

export const HEADER_SAMPLED = "x-shadow-sampled";
export const HEADER_PAIR = "x-shadow-pair";
export const HEADER_CORRELATION_ID = "x-shadow-correlation-id";
export const HEADER_SIDE = "x-shadow-side";
export const HEADER_PREFIX = "x-shadow-";
export const HEADER_IDEMPOTENCY_KEY = "idempotency-key";

export const LEG_PRIMARY = "primary";
export const LEG_CONTROL = "control";

/** What stands in for a path segment or parameter name that may be data. */
export const PLACEHOLDER = "{…}";

/** What a keyed digest is of; XORed into the second half of the pair key, so equal bytes in two places look unrelated. */
export enum DigestPurpose {
  None = 0,
  RequestBody = 1,
  ResponseBody = 2,
}

/** How a leg ended; on the wire its name in ENDING_NAMES order (wire/README.md). */
export enum Ending {
  Complete = 0,
  Reset = 1,
  ClientLeft = 2,
  NoAnswer = 3,
  Streaming = 4,
}

export const ENDING_COMPLETE = "complete";
export const ENDING_RESET = "reset";
export const ENDING_CLIENT_LEFT = "client-left";
export const ENDING_NO_ANSWER = "no-answer";
export const ENDING_STREAMING = "streaming";

/** Why a request that matched an experiment was not sampled. */
export enum Unsampled {
  Fraction = 0,
  RequestSize = 1,
  UnknownLength = 2,
  Upgrade = 3,
  Connect = 4,
  OutboxFull = 5,
  TableFull = 6,
}

export const UNSAMPLED_FRACTION = "fraction";
export const UNSAMPLED_REQUEST_SIZE = "request-size";
export const UNSAMPLED_UNKNOWN_LENGTH = "unknown-length";
export const UNSAMPLED_UPGRADE = "upgrade";
export const UNSAMPLED_CONNECT = "connect";
export const UNSAMPLED_OUTBOX_FULL = "outbox-full";
export const UNSAMPLED_TABLE_FULL = "table-full";

/** Why a leg's record never reached NATS. */
export enum Dropped {
  OutboxFull = 0,
  TooLarge = 1,
  TableFull = 2,
}

export const DROPPED_OUTBOX_FULL = "outbox-full";
export const DROPPED_TOO_LARGE = "too-large";
export const DROPPED_TABLE_FULL = "table-full";
