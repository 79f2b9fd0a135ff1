// On the client's side of Envoy: decides which requests are sampled and gives them their identity. The route then mirrors
// what carries our header; nobody else can set it, since whatever clients send under our prefix is removed first.
import {
  HEADER_CORRELATION_ID,
  HEADER_PAIR,
  HEADER_PREFIX,
  HEADER_SAMPLED,
  HEADER_SIDE,
  Unsampled,
} from "../wire/format";
import { asText, Config, Experiment, experimentAt, leaveConfig, textAt } from "./config";
import { areStreamsFull, removeStream, Stream, StreamState } from "./contexts";
import { monotonicUs, wallUsAt } from "./host/clock";
import {
  addHeader,
  HeaderMap,
  nextHeader,
  pairName,
  pairNameBytes,
  pairValue,
  pairValueBytes,
  readHeaders,
  removeHeader,
  removeHeaderNamed,
  rewindHeaders,
} from "./host/headers";
import { setProperty } from "./host/properties";
import { random16 } from "./host/random";
import { isText, startsWith, text } from "./host/text";
import { makeCorrelationId, putPair } from "./identity";
import { countSampled, countSeen, countUnreached, countUnsampled } from "./ledger";
import {
  addLiveRequest,
  areLiveRequestsFull,
  liveRequestAt,
  removeLiveRequest,
} from "./live-requests";
import { isFilling } from "./outbox";
import { areObservationsFull, publishObservation } from "./record";
import { isSampled } from "./sampling";

export const sampledHeader = text(HEADER_SAMPLED);
export const pairHeader = text(HEADER_PAIR);
const correlationIdHeader = text(HEADER_CORRELATION_ID);
const sideHeader = text(HEADER_SIDE);
const prefix = text(HEADER_PREFIX);
/** In the stream's filter state: seen on the primary leg and its retries, never on mirrored legs. */
export const pairProperty = text("shadow_pair");

const authorityHeader = text(":authority");
const methodHeader = text(":method");
const pathHeader = text(":path");
const protocolHeader = text(":protocol");
const upgradeHeader = text("upgrade");
const contentLengthHeader = text("content-length");
const contentTypeHeader = text("content-type");
const connectMethod = text("CONNECT");
const grpcType = text("application/grpc");

/** A request's length when its headers do not tell. */
const LENGTH_UNKNOWN: u64 = u64.MAX_VALUE;
const HOST_BYTES_MAX: i32 = 256;

// The request at hand; read by the functions below, valid within one callback.
let method: usize = 0;
let methodBytes: i32 = 0;
let path: usize = 0;
let pathLength: i32 = 0;
const host: usize = memory.data(256, 8);
let hostBytes: i32 = 0;
let requestBytes: u64 = 0;
let isUpgrade: bool = false;
let isGrpc: bool = false;

const correlationId: usize = memory.data(16, 8);
const pair: usize = memory.data(144, 8);

/** Also for requests that we otherwise know nothing about: whatever a client sent under our names does not pass. */
export function removeOurHeaders(): void {
  removeHeader(HeaderMap.Request, sampledHeader);
  removeHeader(HeaderMap.Request, pairHeader);
  removeHeader(HeaderMap.Request, correlationIdHeader);
  removeHeader(HeaderMap.Request, sideHeader);
}

export function onTaggerRequest(stream: Stream, config: Config, endOfStream: bool): void {
  const live = tag(config, endOfStream);
  if (live >= 0) {
    stream.state = <u8>StreamState.Tagged;
    stream.index = live;
  } else {
    removeStream(stream.id);
    leaveConfig(config);
  }
}

/** Answers the sampled request's place among the live ones, -1 for all others. */
function tag(config: Config, endOfStream: bool): i32 {
  if (!readHeaders(HeaderMap.Request)) {
    // More than we can look through: not ours to judge, but still nothing forged may pass.
    removeOurHeaders();
    return -1;
  }
  readRequest(endOfStream);
  const experiment = findExperiment(config);
  if (experiment === null) return -1;
  countSeen(experiment.ledger);
  const nowUs = monotonicUs();
  const reason = decide(experiment, nowUs);
  if (reason >= 0) {
    countUnsampled(experiment.ledger, reason);
    return -1;
  }
  const live = begin(experiment, config);
  if (live < 0) {
    countUnsampled(experiment.ledger, Unsampled.TableFull);
    return -1;
  }
  countSampled(experiment.ledger);
  return live;
}

/** One pass over all headers: removes what is under our prefix and keeps what the decision needs. */
function readRequest(endOfStream: bool): void {
  methodBytes = 0;
  pathLength = 0;
  hostBytes = 0;
  isUpgrade = false;
  isGrpc = false;
  requestBytes = endOfStream ? 0 : LENGTH_UNKNOWN;
  while (nextHeader()) {
    if (isText(pairName, pairNameBytes, methodHeader)) {
      method = pairValue;
      methodBytes = pairValueBytes;
    } else if (isText(pairName, pairNameBytes, pathHeader)) {
      path = pairValue;
      pathLength = pairValueBytes;
    } else if (isText(pairName, pairNameBytes, authorityHeader)) {
      readHost(pairValue, pairValueBytes);
    } else if (isText(pairName, pairNameBytes, contentLengthHeader)) {
      if (!endOfStream) requestBytes = parseLength(pairValue, pairValueBytes);
    } else if (isText(pairName, pairNameBytes, contentTypeHeader)) {
      isGrpc = isGrpcType(pairValue, pairValueBytes);
    } else if (
      isText(pairName, pairNameBytes, upgradeHeader) ||
      isText(pairName, pairNameBytes, protocolHeader)
    ) {
      isUpgrade = true;
    } else if (startsWith(pairName, pairNameBytes, prefix)) {
      removeHeaderNamed(HeaderMap.Request, pairName, pairNameBytes);
    }
  }
}

/** In lower case, without the port. Longer than any host name that can be configured: then no name matches. */
function readHost(at: usize, bytes: i32): void {
  let length = bytes;
  for (let index = bytes - 1; index >= 0; index--) {
    const char = load<u8>(at + <usize>index);
    if (char === 0x3a) length = index;
    if (char < 0x30 || char > 0x39) break;
  }
  hostBytes = length > HOST_BYTES_MAX ? 0 : length;
  for (let index: usize = 0; index < <usize>hostBytes; index++) {
    const char = load<u8>(at + index);
    store<u8>(host + index, char >= 0x41 && char <= 0x5a ? char | 0x20 : char);
  }
}

function parseLength(at: usize, bytes: i32): u64 {
  if (bytes < 1 || bytes > 18) return LENGTH_UNKNOWN;
  let value: u64 = 0;
  for (let index = 0; index < bytes; index++) {
    const digit = <u32>load<u8>(at + <usize>index) - 0x30;
    if (digit > 9) return LENGTH_UNKNOWN;
    value = value * 10 + digit;
  }
  return value;
}

/** "application/grpc", with a codec after "+" or parameters after ";"; not gRPC-Web, whose requests have a length. */
function isGrpcType(at: usize, bytes: i32): bool {
  if (!startsWith(at, bytes, grpcType)) return false;
  if (bytes === grpcType.bytes) return true;
  const next = load<u8>(at + <usize>grpcType.bytes);
  return next === 0x2b || next === 0x3b || next === 0x20;
}

/** The first in the configuration's order whose conditions all hold. */
function findExperiment(config: Config): Experiment | null {
  for (let index = 0; index < config.experimentCount; index++) {
    const experiment = experimentAt(config, index);
    if (
      isListed(experiment.hosts, experiment.hostCount, host, hostBytes) &&
      isListed(experiment.methods, experiment.methodCount, method, methodBytes) &&
      (experiment.pathPrefix === 0 ||
        startsWith(path, pathLength, asText(experiment.pathPrefix))) &&
      (experiment.headerName === 0 || hasHeader(experiment))
    ) {
      return experiment;
    }
  }
  return null;
}

/** An empty list asks for nothing. */
function isListed(list: usize, count: i32, at: usize, bytes: i32): bool {
  if (count === 0) return true;
  for (let index = 0; index < count; index++) {
    if (isText(at, bytes, textAt(list, index))) return true;
  }
  return false;
}

function hasHeader(experiment: Experiment): bool {
  rewindHeaders();
  const name = asText(experiment.headerName);
  while (nextHeader()) {
    if (!isText(pairName, pairNameBytes, name)) continue;
    if (experiment.headerValue === 0) return true;
    if (isText(pairValue, pairValueBytes, asText(experiment.headerValue))) return true;
  }
  return false;
}

/**
 * Why not, or -1. What the request is comes before the draw, and the draw before our own limits: so each reason counts
 * requests that nothing earlier had ruled out.
 */
function decide(experiment: Experiment, nowUs: u64): i32 {
  if (isText(method, methodBytes, connectMethod)) return Unsampled.Connect;
  if (isUpgrade) return Unsampled.Upgrade;
  if (requestBytes === LENGTH_UNKNOWN) {
    if (!isGrpc) return Unsampled.UnknownLength;
  } else if (requestBytes > experiment.requestBytesMax) {
    return Unsampled.RequestSize;
  }
  const random = random16();
  if (random === 0) return Unsampled.TableFull;
  makeCorrelationId(correlationId, wallUsAt(nowUs), random);
  if (!isSampled(correlationId, experiment.sampleThreshold)) return Unsampled.Fraction;
  if (isFilling()) return Unsampled.OutboxFull;
  if (areLiveRequestsFull() || areStreamsFull() || areObservationsFull()) {
    return Unsampled.TableFull;
  }
  return -1;
}

/** All or nothing: the header that mirrors comes last, and what came before it is taken back when it fails. */
function begin(experiment: Experiment, config: Config): i32 {
  const key = random16();
  if (key === 0) return -1;
  const live = addLiveRequest(correlationId, key, experiment, config);
  if (live < 0) return -1;
  const bytes = <i32>(putPair(pair, asText(experiment.name), correlationId, key) - pair);
  const name = asText(experiment.name);
  if (
    setProperty(pairProperty, pair, bytes) &&
    addHeader(HeaderMap.Request, pairHeader, pair, bytes) &&
    addHeader(HeaderMap.Request, sampledHeader, name.at, name.bytes)
  ) {
    return live;
  }
  removeLiveRequest(live);
  removeHeader(HeaderMap.Request, pairHeader);
  setProperty(pairProperty, pair, 0);
  return -1;
}

/** The client has its answer, or has left: no further attempt follows, so what is held back may go. */
export function onTaggerDone(stream: Stream, config: Config): void {
  const live = stream.index;
  removeStream(stream.id);
  const request = liveRequestAt(live);
  const experiment = changetype<Experiment>(request.experiment);
  if (!request.reached) countUnreached(experiment.ledger);
  const held = request.held;
  removeLiveRequest(live);
  if (held >= 0) publishObservation(held, true);
  leaveConfig(config);
}
