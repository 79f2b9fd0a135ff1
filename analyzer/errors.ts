/** Every error code that a user can meet, with what it means in one line; docs/failure-modes.md says what to look at. */
export const ERROR_CODES = {
  USAGE: "a command or option that does not exist, or a wrong value for one",
  CONFIG_FILE: "the configuration file cannot be read or is not YAML",
  CONFIG_INVALID: "the configuration has an unknown key, a wrong type or a value out of range",
  WIRE_MALFORMED: "a message or line is not what the wire format says",
  WIRE_VERSION: "a batch has a later major version than this analyzer reads",
  WIRE_SUBJECT: "a message came on a subject that does not fit its content",
  EXPERIMENT_UNKNOWN: "an experiment that is not in the configuration",
  NATS_UNAVAILABLE: "NATS cannot be reached or refused us",
  NATS_VERSION: "the NATS server is too old",
  STREAM_MISMATCH: "the JetStream stream exists with other subjects",
  STREAM_REPLACED: "the JetStream stream was deleted and made anew, or its numbers began anew",
  STREAM_TRIMMED: "the stream removed messages that were still needed",
  LANES_CHANGED: "the checkpoint was made with another number of lanes",
  CHECKPOINT_INVALID: "the checkpoint in NATS is not one that this analyzer can read",
  LEG_UNKNOWN: "a record of a leg that its experiment does not have",
  LEASE_LOST: "another analyzer has taken over this lane",
  CLICKHOUSE_UNAVAILABLE: "ClickHouse cannot be reached",
  CLICKHOUSE_REFUSED: "ClickHouse refused user, password or query",
  CLICKHOUSE_VERSION: "ClickHouse is older than 25.3",
  MIGRATION_CHANGED: "a migration that was already applied has changed",
  FILE_UNWRITABLE: "a file cannot be written, or is somebody else's",
  EMBEDDED_UNSUPPORTED: "the embedded server cannot run on this platform",
  EMBEDDED_FAILED: "an embedded server did not start",
  PORT_TAKEN: "a port is in use",
  PARAMETER_INVALID: "a request parameter is wrong",
  NOT_FOUND: "there is no such thing",
  INTERNAL: "a defect in Shadowgraph",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** The message is lower case and names what came and what was expected. */
export class AnalyzerError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "AnalyzerError";
  }
}
