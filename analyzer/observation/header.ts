import { PARTITIONS_MAX, WIRE_MAJOR, WIRE_MINOR } from "../../wire/format.ts";
import type { ErrorCode } from "../errors.ts";
import {
  A_COUNT,
  A_WORKER,
  AN_EXPERIMENT,
  type Fields,
  isCount,
  isExperiment,
  isWorker,
  wrong,
} from "./checks.ts";

/** First line of a batch (wire/README.md, "Batch"). */
export interface BatchHeader {
  /** `major.minor` of the format that the filter wrote. */
  readonly version: string;
  readonly experiment: string;
  readonly partition: number;
  /** 16 hexadecimal digits; a restarted worker is a new one. */
  readonly worker: string;
  /** Counts this worker's batches of this experiment and partition, from 1. */
  readonly number: number;
  /** Record lines that follow. */
  readonly records: number;
  /** The worker's wall clock when the batch was sealed. */
  readonly clockUs: number;
}

/** Why something is refused, for a dead letter. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

const NAMES: ReadonlySet<string> = new Set([
  "type",
  "version",
  "experiment",
  "partition",
  "worker",
  "number",
  "records",
  "clockUs",
]);
export const HEADER_NAMES = NAMES;

const VERSION = /^(\d{1,4})\.(\d{1,4})$/;

/** Null when this reader understands the version: the same major, any minor. */
export function refuseVersion(version: unknown): Refusal | null {
  const parts = typeof version === "string" ? VERSION.exec(version) : null;
  if (parts === null) {
    return { code: "WIRE_MALFORMED", message: wrong("version", version, "major.minor") };
  }
  if (Number(parts[1]) === WIRE_MAJOR) return null;
  const ours = `${WIRE_MAJOR}.${WIRE_MINOR}`;
  return {
    code: "WIRE_VERSION",
    message: `wire version is ${parts[0]}, this analyzer reads ${ours} and later ${WIRE_MAJOR}.x`,
  };
}

/** The header of a batch whose `type` has been checked. */
export function readHeader(fields: Fields): BatchHeader | Refusal {
  const refusal = refuseVersion(fields["version"]);
  if (refusal !== null) return refusal;
  const { version, experiment, partition, worker, number, records, clockUs } = fields;
  const problem = !isExperiment(experiment)
    ? wrong("experiment", experiment, AN_EXPERIMENT)
    : !isCount(partition, PARTITIONS_MAX - 1)
      ? wrong("partition", partition, `an integer from 0 to ${PARTITIONS_MAX - 1}`)
      : !isWorker(worker)
        ? wrong("worker", worker, A_WORKER)
        : !isCount(number) || number === 0
          ? wrong("number", number, `an integer from 1 to ${Number.MAX_SAFE_INTEGER}`)
          : !isCount(records)
            ? wrong("records", records, A_COUNT)
            : !isCount(clockUs)
              ? wrong("clockUs", clockUs, A_COUNT)
              : null;
  if (problem !== null) return { code: "WIRE_MALFORMED", message: `header: ${problem}` };
  return { version, experiment, partition, worker, number, records, clockUs } as BatchHeader;
}
