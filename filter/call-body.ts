// The body of one call to NATS: CONNECT, due ledgers, one batch for each experiment and partition, PING. Once sealed it keeps its
// bytes until it is answered with PONG: a repeat then has the same message ids and is stored once. CONNECT alone may change,
// with the configuration.

import {
  BATCH_BYTES_MAX,
  Dropped,
  PARTITIONS_MAX,
  SUBJECT_LEDGER,
  SUBJECT_PREFIX,
} from "../wire/format";
import { LEDGERS_MAX } from "./counters";
import { put, text } from "./host/text";
import {
  countBatchFailed,
  countBatchRetried,
  countBatchSent,
  countDropped,
  countPublished,
  countWaiting,
  dropSealedLedgers,
  EXPERIMENTS_MAX,
  experimentOf,
  finishSealedLedgers,
  isLedgerDue,
  LEDGER_BYTES_MAX,
  ledgerCount,
  putExperiment,
  putLedger,
  putRun,
  putVersion,
  returnBatchNumber,
  sealLedger,
  takeBatchNumber,
  workerBytes,
  workerId,
} from "./ledger";
import {
  CONNECT_BYTES_MAX,
  connectAt,
  connectBytes,
  headerBytesOf,
  PING_BYTES,
  putLineEnd,
  putPing,
  putPublish,
} from "./nats";
import { putByte, putBytes, putNumber } from "./put";
import {
  EntryState,
  entryLedger,
  entryLeg,
  entryLine,
  entryLineBytes,
  entryPartition,
  entryState,
  firstEntry,
  nextEntry,
  setEntryState,
  trimRing,
} from "./ring";

/** All batches of one call: what a worker sends at a time, and what a failed call repeats. */
export const CALL_BYTES_MAX = 1048576;
/** Batches in one call. */
const GROUPS_MAX = 512;
/** Before and after a batch's records: HPUB line, message id, the batch's own header line, line ends. About 450 at the longest names. */
const OVERHEAD_BYTES_MAX = 640;
/** Of these, what counts against max_payload and BATCH_BYTES_MAX. */
const COUNTED_OVERHEAD_BYTES_MAX = 448;
const LEDGERS_BYTES_MAX = LEDGERS_MAX * (LEDGER_BYTES_MAX + OVERHEAD_BYTES_MAX);

/** A batch in the making: the records of one run and partition. */
@unmanaged
class Group {
  ledger: i32 = 0;
  experiment: i32 = 0;
  partition: i32 = 0;
  number: u32 = 0;
  /** How often its number was built again in smaller pieces. */
  rebuilt: i32 = 0;
  records: i32 = 0;
  recordBytes: i32 = 0;
  /** Header and payload, what NATS compares with its max_payload. */
  messageBytes: i32 = 0;
  /** Where its next record is written. */
  cursor: usize = 0;
  full: bool = false;
}

const groups = heap.alloc(GROUPS_MAX * offsetof<Group>());
let groupCount: i32 = 0;
/** For each experiment and partition the place of its group in `groups`, plus 1. */
const GROUP_INDEX_BYTES: usize = EXPERIMENTS_MAX * PARTITIONS_MAX * 2;
const groupIndex = heap.alloc(GROUP_INDEX_BYTES);
memory.fill(groupIndex, 0, GROUP_INDEX_BYTES);

const body = heap.alloc(
  CONNECT_BYTES_MAX + LEDGERS_BYTES_MAX + CALL_BYTES_MAX + OVERHEAD_BYTES_MAX,
);
/** CONNECT ends here, whatever its length: so it can change while the messages behind it stay. */
const messagesAt = body + CONNECT_BYTES_MAX;
let batchesAt: usize = messagesAt;
let endAt: usize = messagesAt;
let ledgerBytesLongest: i32 = 0;
let clockUs: u64 = 0;
let sealed = false;
let sendings: i32 = 0;

const subject = heap.alloc(128);
const id = heap.alloc(256);
const headerLine = heap.alloc(COUNTED_OVERHEAD_BYTES_MAX);

const SUBJECT = text(`${SUBJECT_PREFIX}.`);
const LEDGER_SUBJECT = text(`.${SUBJECT_LEDGER}`);
const LEDGER_ID = text(`:${SUBJECT_LEDGER}:`);
const REBUILT = text(":r");
const BATCH_TYPE = text('{"type":"batch","version":"');
const BATCH_EXPERIMENT = text('","experiment":"');
const BATCH_PARTITION = text('","partition":');
const BATCH_WORKER = text(',"worker":"');
const BATCH_NUMBER = text('","number":');
const BATCH_RECORDS = text(',"records":');
const BATCH_CLOCK = text(',"clockUs":');
const BATCH_END = text("}\n");

function groupAt(index: i32): Group {
  return changetype<Group>(groups + <usize>index * offsetof<Group>());
}

function indexPlace(experiment: i32, partition: i32): usize {
  return groupIndex + ((<usize>(experiment * PARTITIONS_MAX + partition)) << 1);
}

function groupOf(entry: usize): Group {
  const place = indexPlace(experimentOf(entryLedger(entry)), entryPartition(entry));
  return groupAt(<i32>load<u16>(place) - 1);
}

export function isSealed(): bool {
  return sealed;
}

/** Batches in the call. */
export function sealedBatches(): i32 {
  let batches = 0;
  for (let i = 0; i < groupCount; i++) if (groupAt(i).records > 0) batches++;
  return batches;
}

export function callAt(): usize {
  return messagesAt - <usize>connectBytes;
}

export function callBytes(): i32 {
  return <i32>(endAt - messagesAt) + connectBytes;
}

/** Copies CONNECT in front of the messages and says whether they are sent for the first time. */
export function prepareSending(): void {
  memory.copy(callAt(), connectAt(), <usize>connectBytes);
  if (sendings++ === 0) return;
  for (let i = 0; i < groupCount; i++) {
    if (groupAt(i).records > 0) countBatchRetried(groupAt(i).ledger);
  }
}

/** The longest message, with its header, as NATS counts it. */
export function longestMessage(): i32 {
  let longest = ledgerBytesLongest;
  for (let i = 0; i < groupCount; i++) {
    const group = groupAt(i);
    if (group.records > 0 && group.messageBytes > longest) longest = group.messageBytes;
  }
  return longest;
}

function recordsRoom(payloadMax: i32): i32 {
  const whole = payloadMax < BATCH_BYTES_MAX ? payloadMax : BATCH_BYTES_MAX;
  return whole - COUNTED_OVERHEAD_BYTES_MAX;
}

function drop(entry: usize): void {
  countDropped(entryLedger(entry), entryLeg(entry), Dropped.TooLarge);
  countWaiting(entryLedger(entry), -1);
  setEntryState(entry, EntryState.Free);
}

/**
 * Takes what is due and what fits into a call. False when that is nothing. `payloadMax`: NATS' max_payload.
 */
export function sealCall(nowUs: u64, wallUs: u64, payloadMax: i32, flush: bool): bool {
  clockUs = wallUs;
  groupCount = 0;
  sendings = 0;
  endAt = messagesAt;
  ledgerBytesLongest = 0;
  for (let i = 0; i < ledgerCount; i++) {
    if (isLedgerDue(i, nowUs, flush)) putLedgerMessage(i);
  }
  batchesAt = endAt;
  if (ledgerBytesLongest > payloadMax) dropLedgers(nowUs);
  chooseRecords(recordsRoom(payloadMax));
  trimRing();
  for (let i = 0; i < groupCount; i++) {
    const group = groupAt(i);
    group.number = takeBatchNumber(group.experiment, group.partition);
  }
  writeBatches();
  sealed = groupCount > 0 || batchesAt > messagesAt;
  return sealed;
}

function chooseRecords(room: i32): void {
  let total = PING_BYTES;
  for (let entry = firstEntry(); entry !== 0; entry = nextEntry(entry)) {
    if (entryState(entry) !== EntryState.Waiting) continue;
    const bytes = entryLineBytes(entry);
    if (bytes > room) {
      drop(entry);
      continue;
    }
    const ledger = entryLedger(entry);
    const experiment = experimentOf(ledger);
    const place = indexPlace(experiment, entryPartition(entry));
    let index = <i32>load<u16>(place);
    if (index === 0) {
      if (groupCount === GROUPS_MAX) continue;
      if (total + OVERHEAD_BYTES_MAX + bytes > CALL_BYTES_MAX) break;
      total += OVERHEAD_BYTES_MAX;
      const made = groupAt(groupCount++);
      memory.fill(changetype<usize>(made), 0, offsetof<Group>());
      made.ledger = ledger;
      made.experiment = experiment;
      made.partition = entryPartition(entry);
      index = groupCount;
      store<u16>(place, <u16>index);
    }
    const group = groupAt(index - 1);
    // Another run of the same experiment comes with the next call: their numbers are one row.
    if (group.full || group.ledger !== ledger) continue;
    if (group.recordBytes + bytes > room) {
      // The later ones of this partition wait for the next call too, so that they leave in their order.
      group.full = true;
      continue;
    }
    if (total + bytes > CALL_BYTES_MAX) break;
    total += bytes;
    group.records++;
    group.recordBytes += bytes;
    setEntryState(entry, EntryState.Sealed);
  }
}

/** Writes the batches behind the ledgers: same groups, same bytes. */
function writeBatches(): void {
  let to = batchesAt;
  for (let i = 0; i < groupCount; i++) {
    const group = groupAt(i);
    if (group.records === 0) continue;
    const subjectBytes = <i32>(putBatchSubject(subject, group) - subject);
    const idBytes = <i32>(putBatchId(id, group) - id);
    const headerLineBytes = <i32>(putHeaderLine(headerLine, group) - headerLine);
    const payloadBytes = headerLineBytes + group.recordBytes;
    group.messageBytes = headerBytesOf(idBytes) + payloadBytes;
    to = putPublish(to, subject, subjectBytes, id, idBytes, payloadBytes);
    to = putBytes(to, headerLine, headerLineBytes);
    group.cursor = to;
    to = putLineEnd(to + <usize>group.recordBytes);
  }
  for (let entry = firstEntry(); entry !== 0; entry = nextEntry(entry)) {
    if (entryState(entry) !== EntryState.Sealed) continue;
    const group = groupOf(entry);
    group.cursor = putBytes(group.cursor, entryLine(entry), entryLineBytes(entry));
  }
  endAt = putPing(to);
}

function putBatchSubject(to: usize, group: Group): usize {
  const out = putByte(putExperiment(put(to, SUBJECT), group.experiment), 0x2e);
  return putNumber(out, group.partition);
}

/** `<worker>:<experiment>:<partition>:<number>`, with `:r<n>` when it was built again. */
function putBatchId(to: usize, group: Group): usize {
  let out = putByte(putBytes(to, workerId(), workerBytes), 0x3a);
  out = putByte(putExperiment(out, group.experiment), 0x3a);
  out = putByte(putNumber(out, group.partition), 0x3a);
  out = putNumber(out, group.number);
  return group.rebuilt === 0 ? out : putNumber(put(out, REBUILT), group.rebuilt);
}

function putHeaderLine(to: usize, group: Group): usize {
  let out = putVersion(put(to, BATCH_TYPE));
  out = putExperiment(put(out, BATCH_EXPERIMENT), group.experiment);
  out = putNumber(put(out, BATCH_PARTITION), group.partition);
  out = putBytes(put(out, BATCH_WORKER), workerId(), workerBytes);
  out = putNumber(put(out, BATCH_NUMBER), group.number);
  out = putNumber(put(out, BATCH_RECORDS), group.records);
  out = putNumber(put(out, BATCH_CLOCK), clockUs);
  return put(out, BATCH_END);
}

const ledgerLine = heap.alloc(LEDGER_BYTES_MAX);

function putLedgerMessage(ledger: i32): void {
  const number = sealLedger(ledger);
  const lineBytes = <i32>(putLedger(ledgerLine, ledger, clockUs) - ledgerLine);
  const experiment = experimentOf(ledger);
  const subjectEnd = put(putExperiment(put(subject, SUBJECT), experiment), LEDGER_SUBJECT);
  // The run stands in it, since each run counts its ledgers from 1.
  let idEnd = putByte(putBytes(id, workerId(), workerBytes), 0x3a);
  idEnd = put(putExperiment(idEnd, experiment), LEDGER_ID);
  idEnd = putNumber(putByte(putRun(idEnd, ledger), 0x3a), number);
  const idBytes = <i32>(idEnd - id);
  endAt = putPublish(endAt, subject, <i32>(subjectEnd - subject), id, idBytes, lineBytes);
  endAt = putLineEnd(putBytes(endAt, ledgerLine, lineBytes));
  const messageBytes = headerBytesOf(idBytes) + lineBytes;
  if (messageBytes > ledgerBytesLongest) ledgerBytesLongest = messageBytes;
}

function dropLedgers(nowUs: u64): void {
  dropSealedLedgers(nowUs);
  batchesAt = messagesAt;
  endAt = messagesAt;
  ledgerBytesLongest = 0;
}

/**
 * NATS takes less at a time than when the call was sealed. Batches that are too long keep their number and lose records to later
 * ones; the others keep their bytes, since they may have been stored already. A record that is too long alone is dropped.
 * False when nothing is left to send.
 */
export function rebuildCall(nowUs: u64, payloadMax: i32): bool {
  if (ledgerBytesLongest > payloadMax) dropLedgers(nowUs);
  const room = recordsRoom(payloadMax);
  for (let i = 0; i < groupCount; i++) {
    const group = groupAt(i);
    if (group.records === 0 || group.messageBytes <= payloadMax) continue;
    group.rebuilt++;
    group.records = 0;
    group.recordBytes = 0;
    group.full = true;
  }
  // `full` marks those that are chosen again; in the others it has no meaning any more.
  for (let i = 0; i < groupCount; i++) {
    const group = groupAt(i);
    group.full = group.full && group.records === 0;
  }
  for (let entry = firstEntry(); entry !== 0; entry = nextEntry(entry)) {
    if (entryState(entry) !== EntryState.Sealed) continue;
    const group = groupOf(entry);
    if (!group.full) continue;
    const bytes = entryLineBytes(entry);
    if (bytes > room) {
      drop(entry);
    } else if (group.recordBytes + bytes > room) {
      setEntryState(entry, EntryState.Waiting);
    } else {
      group.records++;
      group.recordBytes += bytes;
    }
  }
  let batches = 0;
  for (let i = 0; i < groupCount; i++) {
    const group = groupAt(i);
    group.full = false;
    if (group.records > 0) {
      batches++;
    } else if (group.number !== 0) {
      // Never stored, so its number may be used again.
      returnBatchNumber(group.experiment, group.partition, group.number);
      countBatchFailed(group.ledger);
      group.number = 0;
    }
  }
  writeBatches();
  if (batches === 0 && batchesAt === messagesAt) {
    openCall();
    return false;
  }
  return true;
}

/** NATS has answered with PONG: what the call held is gone from memory and counted as published. */
export function finishCall(nowUs: u64): void {
  for (let entry = firstEntry(); entry !== 0; entry = nextEntry(entry)) {
    if (entryState(entry) !== EntryState.Sealed) continue;
    countPublished(entryLedger(entry), entryLeg(entry), 1);
    countWaiting(entryLedger(entry), -1);
    setEntryState(entry, EntryState.Free);
  }
  for (let i = 0; i < groupCount; i++) {
    if (groupAt(i).records > 0) countBatchSent(groupAt(i).ledger);
  }
  finishSealedLedgers(nowUs);
  openCall();
}

function openCall(): void {
  for (let i = 0; i < groupCount; i++) {
    const group = groupAt(i);
    store<u16>(indexPlace(group.experiment, group.partition), 0);
  }
  groupCount = 0;
  sealed = false;
  trimRing();
}
