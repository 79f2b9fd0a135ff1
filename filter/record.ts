// One leg while it is under way, and its record line when it has ended. The line's fields are in wire/README.md.
import {
  CONTENT_TYPE_CHARS_MAX,
  ENDING_CLIENT_LEFT,
  ENDING_COMPLETE,
  ENDING_NO_ANSWER,
  ENDING_RESET,
  ENDING_STREAMING,
  Ending,
  FAILURE_CHARS_MAX,
  METHOD_CHARS_MAX,
  RECORD_BYTES_MAX,
  SEGMENT_CHARS_MAX,
} from "../wire/format";
import { asText, Config, Experiment, leaveConfig, legAt } from "./config";
import { Digest, endDigest } from "./digest";
import { put, Text, text } from "./host/text";
import { fnv1a, putHexOf, putUuid, UUID_CHARS } from "./identity";
import { offer } from "./outbox";
import { putByte, putBytes, putNumber } from "./put";
import {
  PARAMS_BYTES_MAX,
  pathBytes,
  putParams,
  putRoute,
  ROUTE_BYTES_MAX,
  routeCut,
} from "./route";

/** Legs under way or held back, at once in one worker: 16 MiB, of which only what was ever used is touched. */
export const OBSERVATIONS_MAX: i32 = 8192;
const OBSERVATION_BYTES: usize = 2048;

/** Text of an observation: where in its memory, and how long. JSON as it will stand in the line, without quotes. */
@unmanaged
class Span {
  from: u16 = 0;
  bytes: u16 = 0;
}

export enum Field {
  Method = 0,
  Route = 1,
  Params = 2,
  RequestContentType = 3,
  RequestContentEncoding = 4,
  ResponseContentType = 5,
  ResponseContentEncoding = 6,
  Failure = 7,
  Segments = 8,
}

const FIELD_COUNT: usize = 9;

/** What is not yet known of a leg. */
export const UNKNOWN: i64 = -1;

@unmanaged
export class Observation {
  id0: u64 = 0;
  id1: u64 = 0;
  startedAtUs: u64 = 0;
  startUs: u64 = 0;
  /** These are µs after `startUs`, or UNKNOWN. */
  requestEndUs: i64 = 0;
  firstByteUs: i64 = 0;
  endUs: i64 = 0;
  lastChunkUs: i64 = 0;
  chunkGapMaxUs: u64 = 0;
  /** Envoy's limit for the answer after the end of the request, when it told the server one; else 0. */
  answerTimeoutUs: u64 = 0;
  grpcStatus: i64 = 0;
  config: Config | null = null;
  experiment: Experiment | null = null;
  leg: i32 = 0;
  /** Its live request, with its generation; -1 when the tagger is not in this worker. */
  live: i32 = 0;
  liveGeneration: u32 = 0;
  attempt: i32 = 0;
  status: i32 = 0;
  chunks: u32 = 0;
  /** A bit per Field: cut at a limit. */
  cut: u32 = 0;
  textBytes: u32 = 0;
  isPrimary: bool = false;
  answered: bool = false;
  complete: bool = false;
  ending: u8 = 0;
}

const SPANS_AT: usize = 192;
const REQUEST_DIGEST_AT: usize = 232;
const RESPONSE_DIGEST_AT: usize = 280;
const TEXT_AT: usize = 328;
/** All text of one observation together. Ordinary ones need 150 bytes; what does not fit is left out and named in `cut`. */
const TEXT_BYTES_MAX: u32 = <u32>(OBSERVATION_BYTES - TEXT_AT);

const observations: usize = memory.data(16777216, 16);
const free: usize = memory.data(16384, 16);
let freeCount: i32 = 0;
let fresh: i32 = 0;

export function observationAt(index: i32): Observation {
  return changetype<Observation>(observations + <usize>index * OBSERVATION_BYTES);
}

export function requestDigest(observation: Observation): Digest {
  return changetype<Digest>(changetype<usize>(observation) + REQUEST_DIGEST_AT);
}

export function responseDigest(observation: Observation): Digest {
  return changetype<Digest>(changetype<usize>(observation) + RESPONSE_DIGEST_AT);
}

/** -1 when all are taken. All fields are zero. */
export function addObservation(): i32 {
  let index: i32 = -1;
  if (freeCount > 0) index = <i32>load<u16>(free + ((<usize>--freeCount) << 1));
  else if (fresh < OBSERVATIONS_MAX) index = fresh++;
  if (index >= 0) memory.fill(changetype<usize>(observationAt(index)), 0, TEXT_AT);
  return index;
}

export function removeObservation(index: i32): void {
  if (freeCount >= OBSERVATIONS_MAX) return;
  store<u16>(free + ((<usize>freeCount) << 1), index);
  freeCount++;
}

/** Enough for a request's own legs and then some; below it the tagger samples nothing more. */
export function areObservationsFull(): bool {
  return freeCount + OBSERVATIONS_MAX - fresh < 64;
}

function spanOf(observation: Observation, field: Field): Span {
  return changetype<Span>(changetype<usize>(observation) + SPANS_AT + ((<usize>field) << 2));
}

function hasField(observation: Observation, field: Field): bool {
  return spanOf(observation, field).bytes !== 0;
}

function markCut(observation: Observation, field: Field): void {
  observation.cut |= 1 << (<u32>field);
}

/** Where the next text goes if `bytes` more fit; else 0, and the field is marked as cut. */
function roomFor(observation: Observation, field: Field, bytes: u32): usize {
  if (observation.textBytes + bytes > TEXT_BYTES_MAX) {
    markCut(observation, field);
    return 0;
  }
  return changetype<usize>(observation) + TEXT_AT + <usize>observation.textBytes;
}

function keepField(observation: Observation, field: Field, end: usize): void {
  const from = <usize>observation.textBytes;
  const until = end - changetype<usize>(observation) - TEXT_AT;
  const span = spanOf(observation, field);
  span.from = <u16>from;
  span.bytes = <u16>(until - from);
  observation.textBytes = <u32>until;
}

/** Tokens are kept; what cannot be in a method becomes "?". */
export function keepMethod(observation: Observation, at: usize, bytes: i32): void {
  if (bytes > METHOD_CHARS_MAX) markCut(observation, Field.Method);
  const length = min(bytes, METHOD_CHARS_MAX);
  let to = roomFor(observation, Field.Method, <u32>length);
  if (to === 0) return;
  for (let index = 0; index < length; index++) {
    let char: i32 = load<u8>(at + <usize>index);
    if (char >= 0x61 && char <= 0x7a) char -= 0x20;
    const plain = (char >= 0x41 && char <= 0x5a) || char === 0x2d || char === 0x5f;
    to = putByte(to, plain ? char : 0x3f);
  }
  keepField(observation, Field.Method, to);
}

/** The path's template and the names of the query's parameters. */
export function keepPath(observation: Observation, at: usize, bytes: i32): void {
  let to = roomFor(observation, Field.Route, ROUTE_BYTES_MAX);
  if (to !== 0) {
    keepField(observation, Field.Route, putRoute(to, at, pathBytes(at, bytes)));
    if (routeCut) markCut(observation, Field.Route);
  }
  to = roomFor(observation, Field.Params, PARAMS_BYTES_MAX);
  if (to !== 0) {
    keepField(observation, Field.Params, putParams(to, at, bytes));
    if (routeCut) markCut(observation, Field.Params);
  }
}

/** In lower case, up to the first parameter (";"); printable ASCII without quotes, others become "?". */
export function keepMediaType(observation: Observation, field: Field, at: usize, bytes: i32): void {
  let length = 0;
  while (length < bytes && load<u8>(at + <usize>length) !== 0x3b) length++;
  while (length > 0 && load<u8>(at + <usize>length - 1) === 0x20) length--;
  if (length > CONTENT_TYPE_CHARS_MAX) markCut(observation, field);
  keepAscii(observation, field, at, min(length, CONTENT_TYPE_CHARS_MAX), true);
}

export function keepFailure(observation: Observation, at: usize, bytes: i32): void {
  if (hasField(observation, Field.Failure)) return;
  if (bytes > FAILURE_CHARS_MAX) markCut(observation, Field.Failure);
  keepAscii(observation, Field.Failure, at, min(bytes, FAILURE_CHARS_MAX), false);
}

function keepAscii(
  observation: Observation,
  field: Field,
  at: usize,
  bytes: i32,
  lowerCase: bool,
): void {
  let to = roomFor(observation, field, <u32>bytes);
  if (to === 0) return;
  for (let index = 0; index < bytes; index++) {
    let char: i32 = load<u8>(at + <usize>index);
    if (lowerCase && char >= 0x41 && char <= 0x5a) char |= 0x20;
    const plain = char >= 0x20 && char <= 0x7e && char !== 0x22 && char !== 0x5c;
    to = putByte(to, plain ? char : 0x3f);
  }
  keepField(observation, field, to);
}

/** Value bytes of one segment at most, escapes included: 64 characters of most scripts. */
const SEGMENT_BYTES_MAX: u32 = 160;

/** Adds a configured header in clear. All of a leg's come one after another, with no other text between them. */
export function keepSegment(observation: Observation, name: Text, at: usize, bytes: i32): void {
  const first = !hasField(observation, Field.Segments);
  const start = roomFor(observation, Field.Segments, <u32>name.bytes + SEGMENT_BYTES_MAX + 8);
  if (start === 0) return;
  let to = putByte(start, first ? 0x7b : 0x2c);
  to = putByte(put(putByte(to, 0x22), name), 0x22);
  to = putByte(putByte(to, 0x3a), 0x22);
  to = putClear(observation, to, at, bytes);
  to = putByte(to, 0x22);
  const span = spanOf(observation, Field.Segments);
  if (first) {
    keepField(observation, Field.Segments, to);
  } else {
    span.bytes += <u16>(to - start);
    observation.textBytes += <u32>(to - start);
  }
}

/** How many bytes the UTF-8 character at `at` takes, 0 when there is none. */
function utf8Bytes(at: usize, left: i32): i32 {
  const lead = <u32>load<u8>(at);
  if (lead < 0x80) return 1;
  const bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || bytes > left) return 0;
  for (let index = 1; index < bytes; index++) {
    if ((load<u8>(at + <usize>index) & 0xc0) !== 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond Unicode.
  const second = <u32>load<u8>(at, 1);
  if (lead === 0xe0 && second < 0xa0) return 0;
  if (lead === 0xed && second > 0x9f) return 0;
  if (lead === 0xf0 && second < 0x90) return 0;
  if (lead === 0xf4 && second > 0x8f) return 0;
  return bytes;
}

/** Between quotes: valid UTF-8, controls and broken bytes as "?". At most SEGMENT_CHARS_MAX characters. */
function putClear(observation: Observation, start: usize, at: usize, bytes: i32): usize {
  let to = start;
  let from: i32 = 0;
  let chars = 0;
  while (from < bytes) {
    if (chars === SEGMENT_CHARS_MAX || to + 4 > start + <usize>SEGMENT_BYTES_MAX) {
      markCut(observation, Field.Segments);
      break;
    }
    const char: i32 = load<u8>(at + <usize>from);
    const length = utf8Bytes(at + <usize>from, bytes - from);
    if (length === 0 || char < 0x20 || char === 0x7f) {
      to = putByte(to, 0x3f);
      from++;
    } else {
      if (char === 0x22 || char === 0x5c) to = putByte(to, 0x5c);
      to = putBytes(to, at + <usize>from, length);
      from += length;
    }
    chars++;
  }
  return to;
}

const line: usize = memory.data(4096, 16);
const digest: usize = memory.data(16, 8);
const uuid: usize = memory.data(36, 8);

const startText = text('{"type":"record","id":"');
const runText = text('","run":"');
const legText = text('","leg":"');
const attemptText = text('","attempt":');
const finalText = text(',"final":true');
const notFinalText = text(',"final":false');
const startedAtText = text(',"startedAtUs":');
const methodText = text(',"method":"');
const routeText = text('","route":"');
const quoteText = text('"');
const paramsText = text(',"params":');
const statusText = text(',"status":');
const grpcStatusText = text(',"grpcStatus":');
const requestBytesText = text(',"requestBytes":');
const responseBytesText = text(',"responseBytes":');
const requestDigestText = text(',"requestDigest":"');
const responseDigestText = text('","responseDigest":"');
const requestContentTypeText = text(',"requestContentType":"');
const responseContentTypeText = text(',"responseContentType":"');
const requestContentEncodingText = text(',"requestContentEncoding":"');
const responseContentEncodingText = text(',"responseContentEncoding":"');
const firstByteText = text(',"firstByteUs":');
const requestEndText = text(',"requestEndUs":');
const totalText = text(',"totalUs":');
const chunksText = text(',"chunks":');
const chunkGapMaxText = text(',"chunkGapMaxUs":');
const endingText = text(',"ending":"');
const failureText = text(',"failure":"');
const cutText = text(',"cut":[');
const segmentsText = text(',"segments":');
const endText = text("}\n");

const complete = text(ENDING_COMPLETE);
const reset = text(ENDING_RESET);
const clientLeft = text(ENDING_CLIENT_LEFT);
const noAnswer = text(ENDING_NO_ANSWER);
const streaming = text(ENDING_STREAMING);

function endingName(ending: u8): Text {
  if (ending === <u8>Ending.Complete) return complete;
  if (ending === <u8>Ending.Reset) return reset;
  if (ending === <u8>Ending.ClientLeft) return clientLeft;
  if (ending === <u8>Ending.NoAnswer) return noAnswer;
  return streaming;
}

const methodName = text('"method"');
const routeName = text('"route"');
const paramsName = text('"params"');
const requestContentTypeName = text('"requestContentType"');
const requestContentEncodingName = text('"requestContentEncoding"');
const responseContentTypeName = text('"responseContentType"');
const responseContentEncodingName = text('"responseContentEncoding"');
const failureName = text('"failure"');
const segmentsName = text('"segments"');

function fieldName(field: Field): Text {
  if (field === Field.Method) return methodName;
  if (field === Field.Route) return routeName;
  if (field === Field.Params) return paramsName;
  if (field === Field.RequestContentType) return requestContentTypeName;
  if (field === Field.RequestContentEncoding) return requestContentEncodingName;
  if (field === Field.ResponseContentType) return responseContentTypeName;
  if (field === Field.ResponseContentEncoding) return responseContentEncodingName;
  if (field === Field.Failure) return failureName;
  return segmentsName;
}

function putField(to: usize, observation: Observation, field: Field): usize {
  const span = spanOf(observation, field);
  return putBytes(to, changetype<usize>(observation) + TEXT_AT + <usize>span.from, <i32>span.bytes);
}

/** `,"name":"text"`, or nothing when there is no text. */
function putOptional(to: usize, name: Text, observation: Observation, field: Field): usize {
  if (!hasField(observation, field)) return to;
  return put(putField(put(to, name), observation, field), quoteText);
}

function putCount(to: usize, name: Text, value: u64): usize {
  return putNumber(put(to, name), value);
}

function putDuration(to: usize, name: Text, us: i64): usize {
  return us < 0 ? to : putCount(to, name, <u64>us);
}

/**
 * Gives the ended leg's line to the outbox and takes the observation back. The longest line there can be: TEXT_BYTES_MAX
 * of texts and under 1,300 bytes of everything else, so below RECORD_BYTES_MAX whatever users send.
 */
export function publishObservation(index: i32, final: bool): void {
  const observation = observationAt(index);
  const experiment = observation.experiment;
  if (experiment !== null) {
    const leg = legAt(experiment, observation.leg);
    const bytes = <i32>(putRecord(observation, experiment, final) - line);
    putUuid(uuid, changetype<usize>(observation));
    const partition = <i32>(fnv1a(uuid, UUID_CHARS) % experiment.partitions);
    if (bytes <= RECORD_BYTES_MAX) offer(experiment.ledger, leg.ledgerLeg, partition, line, bytes);
  }
  const config = observation.config;
  removeObservation(index);
  if (config !== null) leaveConfig(config);
}

function putRecord(observation: Observation, experiment: Experiment, final: bool): usize {
  let to = putUuid(put(line, startText), changetype<usize>(observation));
  to = put(put(to, runText), asText(experiment.run));
  to = put(put(to, legText), asText(legAt(experiment, observation.leg).name));
  to = putCount(to, attemptText, <u64>observation.attempt);
  to = put(to, final ? finalText : notFinalText);
  to = putCount(to, startedAtText, observation.startedAtUs);
  to = putField(put(to, methodText), observation, Field.Method);
  to = putField(put(to, routeText), observation, Field.Route);
  to = put(to, quoteText);
  if (hasField(observation, Field.Params)) {
    to = putField(put(to, paramsText), observation, Field.Params);
  }
  to = putCount(to, statusText, <u64>observation.status);
  to = putDuration(to, grpcStatusText, observation.grpcStatus);
  to = putCount(to, requestBytesText, requestDigest(observation).bytes);
  to = putCount(to, responseBytesText, responseDigest(observation).bytes);
  endDigest(requestDigest(observation), digest);
  to = putHexOf(put(to, requestDigestText), digest, 16);
  endDigest(responseDigest(observation), digest);
  to = put(putHexOf(put(to, responseDigestText), digest, 16), quoteText);
  to = putOptional(to, requestContentTypeText, observation, Field.RequestContentType);
  to = putOptional(to, responseContentTypeText, observation, Field.ResponseContentType);
  to = putOptional(to, requestContentEncodingText, observation, Field.RequestContentEncoding);
  to = putOptional(to, responseContentEncodingText, observation, Field.ResponseContentEncoding);
  to = putDuration(to, firstByteText, observation.firstByteUs);
  to = putDuration(to, requestEndText, observation.requestEndUs);
  to = putDuration(to, totalText, observation.endUs);
  to = putCount(to, chunksText, <u64>observation.chunks);
  to = putCount(to, chunkGapMaxText, observation.chunkGapMaxUs);
  to = put(put(put(to, endingText), endingName(observation.ending)), quoteText);
  to = putOptional(to, failureText, observation, Field.Failure);
  to = putCut(to, observation.cut);
  if (hasField(observation, Field.Segments)) {
    to = putByte(putField(put(to, segmentsText), observation, Field.Segments), 0x7d);
  }
  return put(to, endText);
}

function putCut(start: usize, cut: u32): usize {
  if (cut === 0) return start;
  let to = put(start, cutText);
  let first = true;
  for (let field: u32 = 0; field < <u32>FIELD_COUNT; field++) {
    if ((cut & (1 << field)) === 0) continue;
    if (!first) to = putByte(to, 0x2c);
    first = false;
    to = put(to, fieldName(<Field>field));
  }
  return putByte(to, 0x5d);
}
