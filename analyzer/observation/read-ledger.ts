import {
  DROPPED_OUTBOX_FULL,
  DROPPED_TABLE_FULL,
  DROPPED_TOO_LARGE,
  LEGS_MAX,
  UNSAMPLED_CONNECT,
  UNSAMPLED_FRACTION,
  UNSAMPLED_OUTBOX_FULL,
  UNSAMPLED_REQUEST_SIZE,
  UNSAMPLED_TABLE_FULL,
  UNSAMPLED_UNKNOWN_LENGTH,
  UNSAMPLED_UPGRADE,
} from "../../wire/format.ts";
import {
  A_COUNT,
  A_LEG,
  A_RUN,
  A_WORKER,
  AN_EXPERIMENT,
  countUnknown,
  type Fields,
  isCount,
  isExperiment,
  isLeg,
  isObject,
  isRun,
  isWorker,
  wrong,
} from "./checks.ts";
import type { Ledger, LegLedger } from "./ledger.ts";
import type { EndingName } from "./observation.ts";
import { ENDINGS } from "./record.ts";

const UNSAMPLED = [
  UNSAMPLED_FRACTION,
  UNSAMPLED_REQUEST_SIZE,
  UNSAMPLED_UNKNOWN_LENGTH,
  UNSAMPLED_UPGRADE,
  UNSAMPLED_CONNECT,
  UNSAMPLED_OUTBOX_FULL,
  UNSAMPLED_TABLE_FULL,
];
const DROPPED = [DROPPED_OUTBOX_FULL, DROPPED_TOO_LARGE, DROPPED_TABLE_FULL];

const LEDGER_NAMES: ReadonlySet<string> = new Set([
  "type",
  "version",
  "experiment",
  "run",
  "worker",
  "number",
  "clockUs",
  "final",
  "requests",
  "legs",
  "batches",
]);
const REQUEST_NAMES: ReadonlySet<string> = new Set(["seen", "sampled", "unreached", "unsampled"]);
const LEG_NAMES: ReadonlySet<string> = new Set([
  "leg",
  "requests",
  "attempts",
  "endings",
  "published",
  "dropped",
]);
const BATCH_NAMES: ReadonlySet<string> = new Set(["sent", "retried", "failed"]);

/** Reasons of a later minor are kept, they are counts like the others; so many and no more. */
const REASONS_MAX = 32;
const REASON = /^[a-z][a-z0-9-]{0,31}$/;

/** The ledger in a message whose `type` and version have been checked, or what is wrong with it. */
export function readLedger(fields: Fields): { ledger: Ledger; unknown: number } | string {
  const { experiment, run, worker, number, clockUs, final, requests, legs, batches } = fields;
  if (!isExperiment(experiment)) return wrong("experiment", experiment, AN_EXPERIMENT);
  if (!isRun(run)) return wrong("run", run, A_RUN);
  if (!isWorker(worker)) return wrong("worker", worker, A_WORKER);
  if (!isCount(number) || number === 0) return wrong("number", number, "an integer from 1");
  if (!isCount(clockUs)) return wrong("clockUs", clockUs, A_COUNT);
  if (typeof final !== "boolean") return wrong("final", final, "true or false");

  if (!isObject(requests)) return wrong("requests", requests, "an object");
  const requestProblem = wrongCount(requests, ["seen", "sampled", "unreached"], "requests.");
  if (requestProblem !== null) return requestProblem;
  const unsampled = readCounts(requests["unsampled"], UNSAMPLED, "requests.unsampled");
  if (typeof unsampled === "string") return unsampled;

  if (!Array.isArray(legs) || legs.length > LEGS_MAX) {
    return wrong("legs", legs, `a list of at most ${LEGS_MAX} legs`);
  }
  let unknown = countUnknown(fields, LEDGER_NAMES) + countUnknown(requests, REQUEST_NAMES);
  const legLedgers: LegLedger[] = [];
  for (const [index, leg] of legs.entries()) {
    const read = readLeg(leg, `legs[${index}]`);
    if (typeof read === "string") return read;
    if (legLedgers.some((other) => other.leg === read.leg)) {
      return wrong(`legs[${index}].leg`, read.leg, "each leg once");
    }
    legLedgers.push(read);
    unknown += countUnknown(leg as Fields, LEG_NAMES);
  }

  if (!isObject(batches)) return wrong("batches", batches, "an object");
  const batchProblem = wrongCount(batches, ["sent", "retried", "failed"], "batches.");
  if (batchProblem !== null) return batchProblem;
  unknown += countUnknown(batches, BATCH_NAMES);

  const ledger: Ledger = {
    experiment,
    run,
    worker,
    number,
    clockUs,
    final,
    requests: {
      seen: requests["seen"] as number,
      sampled: requests["sampled"] as number,
      unreached: requests["unreached"] as number,
      unsampled,
    },
    legs: legLedgers,
    batches: {
      sent: batches["sent"] as number,
      retried: batches["retried"] as number,
      failed: batches["failed"] as number,
    },
  };
  return { ledger, unknown };
}

function readLeg(fields: unknown, place: string): LegLedger | string {
  if (!isObject(fields)) return wrong(place, fields, "an object");
  const { leg } = fields;
  if (!isLeg(leg)) return wrong(`${place}.leg`, leg, A_LEG);
  const problem = wrongCount(fields, ["requests", "attempts", "published"], `${place}.`);
  if (problem !== null) return problem;
  const endings = readCounts(fields["endings"], ENDINGS, `${place}.endings`);
  if (typeof endings === "string") return endings;
  const dropped = readCounts(fields["dropped"], DROPPED, `${place}.dropped`);
  if (typeof dropped === "string") return dropped;
  return {
    leg,
    requests: fields["requests"] as number,
    attempts: fields["attempts"] as number,
    endings: endings as Record<EndingName, number>,
    published: fields["published"] as number,
    dropped,
  };
}

function wrongCount(fields: Fields, names: readonly string[], place: string): string | null {
  for (const name of names) {
    if (!isCount(fields[name])) return wrong(`${place}${name}`, fields[name], A_COUNT);
  }
  return null;
}

/** Counts by reason: all of `required`, and those that a later minor has beside them. */
function readCounts(
  value: unknown,
  required: readonly string[],
  place: string,
): Record<string, number> | string {
  if (!isObject(value)) return wrong(place, value, "an object");
  const problem = wrongCount(value, required, `${place}.`);
  if (problem !== null) return problem;
  const names = Object.keys(value);
  if (names.length > REASONS_MAX) {
    return `${place} has ${names.length} reasons, expected at most ${REASONS_MAX}`;
  }
  const counts: Record<string, number> = {};
  for (const name of names) {
    if (!REASON.test(name)) return wrong(`${place} has a reason that`, name, "a-z, 0-9 and -");
    const count = value[name];
    if (!isCount(count)) return wrong(`${place}.${name}`, count, A_COUNT);
    counts[name] = count;
  }
  return counts;
}
