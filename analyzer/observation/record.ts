import {
  CONTENT_TYPE_CHARS_MAX,
  ENDING_CLIENT_LEFT,
  ENDING_COMPLETE,
  ENDING_NO_ANSWER,
  ENDING_RESET,
  ENDING_STREAMING,
  FAILURE_CHARS_MAX,
  METHOD_CHARS_MAX,
  PARAM_CHARS_MAX,
  PARAMS_MAX,
  ROUTE_CHARS_MAX,
  SEGMENT_CHARS_MAX,
  SEGMENTS_MAX,
} from "../../wire/format.ts";
import {
  A_COUNT,
  A_LEG,
  A_RUN,
  aText,
  type Fields,
  isCount,
  isLeg,
  isObject,
  isRun,
  isText,
  sharedText,
  U32_MAX,
  wrong,
} from "./checks.ts";
import type { EndingName, Observation } from "./observation.ts";

/** Fields of a record line; `headers` is reserved, so it is neither read nor unknown. */
export const RECORD_NAMES: ReadonlySet<string> = new Set([
  "type",
  "id",
  "run",
  "leg",
  "attempt",
  "final",
  "startedAtUs",
  "method",
  "route",
  "params",
  "status",
  "grpcStatus",
  "requestBytes",
  "responseBytes",
  "requestDigest",
  "responseDigest",
  "requestContentType",
  "responseContentType",
  "requestContentEncoding",
  "responseContentEncoding",
  "firstByteUs",
  "requestEndUs",
  "totalUs",
  "chunks",
  "chunkGapMaxUs",
  "ending",
  "failure",
  "cut",
  "headers",
  "segments",
]);

export const ENDINGS: readonly EndingName[] = [
  ENDING_COMPLETE,
  ENDING_RESET,
  ENDING_CLIENT_LEFT,
  ENDING_NO_ANSWER,
  ENDING_STREAMING,
];

const CORRELATION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const DIGEST = /^[0-9a-f]{32}$/;
/** A method is a token of RFC 9110; the wire has it in upper case. */
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Z-]+$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,64}$/;
const STATUS_MAX = 999;
/** More names than a record has fields cannot be cut. */
const CUT_MAX = RECORD_NAMES.size;
const NAME_CHARS_MAX = 64;

const NO_NAMES: readonly string[] = [];
const NO_SEGMENTS: Readonly<Record<string, string>> = {};

/** What `readRecord` needs from the batch around it. */
export interface RecordPlace {
  readonly experiment: string;
  readonly worker: string;
}

/**
 * The observation in a record line whose `type` has been checked, or what is wrong with it, in
 * words.
 *
 * A chain of plain checks, and no exception: a hostile message may hold 40,000 wrong lines.
 */
export function readRecord(
  fields: Fields,
  { experiment, worker }: RecordPlace,
): Observation | string {
  const id = fields["id"];
  if (typeof id !== "string" || !CORRELATION_ID.test(id)) {
    return wrong("id", id, "a UUIDv7 in lower case");
  }
  const run = fields["run"];
  if (!isRun(run)) return wrong("run", run, A_RUN);
  const leg = fields["leg"];
  if (!isLeg(leg)) return wrong("leg", leg, A_LEG);
  const attempt = fields["attempt"];
  if (!isCount(attempt, U32_MAX) || attempt === 0) {
    return wrong("attempt", attempt, `an integer from 1 to ${U32_MAX}`);
  }
  const final = fields["final"];
  if (typeof final !== "boolean") return wrong("final", final, "true or false");
  const startedAtUs = fields["startedAtUs"];
  if (!isCount(startedAtUs)) return wrong("startedAtUs", startedAtUs, A_COUNT);

  const method = sharedText(fields["method"], METHOD_CHARS_MAX);
  if (method === null || !METHOD.test(method)) {
    return wrong("method", fields["method"], `an upper-case token of at most ${METHOD_CHARS_MAX}`);
  }
  const route = sharedText(fields["route"], ROUTE_CHARS_MAX);
  if (route === null) return wrong("route", fields["route"], aText(ROUTE_CHARS_MAX));
  const params = fields["params"] === undefined ? NO_NAMES : fields["params"];
  if (!isNames(params, PARAMS_MAX, PARAM_CHARS_MAX)) {
    return wrong("params", params, `at most ${PARAMS_MAX} names of ${PARAM_CHARS_MAX} characters`);
  }

  const status = fields["status"];
  if (!isCount(status, STATUS_MAX)) {
    return wrong("status", status, `an integer from 0 to ${STATUS_MAX}`);
  }
  const grpcStatus = fields["grpcStatus"];
  if (grpcStatus !== undefined && !isCount(grpcStatus, U32_MAX)) {
    return wrong("grpcStatus", grpcStatus, `an integer from 0 to ${U32_MAX}`);
  }
  const requestBytes = fields["requestBytes"];
  if (!isCount(requestBytes)) return wrong("requestBytes", requestBytes, A_COUNT);
  const responseBytes = fields["responseBytes"];
  if (!isCount(responseBytes)) return wrong("responseBytes", responseBytes, A_COUNT);
  const requestDigest = fields["requestDigest"];
  if (!isDigest(requestDigest)) return wrong("requestDigest", requestDigest, A_DIGEST);
  const responseDigest = fields["responseDigest"];
  if (!isDigest(responseDigest)) return wrong("responseDigest", responseDigest, A_DIGEST);

  const requestContentType = optionalText(fields["requestContentType"]);
  if (requestContentType === undefined) return wrongType("requestContentType", fields);
  const responseContentType = optionalText(fields["responseContentType"]);
  if (responseContentType === undefined) return wrongType("responseContentType", fields);
  const requestContentEncoding = optionalText(fields["requestContentEncoding"]);
  if (requestContentEncoding === undefined) return wrongType("requestContentEncoding", fields);
  const responseContentEncoding = optionalText(fields["responseContentEncoding"]);
  if (responseContentEncoding === undefined) return wrongType("responseContentEncoding", fields);

  const firstByteUs = fields["firstByteUs"];
  if (firstByteUs !== undefined && !isCount(firstByteUs)) {
    return wrong("firstByteUs", firstByteUs, A_COUNT);
  }
  const requestEndUs = fields["requestEndUs"];
  if (requestEndUs !== undefined && !isCount(requestEndUs)) {
    return wrong("requestEndUs", requestEndUs, A_COUNT);
  }
  const totalUs = fields["totalUs"];
  if (!isCount(totalUs)) return wrong("totalUs", totalUs, A_COUNT);
  const chunkCount = fields["chunks"];
  if (!isCount(chunkCount, U32_MAX)) {
    return wrong("chunks", chunkCount, `an integer from 0 to ${U32_MAX}`);
  }
  const chunkGapMaxUs = fields["chunkGapMaxUs"];
  if (!isCount(chunkGapMaxUs)) return wrong("chunkGapMaxUs", chunkGapMaxUs, A_COUNT);

  const ending = ENDINGS.find((name) => name === fields["ending"]);
  if (ending === undefined) return wrong("ending", fields["ending"], ENDINGS.join(", "));
  const failure = fields["failure"] === undefined ? "" : fields["failure"];
  const sharedFailure = sharedText(failure, FAILURE_CHARS_MAX);
  if (sharedFailure === null) return wrong("failure", failure, aText(FAILURE_CHARS_MAX));
  const cut = fields["cut"] === undefined ? NO_NAMES : fields["cut"];
  if (!isNames(cut, CUT_MAX, NAME_CHARS_MAX)) {
    return wrong("cut", cut, `at most ${CUT_MAX} field names`);
  }
  const segments = fields["segments"] === undefined ? NO_SEGMENTS : fields["segments"];
  if (!isSegments(segments)) {
    return wrong(
      "segments",
      segments,
      `at most ${SEGMENTS_MAX} header names with values of at most ${SEGMENT_CHARS_MAX} characters`,
    );
  }

  return {
    experiment,
    // The one copy of the process instead of one a record: see sharedText.
    run: sharedText(run, run.length) as string,
    worker,
    correlationId: id,
    leg: sharedText(leg, leg.length) as string,
    attempt,
    final,
    startedAtUs,
    method,
    route,
    params,
    status,
    grpcStatus: grpcStatus ?? null,
    requestBytes,
    responseBytes,
    requestDigest,
    responseDigest,
    requestContentType,
    requestContentEncoding,
    responseContentType,
    responseContentEncoding,
    firstByteUs: firstByteUs ?? null,
    requestEndUs: requestEndUs ?? null,
    totalUs,
    chunkCount,
    chunkGapMaxUs,
    ending,
    failure: sharedFailure,
    cut,
    segments,
  };
}

const A_DIGEST = "32 lower-case hexadecimal digits";
const isDigest = (value: unknown): value is string =>
  typeof value === "string" && DIGEST.test(value);

/** Null when the field is not there, undefined when it is wrong. */
function optionalText(value: unknown): string | null | undefined {
  if (value === undefined) return null;
  return sharedText(value, CONTENT_TYPE_CHARS_MAX) ?? undefined;
}

const wrongType = (field: string, fields: Fields): string =>
  wrong(field, fields[field], aText(CONTENT_TYPE_CHARS_MAX));

function isNames(value: unknown, countMax: number, charsMax: number): value is readonly string[] {
  if (!Array.isArray(value) || value.length > countMax) return false;
  for (const name of value) if (!isText(name, charsMax)) return false;
  return true;
}

function isSegments(value: unknown): value is Readonly<Record<string, string>> {
  if (!isObject(value)) return false;
  const names = Object.keys(value);
  if (names.length > SEGMENTS_MAX) return false;
  for (const name of names) {
    // JSON.parse makes "__proto__" an ordinary field, the next copy of the object would not.
    if (!HEADER_NAME.test(name) || name === "__proto__") return false;
    if (!isText(value[name], SEGMENT_CHARS_MAX)) return false;
  }
  return true;
}
