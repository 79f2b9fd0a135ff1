// Records on their way to NATS: one per worker, fixed memory, one call in flight. What was sent stays here until NATS has answered
// with PONG; what finds no room is dropped and counted. Whatever NATS does, no request waits for it.

import { Dropped, RECORD_BYTES_MAX } from "../wire/format";
import {
  callAt,
  callBytes,
  finishCall,
  isSealed,
  longestMessage,
  prepareSending,
  rebuildCall,
  sealCall,
  sealedBatches,
} from "./call-body";
import {
  Cause,
  causeName,
  countCall,
  countFailure,
  defineWorkerMetrics,
  exportCounters,
  setOutboxBytes,
} from "./counters";
import { monotonicUs, wallUsAt } from "./host/clock";
import { findHeader, HeaderMap, headerValue, headerValueBytes } from "./host/headers";
import { httpCallToken, startHttpCall } from "./host/http-call";
import { LogLevel, log } from "./host/log";
import { random16 } from "./host/random";
import { HostResult } from "./host/result";
import { finishRoot } from "./host/root";
import { text } from "./host/text";
import {
  canHoldRecord,
  countDropped,
  countWaiting,
  ledgerCount,
  setLedgerInterval,
  startLedgerClock,
  workerBytes,
  workerId,
} from "./ledger";
import {
  answerError,
  answerErrorText,
  answerLacksHeaders,
  answerPayloadMax,
  answerPong,
  answerWantsTls,
  CONNECT_BYTES_MAX,
  connectAt,
  connectBytes,
  PING_BYTES,
  putPing,
  readAnswer,
  setCredentials,
} from "./nats";
import { putBytes } from "./put";
import { appendEntry, resizeRing, ringCapacity, ringUsed } from "./ring";

export const OUTBOX_BYTES_MIN = 262144;
export const OUTBOX_BYTES_MAX = 16777216;
/** Roots of one VM that live at a time: two for each listener and configuration, old and new ones. */
const ROOTS_MAX = 64;
const CLUSTER_BYTES_MAX = 256;
/** NATS' own default, until its INFO says otherwise. */
const PAYLOAD_MAX_DEFAULT: i32 = 1048576;
const BACK_OFF_MS_MAX: u64 = 10000;
/** How long after its time limit a call is still believed to be answered. Its root may be gone, and the answer with it. */
const LOST_AFTER_US: u64 = 2000000;
/** A call that was made while another context than a root was served: whose root it belongs to is not known. */
const OWNER_UNKNOWN: u32 = 0xffffffff;

enum Call {
  None = 0,
  Batches = 1,
  Probe = 2,
}

// ---- the roots of this VM. All get ticks and any of them may make the next call.

const rootIds = heap.alloc(ROOTS_MAX * 4);
/** Roots that are to stay come first, then those that wait for a last answer. */
let liveRoots: i32 = 0;
let leavingRoots: i32 = 0;

function rootAt(index: i32): u32 {
  return load<u32>(rootIds + ((<usize>index) << 2));
}

function setRoot(index: i32, rootId: u32): void {
  store<u32>(rootIds + ((<usize>index) << 2), rootId);
}

function findRoot(rootId: u32): i32 {
  for (let i = 0; i < liveRoots + leavingRoots; i++) if (rootAt(i) === rootId) return i;
  return -1;
}

function addRoot(rootId: u32): bool {
  if (findRoot(rootId) >= 0) return true;
  if (liveRoots + leavingRoots === ROOTS_MAX) return false;
  setRoot(liveRoots + leavingRoots, rootAt(liveRoots));
  setRoot(liveRoots, rootId);
  liveRoots++;
  return true;
}

function removeRoot(index: i32): void {
  if (index < liveRoots) {
    liveRoots--;
    setRoot(index, rootAt(liveRoots));
    setRoot(liveRoots, rootAt(liveRoots + leavingRoots));
  } else {
    leavingRoots--;
    setRoot(index, rootAt(liveRoots + leavingRoots));
  }
}

// ---- configuration

const cluster = heap.alloc(CLUSTER_BYTES_MAX);
let clusterBytes: i32 = 0;
let tickUs: u64 = 200000;
let callTimeoutMs: i32 = 1000;
let random: u32 = 0;

// Envoy wants these three of a call's headers; the TCP cluster sends none of them.
const CALL_HEADERS = text(
  "\x03\x00\x00\x00" +
    "\x07\x00\x00\x00\x04\x00\x00\x00" +
    "\x05\x00\x00\x00\x01\x00\x00\x00" +
    "\x0a\x00\x00\x00\x04\x00\x00\x00" +
    ":method\x00POST\x00:path\x00/\x00:authority\x00nats\x00",
);
const STATUS = text(":status");

const probe = heap.alloc(CONNECT_BYTES_MAX + PING_BYTES);

/**
 * At configuration; the newest one of the VM wins. False when something is out of its range. Memory is taken here and never later.
 */
export function configureOutbox(
  rootId: u32,
  bytes: i32,
  tickMs: i32,
  ledgerIntervalMs: i32,
  natsCluster: string,
  user: string,
  password: string,
  token: string,
  timeoutMs: i32,
): bool {
  const nameBytes = String.UTF8.byteLength(natsCluster);
  if (nameBytes < 1 || nameBytes > CLUSTER_BYTES_MAX) return false;
  if (bytes < OUTBOX_BYTES_MIN || bytes > OUTBOX_BYTES_MAX) return false;
  if (tickMs < 1 || ledgerIntervalMs < 1 || timeoutMs < 1) return false;
  if (!setCredentials(workerId(), workerBytes, user, password, token)) return false;
  if (!addRoot(rootId)) return false;
  String.UTF8.encodeUnsafe(changetype<usize>(natsCluster), natsCluster.length, cluster);
  clusterBytes = nameBytes;
  tickUs = <u64>tickMs * 1000;
  callTimeoutMs = timeoutMs;
  setLedgerInterval(ledgerIntervalMs);
  startLedgerClock(monotonicUs());
  resizeRing(bytes);
  defineWorkerMetrics();
  if (random === 0) {
    const drawn = random16();
    random = (drawn === 0 ? 0 : load<u32>(drawn)) | 1;
  }
  // Other credentials or another cluster may work at once, and INFO says how much NATS takes.
  mustProbe = true;
  nextTryUs = 0;
  failures = 0;
  return true;
}

// ---- records come in

/** Copies a record's line. False when there is no room, or it is too long: then it is dropped and counted here. */
export function offer(ledger: i32, leg: i32, partition: i32, line: usize, lineBytes: i32): bool {
  if (lineBytes < 1 || lineBytes > RECORD_BYTES_MAX) {
    countDropped(ledger, leg, Dropped.TooLarge);
    return false;
  }
  if (!canHoldRecord(ledger, leg, partition)) return false;
  if (!appendEntry(ledger, leg, partition, line, lineBytes)) {
    countDropped(ledger, leg, Dropped.OutboxFull);
    return false;
  }
  countWaiting(ledger, 1);
  // Half full before the next tick: the clock is only asked when a call could really be made.
  if (
    ringUsed() > ringCapacity() >> 1 &&
    call === Call.None &&
    !mustProbe &&
    !isSealed() &&
    nextTryUs <= workedUs &&
    liveRoots > 0
  ) {
    const nowUs = monotonicUs();
    if (sealCall(nowUs, wallUsAt(nowUs), payloadMax, false)) sendBatches(OWNER_UNKNOWN, nowUs);
  }
  return true;
}

/** More than three quarters are used: the tagger then lets requests pass unsampled instead of losing one of their halves. */
export function isFilling(): bool {
  return ringUsed() >= (ringCapacity() >> 2) * 3;
}

// ---- calls go out

let call: Call = Call.None;
let callToken: u32 = 0;
let callOwner: u32 = 0;
let callLostUs: u64 = 0;

let payloadMax: i32 = PAYLOAD_MAX_DEFAULT;
/** The next call is a CONNECT and PING alone: short enough for NATS to say what it refuses before it closes. */
let mustProbe = true;
/** The batches got no answer, and the probe is to find out why. */
let unexplained = false;
let tickedUs: u64 = 0;
let workedUs: u64 = 0;
let nextTryUs: u64 = 0;
/** Calls that failed since the last one that was taken. */
let failures: i32 = 0;
let cause: Cause = Cause.None;
let causeSinceUs: u64 = 0;

/** Every root gets ticks, those that are leaving too; the work is done once per interval. */
export function onTick(rootId: u32, nowUs: u64): void {
  const index = findRoot(rootId);
  if (index < 0 || (index >= liveRoots && liveRoots > 0)) return;
  if (tickedUs !== 0 && nowUs - tickedUs < tickUs - (tickUs >> 2)) return;
  tickedUs = nowUs;
  setOutboxBytes(<u64>ringUsed());
  exportCounters(ledgerCount);
  if (liveRoots > 0) work(rootId, nowUs);
  else sayGoodbye(rootId, nowUs);
}

function work(rootId: u32, nowUs: u64): void {
  workedUs = nowUs;
  if (call !== Call.None) {
    if (nowUs < callLostUs) return;
    // Its root was deleted, and the answer with it. The same bytes once more are stored once.
    call = Call.None;
    letRootsGo();
  }
  if (nowUs < nextTryUs) return;
  if (mustProbe) sendProbe(rootId, nowUs);
  else if (isSealed()) sendBatches(rootId, nowUs);
  else if (sealCall(nowUs, wallUsAt(nowUs), payloadMax, false)) sendBatches(rootId, nowUs);
}

function start(kind: Call, owner: u32, nowUs: u64, at: usize, bytes: i32): bool {
  countCall();
  const result = startHttpCall(
    cluster,
    clusterBytes,
    CALL_HEADERS.at,
    CALL_HEADERS.bytes,
    at,
    bytes,
    callTimeoutMs,
  );
  if (result === HostResult.Ok) {
    call = kind;
    callToken = httpCallToken;
    callOwner = owner;
    callLostUs = nowUs + <u64>callTimeoutMs * 1000 + LOST_AFTER_US;
    return true;
  }
  mustProbe = true;
  if (result === HostResult.BadArgument) {
    fail(Cause.MissingCluster, nowUs, "Envoy has no cluster of the configured name");
  } else {
    fail(
      Cause.NoEndpoint,
      nowUs,
      "the NATS cluster has no healthy endpoint or its circuit breaker is full (result " +
        result.toString() +
        ")",
    );
  }
  return false;
}

function sendBatches(owner: u32, nowUs: u64): bool {
  prepareSending();
  return start(Call.Batches, owner, nowUs, callAt(), callBytes());
}

function sendProbe(owner: u32, nowUs: u64): bool {
  const end = putPing(putBytes(probe, connectAt(), connectBytes));
  return start(Call.Probe, owner, nowUs, probe, <i32>(end - probe));
}

/** 200 ms, doubled each time up to 10 s, and a random half of it, so that workers do not come back in step. */
function backOffUs(): u64 {
  let delayMs: u64 = 200;
  for (let i = 1; i < failures && delayMs < BACK_OFF_MS_MAX; i++) delayMs <<= 1;
  if (delayMs > BACK_OFF_MS_MAX) delayMs = BACK_OFF_MS_MAX;
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  const halfUs = delayMs * 500;
  return halfUs + (<u64>random % (halfUs + 1));
}

function fail(why: Cause, nowUs: u64, message: string): void {
  failures++;
  countFailure(why);
  nextTryUs = nowUs + backOffUs();
  if (why === cause) return;
  if (cause === Cause.None) causeSinceUs = nowUs;
  cause = why;
  log(
    LogLevel.Warning,
    "NATS takes no records (" +
      causeName(why) +
      "): " +
      message +
      "; they wait in memory, and are dropped and counted when it is full",
  );
}

function succeed(nowUs: u64): void {
  failures = 0;
  nextTryUs = 0;
  unexplained = false;
  if (cause === Cause.None) return;
  const seconds = (nowUs - causeSinceUs) / 1000000;
  log(
    LogLevel.Warning,
    `NATS takes records again (${causeName(cause)} ended after ${seconds.toString()} s)`,
  );
  cause = Cause.None;
}

/**
 * `headerCount` 0: the call was reset or its time was up. No call is made in here, whatever there is to send: Envoy would give it the
 * connection that was just answered on, which NATS is closing. The next tick goes on.
 */
export function onHttpCallResponse(
  _rootId: u32,
  token: u32,
  headerCount: i32,
  bodyBytes: i32,
): void {
  if (call === Call.None || token !== callToken) return;
  const kind = call;
  call = Call.None;
  const nowUs = monotonicUs();
  const taken =
    kind === Call.Probe
      ? readProbe(headerCount, bodyBytes, nowUs)
      : readBatches(headerCount, bodyBytes, nowUs);
  // The last root's goodbye goes on with its next tick, up to the first call that fails.
  if (liveRoots > 0 || !taken) letRootsGo();
}

function hasStatus200(): bool {
  return (
    findHeader(HeaderMap.HttpCallResponse, STATUS) &&
    headerValueBytes === 3 &&
    load<u8>(headerValue) === 0x32 &&
    load<u8>(headerValue + 1) === 0x30 &&
    load<u8>(headerValue + 2) === 0x30
  );
}

function learnPayloadMax(): void {
  if (answerPayloadMax > 0) payloadMax = <i32>answerPayloadMax;
}

function noPong(): string {
  if (answerWantsTls) return "the server requires TLS: give its cluster a transport_socket";
  if (answerLacksHeaders) return "the server has message headers switched off, which records need";
  return "the connection ended without PONG";
}

function readProbe(headerCount: i32, bodyBytes: i32, nowUs: u64): bool {
  if (headerCount === 0) {
    unexplained = false;
    fail(Cause.NoAnswer, nowUs, "the connection was reset, or the server did not answer in time");
    return false;
  }
  if (!hasStatus200()) {
    unexplained = false;
    fail(Cause.Network, nowUs, "the server cannot be reached");
    return false;
  }
  readAnswer(bodyBytes);
  learnPayloadMax();
  if (answerError !== Cause.None || !answerPong) {
    unexplained = false;
    if (answerError !== Cause.None) fail(answerError, nowUs, answerErrorText());
    else fail(Cause.Protocol, nowUs, noPong());
    return false;
  }
  mustProbe = false;
  if (!isSealed()) {
    succeed(nowUs);
    return true;
  }
  if (longestMessage() > payloadMax) {
    explainSize(nowUs);
    return true;
  }
  if (unexplained) {
    unexplained = false;
    fail(
      Cause.NoAnswer,
      nowUs,
      "it answers a probe, but not " +
        sealedBatches().toString() +
        " batches in " +
        callBytes().toString() +
        " bytes",
    );
    return false;
  }
  // What kept the probe from being answered is over: the batches may go now.
  nextTryUs = 0;
  return true;
}

/** The batches were refused for their size: smaller ones follow at once, since each time less is sent. */
function explainSize(nowUs: u64): void {
  unexplained = false;
  countFailure(Cause.TooLarge);
  nextTryUs = 0;
  rebuildCall(nowUs, payloadMax);
}

function readBatches(headerCount: i32, bodyBytes: i32, nowUs: u64): bool {
  if (headerCount === 0) {
    // A reset says nothing, least of all that the password was wrong. No back-off before the probe, which has its own.
    unexplained = true;
    mustProbe = true;
    return false;
  }
  if (!hasStatus200()) {
    mustProbe = true;
    fail(Cause.Network, nowUs, "the server cannot be reached");
    return false;
  }
  readAnswer(bodyBytes);
  learnPayloadMax();
  if (answerPong && answerError === Cause.None) {
    finishCall(nowUs);
    succeed(nowUs);
    return true;
  }
  if (longestMessage() > payloadMax) {
    explainSize(nowUs);
    return true;
  }
  if (answerError === Cause.None) {
    unexplained = true;
    mustProbe = true;
    return false;
  }
  mustProbe = answerError === Cause.Authentication;
  fail(answerError, nowUs, answerErrorText());
  return false;
}

// ---- the end

/** Sends what there is from a root that is about to go; false when there is nothing or no call could be made. */
function flush(rootId: u32, nowUs: u64): bool {
  if (!isSealed() && !sealCall(nowUs, wallUsAt(nowUs), payloadMax, true)) return false;
  return sendBatches(rootId, nowUs);
}

/** All that waits, a call with each tick; then the closing ledgers. */
function sayGoodbye(rootId: u32, nowUs: u64): void {
  if (call !== Call.None && nowUs < callLostUs) return;
  const lost = call !== Call.None;
  call = Call.None;
  if (lost || !flush(rootId, nowUs)) letRootsGo();
}

function letRootsGo(): void {
  if (leavingRoots > 0) exportCounters(ledgerCount);
  while (leavingRoots > 0) {
    leavingRoots--;
    finishRoot(rootAt(liveRoots + leavingRoots));
  }
}

/**
 * True: nothing of this root is under way, it may be deleted now. False: it waits for one more answer, after which `proxy_done` is
 * called for it. The last root of the VM sends what is waiting first; with others alive they take over.
 */
export function onRootDone(rootId: u32): bool {
  const index = findRoot(rootId);
  if (index < 0) return true;
  if (index >= liveRoots) return false;
  removeRoot(index);
  const nowUs = monotonicUs();
  const underWay = call !== Call.None && (callOwner === rootId || callOwner === OWNER_UNKNOWN);
  if (!underWay && (liveRoots > 0 || call !== Call.None || !flush(rootId, nowUs))) {
    exportCounters(ledgerCount);
    return true;
  }
  setRoot(liveRoots + leavingRoots, rootId);
  leavingRoots++;
  return false;
}

/** A call of this root will never be answered: another root sends the same bytes again. */
export function onRootDelete(rootId: u32): void {
  const index = findRoot(rootId);
  if (index >= 0) removeRoot(index);
  if (call !== Call.None && callOwner === rootId) {
    call = Call.None;
    nextTryUs = 0;
  }
}
