// On each way to a deployment, mirrored ones included: takes our header off, measures and digests what passes, and leaves
// one record. Nothing is held up and nothing is changed but our own headers.
import {
  Dropped,
  Ending,
  HEADER_CORRELATION_ID,
  HEADER_IDEMPOTENCY_KEY,
  HEADER_SIDE,
} from "../wire/format";
import {
  asText,
  Config,
  Experiment,
  experimentAt,
  leaveConfig,
  legAt,
  textAt,
  useConfig,
} from "./config";
import { COUNTED_ANSWERED, COUNTED_COMPLETE, removeStream, Stream, StreamState } from "./contexts";
import { addToDigest, beginDigest, Digest } from "./digest";
import { mark, release } from "./host/arena";
import { Buffer, bufferAt, PIECE_BYTES_MAX, readBuffer } from "./host/buffers";
import { monotonicUs, wallUsAt } from "./host/clock";
import {
  findHeader,
  HeaderMap,
  headerValue,
  headerValueBytes,
  nextHeader,
  pairName,
  pairNameBytes,
  pairValue,
  pairValueBytes,
  readHeaders,
  removeHeader,
  replaceHeader,
  rewindHeaders,
} from "./host/headers";
import { findIntegerProperty, findProperty, propertyBytes, propertyValue } from "./host/properties";
import { isText, startsWith, text } from "./host/text";
import {
  parsedExperiment,
  parsedExperimentBytes,
  parsedId,
  parsedKey,
  parsePair,
  putIdempotencyKey,
  putUuid,
  UUID_CHARS,
} from "./identity";
import { countAttempt, countDropped, countEnding } from "./ledger";
import {
  countLiveAttempt,
  findLiveRequest,
  hasJustEnded,
  isLive,
  liveRequestAt,
} from "./live-requests";
import {
  addObservation,
  Field,
  keepFailure,
  keepMediaType,
  keepMethod,
  keepPath,
  keepSegment,
  Observation,
  observationAt,
  publishObservation,
  requestDigest,
  responseDigest,
  UNKNOWN,
} from "./record";
import { pairHeader, pairProperty, sampledHeader } from "./tagger";

const correlationIdHeader = text(HEADER_CORRELATION_ID);
const sideHeader = text(HEADER_SIDE);
const idempotencyKeyHeader = text(HEADER_IDEMPOTENCY_KEY);
const methodHeader = text(":method");
const pathHeader = text(":path");
const statusHeader = text(":status");
const contentTypeHeader = text("content-type");
const contentEncodingHeader = text("content-encoding");
const grpcStatusHeader = text("grpc-status");
/** Set by Envoy's router to the time the route gives the server, unless the route has no limit or hides it. */
const timeoutHeader = text("x-envoy-expected-rq-timeout-ms");

const clusterProperty = text("xds\0cluster_name");
const attemptProperty = text("upstream\0request_attempt_count");
const transportFailureProperty = text("upstream\0transport_failure_reason");
const codeDetailsProperty = text("response\0code_details");
/** ns that this leg waited for a connection; only there once it has one. */
const poolReadyProperty = text("upstream\0cx_pool_ready_duration");

const viaUpstream = text("via_upstream");
const downstream = text("downstream");
// Failures that Envoy has no words for at the moment we are asked.
const timeLimit = text("time limit");
const retried = text("retried");
const requestCut = text("request ended before its copy");

const PURPOSE_REQUEST_BODY: u64 = 1;
const PURPOSE_RESPONSE_BODY: u64 = 2;

/**
 * How far from a time limit a leg may end and still have been ended by it. Envoy's timers count from the time at which the
 * worker woke up, so they are early by what it did before (13 ms seen on a busy machine), and late under load. Never early
 * by more than a tenth of the limit.
 */
const LIMIT_EARLY_US: i64 = 250000;
const LIMIT_LATE_US: i64 = 1000000;

const idempotencyKey: usize = memory.data(40, 8);
const correlationId: usize = memory.data(40, 8);

// The client's own Idempotency-Key, from the headers that were read last.
let clientKey: usize = 0;
let clientKeyBytes: i32 = 0;

export function onObserverRequest(stream: Stream, config: Config, endOfStream: bool): void {
  if (!observe(stream, config, endOfStream)) removeStream(stream.id);
  leaveConfig(config);
}

/** False when there is nothing to observe: not sampled, not ours, or not a deployment of the experiment. */
function observe(stream: Stream, config: Config, endOfStream: bool): bool {
  // A retry comes without the header, since the first try took it off; the property stays with the request.
  const hasProperty = findProperty(pairProperty) && propertyBytes > 0;
  if (!hasProperty && !findHeader(HeaderMap.Request, pairHeader)) return false;
  removeHeader(HeaderMap.Request, pairHeader);
  const parsed = hasProperty
    ? parsePair(propertyValue, propertyBytes)
    : parsePair(headerValue, headerValueBytes);
  if (!parsed) return false;

  const live = findLiveRequest(load<u64>(parsedKey), load<u64>(parsedKey, 8));
  // Under the configuration the request was sampled with, as long as its tagger is here: a new one may have come since.
  const owner = live >= 0 ? changetype<Config>(liveRequestAt(live).config) : config;
  const experiment =
    live >= 0
      ? changetype<Experiment>(liveRequestAt(live).experiment)
      : findExperiment(config, parsedExperiment, parsedExperimentBytes);
  if (experiment === null) return false;
  const leg = findLeg(experiment);
  // Both tests must agree. They do not when a route sends a sampled request elsewhere than to the primary.
  if (leg < 0 || legAt(experiment, leg).isPrimary !== hasProperty) return false;
  begin(stream, owner, experiment, leg, live, endOfStream);
  return true;
}

function findExperiment(config: Config, name: usize, bytes: i32): Experiment | null {
  for (let index = 0; index < config.experimentCount; index++) {
    const experiment = experimentAt(config, index);
    if (isText(name, bytes, asText(experiment.name))) return experiment;
  }
  return null;
}

function findLeg(experiment: Experiment): i32 {
  if (!findProperty(clusterProperty)) return -1;
  for (let index = 0; index < experiment.legCount; index++) {
    if (isText(propertyValue, propertyBytes, asText(legAt(experiment, index).cluster))) {
      return index;
    }
  }
  return -1;
}

function begin(
  stream: Stream,
  owner: Config,
  experiment: Experiment,
  legIndex: i32,
  live: i32,
  endOfStream: bool,
): void {
  const leg = legAt(experiment, legIndex);
  const attempt = countAttemptOf(live, legIndex);
  countAttempt(experiment.ledger, leg.ledgerLeg, attempt === 1);
  if (leg.isPrimary && live >= 0) {
    const request = liveRequestAt(live);
    request.reached = true;
    const held = request.held;
    request.held = -1;
    if (held >= 0) publishRetried(held);
  }

  const index = addObservation();
  if (index < 0) {
    stream.state = <u8>StreamState.Counted;
    stream.index = (experiment.ledger << 8) | leg.ledgerLeg;
    stream.config = owner;
    useConfig(owner);
    readRequest(null, experiment);
  } else {
    stream.state = <u8>StreamState.Observed;
    stream.index = index;
    const observation = observationAt(index);
    useConfig(owner);
    observation.config = owner;
    observation.experiment = experiment;
    observation.leg = legIndex;
    observation.isPrimary = leg.isPrimary;
    observation.live = live;
    observation.liveGeneration = live < 0 ? 0 : liveRequestAt(live).generation;
    observation.attempt = attempt;
    observation.id0 = load<u64>(parsedId);
    observation.id1 = load<u64>(parsedId, 8);
    const k0 = load<u64>(parsedKey);
    const k1 = load<u64>(parsedKey, 8);
    beginDigest(requestDigest(observation), k0, k1 ^ PURPOSE_REQUEST_BODY);
    beginDigest(responseDigest(observation), k0, k1 ^ PURPOSE_RESPONSE_BODY);
    observation.startUs = monotonicUs();
    observation.startedAtUs = wallUsAt(observation.startUs);
    observation.requestEndUs = endOfStream ? 0 : UNKNOWN;
    observation.firstByteUs = UNKNOWN;
    observation.endUs = UNKNOWN;
    observation.lastChunkUs = UNKNOWN;
    observation.grpcStatus = UNKNOWN;
    readRequest(observation, experiment);
  }
  if (!leg.isPrimary) introduce(experiment, legIndex);
}

/** Envoy drops an answer that it will try again: the attempt then ends after its headers without the server's doing. */
function publishRetried(index: i32): void {
  const observation = observationAt(index);
  if (observation.answered && !observation.complete) {
    keepFailure(observation, retried.at, retried.bytes);
  }
  publishObservation(index, false);
}

/** Of a live request by its own count; else by Envoy's. */
function countAttemptOf(live: i32, leg: i32): i32 {
  if (live >= 0) return countLiveAttempt(live, leg);
  const counted = findIntegerProperty(attemptProperty);
  return counted < 1 || counted > 255 ? 1 : <i32>counted;
}

/** Keeps what the record needs; without an observation only what the mirrored headers need. */
function readRequest(observation: Observation | null, experiment: Experiment): void {
  clientKeyBytes = 0;
  if (!readHeaders(HeaderMap.Request)) return;
  while (nextHeader()) {
    if (isText(pairName, pairNameBytes, idempotencyKeyHeader)) {
      if (clientKeyBytes === 0) {
        clientKey = pairValue;
        clientKeyBytes = pairValueBytes;
      }
    } else if (isText(pairName, pairNameBytes, sampledHeader)) {
      // The route takes it off; where one forgot, we do.
      removeHeader(HeaderMap.Request, sampledHeader);
    } else if (observation !== null) {
      if (isText(pairName, pairNameBytes, methodHeader)) {
        keepMethod(observation, pairValue, pairValueBytes);
      } else if (isText(pairName, pairNameBytes, pathHeader)) {
        keepPath(observation, pairValue, pairValueBytes);
      } else if (isText(pairName, pairNameBytes, contentTypeHeader)) {
        keepMediaType(observation, Field.RequestContentType, pairValue, pairValueBytes);
      } else if (isText(pairName, pairNameBytes, contentEncodingHeader)) {
        keepMediaType(observation, Field.RequestContentEncoding, pairValue, pairValueBytes);
      } else if (isText(pairName, pairNameBytes, timeoutHeader)) {
        const timeoutMs = parseNumber(pairValue, pairValueBytes);
        if (timeoutMs > 0) observation.answerTimeoutUs = <u64>timeoutMs * 1000;
      }
    }
  }
  if (observation !== null && experiment.segmentCount > 0) readSegments(observation, experiment);
}

function readSegments(observation: Observation, experiment: Experiment): void {
  for (let index = 0; index < experiment.segmentCount; index++) {
    const name = textAt(experiment.segments, index);
    rewindHeaders();
    while (nextHeader()) {
      if (!isText(pairName, pairNameBytes, name)) continue;
      keepSegment(observation, name, pairValue, pairValueBytes);
      break;
    }
  }
}

/** -1 unless it is a number of at most nine digits. */
function parseNumber(at: usize, bytes: i32): i32 {
  if (bytes < 1 || bytes > 9) return -1;
  let value: i32 = 0;
  for (let index = 0; index < bytes; index++) {
    const digit = <i32>load<u8>(at + <usize>index) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** What a mirrored server learns: which request this is, which side it plays, and a key that makes repeats recognisable. */
function introduce(experiment: Experiment, legIndex: i32): void {
  const name = asText(legAt(experiment, legIndex).name);
  putUuid(correlationId, parsedId);
  replaceHeader(HeaderMap.Request, correlationIdHeader, correlationId, UUID_CHARS);
  replaceHeader(HeaderMap.Request, sideHeader, name.at, name.bytes);
  putIdempotencyKey(
    idempotencyKey,
    asText(experiment.name),
    asText(experiment.run),
    name,
    clientKey,
    clientKeyBytes,
    parsedId,
  );
  replaceHeader(HeaderMap.Request, idempotencyKeyHeader, idempotencyKey, UUID_CHARS);
}

function elapsedUs(observation: Observation): i64 {
  return <i64>(monotonicUs() - observation.startUs);
}

/** Digests a chunk in pieces; none of it stays here. */
function digestChunk(buffer: Buffer, bytes: i32, digest: Digest): void {
  const place = mark();
  let start = 0;
  while (start < bytes) {
    const read = readBuffer(buffer, start, min(bytes - start, PIECE_BYTES_MAX));
    if (read <= 0) return;
    addToDigest(digest, bufferAt, read);
    release(place);
    start += read;
  }
}

export function onObserverRequestBody(stream: Stream, bytes: i32, endOfStream: bool): void {
  if (stream.state !== <u8>StreamState.Observed) return;
  const observation = observationAt(stream.index);
  if (bytes > 0) digestChunk(Buffer.RequestBody, bytes, requestDigest(observation));
  if (endOfStream) observation.requestEndUs = elapsedUs(observation);
}

export function onObserverRequestTrailers(stream: Stream): void {
  if (stream.state !== <u8>StreamState.Observed) return;
  const observation = observationAt(stream.index);
  observation.requestEndUs = elapsedUs(observation);
}

export function onObserverResponse(stream: Stream, endOfStream: bool): void {
  if (stream.state === <u8>StreamState.Counted) {
    stream.flags |= COUNTED_ANSWERED;
    if (endOfStream) stream.flags |= COUNTED_COMPLETE;
    return;
  }
  if (stream.state !== <u8>StreamState.Observed) return;
  const observation = observationAt(stream.index);
  observation.answered = true;
  observation.firstByteUs = elapsedUs(observation);
  if (readHeaders(HeaderMap.Response)) {
    while (nextHeader()) {
      if (isText(pairName, pairNameBytes, statusHeader)) {
        observation.status = max(parseNumber(pairValue, pairValueBytes), 0);
      } else if (isText(pairName, pairNameBytes, contentTypeHeader)) {
        keepMediaType(observation, Field.ResponseContentType, pairValue, pairValueBytes);
      } else if (isText(pairName, pairNameBytes, contentEncodingHeader)) {
        keepMediaType(observation, Field.ResponseContentEncoding, pairValue, pairValueBytes);
      } else if (isText(pairName, pairNameBytes, grpcStatusHeader)) {
        observation.grpcStatus = <i64>parseNumber(pairValue, pairValueBytes);
      }
    }
  }
  if (endOfStream) complete(observation, observation.firstByteUs);
}

function complete(observation: Observation, atUs: i64): void {
  observation.complete = true;
  observation.endUs = atUs;
}

export function onObserverResponseBody(stream: Stream, bytes: i32, endOfStream: bool): void {
  if (stream.state === <u8>StreamState.Counted) {
    if (endOfStream) stream.flags |= COUNTED_COMPLETE;
    return;
  }
  if (stream.state !== <u8>StreamState.Observed) return;
  const observation = observationAt(stream.index);
  if (bytes <= 0 && !endOfStream) return;
  const atUs = elapsedUs(observation);
  if (bytes > 0) {
    if (observation.chunks > 0) {
      const gapUs = <u64>max<i64>(atUs - observation.lastChunkUs, 0);
      if (gapUs > observation.chunkGapMaxUs) observation.chunkGapMaxUs = gapUs;
    }
    observation.chunks++;
    observation.lastChunkUs = atUs;
    digestChunk(Buffer.ResponseBody, bytes, responseDigest(observation));
  }
  if (endOfStream) complete(observation, atUs);
}

/** The end of an answer with trailers, as gRPC has: its body never says that it ended. */
export function onObserverResponseTrailers(stream: Stream): void {
  if (stream.state === <u8>StreamState.Counted) {
    stream.flags |= COUNTED_COMPLETE;
    return;
  }
  if (stream.state !== <u8>StreamState.Observed) return;
  const observation = observationAt(stream.index);
  if (findHeader(HeaderMap.ResponseTrailers, grpcStatusHeader)) {
    observation.grpcStatus = <i64>parseNumber(headerValue, headerValueBytes);
  }
  complete(observation, elapsedUs(observation));
}

/**
 * The leg is over. Its record leaves at once, but the primary's: that one waits for the tagger, since only then it is
 * known that no further attempt follows.
 */
export function onObserverDone(stream: Stream): void {
  const index = stream.index;
  const state = stream.state;
  const flags = stream.flags;
  const config = stream.config;
  removeStream(stream.id);
  if (state === <u8>StreamState.Counted) {
    const ending =
      (flags & COUNTED_COMPLETE) !== 0
        ? Ending.Complete
        : (flags & COUNTED_ANSWERED) !== 0
          ? Ending.Reset
          : Ending.NoAnswer;
    countEnding(index >> 8, index & 255, ending);
    countDropped(index >> 8, index & 255, Dropped.TableFull);
    if (config !== null) leaveConfig(config);
    return;
  }
  const observation = observationAt(index);
  const experiment = observation.experiment;
  if (observation.complete) {
    observation.ending = <u8>Ending.Complete;
  } else {
    observation.endUs = elapsedUs(observation);
    observation.ending = <u8>endingOf(observation);
  }
  if (experiment !== null) {
    countEnding(
      experiment.ledger,
      legAt(experiment, observation.leg).ledgerLeg,
      <i32>observation.ending,
    );
  }
  if (!observation.isPrimary) {
    publishObservation(index, true);
  } else if (observation.live < 0) {
    publishObservation(index, false);
  } else if (isLive(observation.live, observation.liveGeneration)) {
    const request = liveRequestAt(observation.live);
    const held = request.held;
    request.held = index;
    request.primaryEnding = observation.ending;
    if (held >= 0) publishObservation(held, false);
  } else {
    // The tagger went first, as when the client leaves; copies that are not yet done will ask how this ended.
    if (hasJustEnded(observation.live, observation.liveGeneration)) {
      liveRequestAt(observation.live).primaryEnding = observation.ending;
    }
    publishObservation(index, true);
  }
}

/**
 * Why an answer did not come to its end. What Envoy tells at this moment: the transport's failure when connecting failed;
 * "downstream…" in the code details when the client left the primary's leg. It does not tell a time limit from a reset:
 * the flags are set only after the leg is gone. So the elapsed time decides, against the route's timeout as Envoy told it
 * to the server, and on mirrored legs against the cluster's `max_stream_duration` as configured. A server that resets
 * just then is taken for the limit. A copy whose request is over before all of it was sent is cancelled by Envoy, after
 * the tagger's stream; then what ended the request ended the copy.
 */
function endingOf(observation: Observation): Ending {
  if (findProperty(transportFailureProperty) && propertyBytes > 0) {
    keepFailure(observation, propertyValue, propertyBytes);
  }
  if (findProperty(codeDetailsProperty) && propertyBytes > 0) {
    if (!isText(propertyValue, propertyBytes, viaUpstream)) {
      keepFailure(observation, propertyValue, propertyBytes);
    }
    if (observation.isPrimary && startsWith(propertyValue, propertyBytes, downstream)) {
      return Ending.ClientLeft;
    }
  }
  if (
    !observation.isPrimary &&
    observation.requestEndUs === UNKNOWN &&
    hasJustEnded(observation.live, observation.liveGeneration)
  ) {
    keepFailure(observation, requestCut.at, requestCut.bytes);
    const ending = liveRequestAt(observation.live).primaryEnding;
    if (ending === <u8>Ending.ClientLeft) return Ending.ClientLeft;
  }
  const cut = endedAtLimit(observation);
  if (cut) keepFailure(observation, timeLimit.at, timeLimit.bytes);
  if (!observation.answered) return Ending.NoAnswer;
  return cut ? Ending.Streaming : Ending.Reset;
}

function endedAtLimit(observation: Observation): bool {
  const experiment = observation.experiment;
  if (!observation.isPrimary && experiment !== null) {
    // The limit runs from the moment at which the copy has a connection: behind a full breaker that is much later.
    const waitedUs = max<i64>(findIntegerProperty(poolReadyProperty), 0) / 1000;
    if (isNear(observation.endUs - waitedUs, experiment.shadowTimeoutUs)) return true;
  }
  // The route's timeout runs from the end of the request.
  const requestEndUs = observation.requestEndUs;
  return (
    observation.answerTimeoutUs > 0 &&
    requestEndUs >= 0 &&
    isNear(observation.endUs - requestEndUs, observation.answerTimeoutUs)
  );
}

function isNear(us: i64, limitUs: u64): bool {
  const earlyUs = min<i64>(LIMIT_EARLY_US, <i64>limitUs / 10);
  return us >= <i64>limitUs - earlyUs && us <= <i64>limitUs + LIMIT_LATE_US;
}
