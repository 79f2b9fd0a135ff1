import {
  EXPERIMENT_CHARS_MAX,
  LEG_CHARS_MAX,
  LEGS_MAX,
  PARTITIONS_MAX,
  RUN_CHARS_MAX,
  WIRE_MAJOR,
  WIRE_MINOR,
} from "../wire/format";
import {
  BATCHES_FAILED,
  BATCHES_RETRIED,
  BATCHES_SENT,
  clearLedgerCells,
  count,
  countOf,
  DROPPED_REASONS,
  defineLedgerMetrics,
  defineLegMetrics,
  droppedName,
  ENDINGS,
  endingName,
  LEDGERS_MAX,
  LEG_ATTEMPTS,
  LEG_CELLS,
  LEG_DROPPED,
  LEG_ENDINGS,
  LEG_PUBLISHED,
  LEG_REQUESTS,
  LEGS,
  ledgerCell,
  legCell,
  SAMPLED,
  SEEN,
  shareMetrics,
  UNREACHED,
  UNSAMPLED,
  UNSAMPLED_REASONS,
  unsampledName,
} from "./counters";
import { random16 } from "./host/random";
import { put, Text, text } from "./host/text";
import { putByte, putBytes, putHex, putNumber } from "./put";

/**
 * Names of experiments that this worker has ever had, with their batch numbers: they go on where they stopped when a configuration
 * comes back. Beyond it the one that was longest without a ledger is forgotten.
 */
export const EXPERIMENTS_MAX = 256;
/** A ledger's message, at most: 8 legs of about 330 bytes with all numbers at their longest, and its names. */
export const LEDGER_BYTES_MAX = 8192;
/** The longest name is the run's and the experiment's. */
const NAME_BYTES_MAX = 64;

const NO_LEDGER: i32 = -1;

/** One experiment's name and, for each partition, the number of its newest batch. */
@unmanaged
class Experiment {
  nameBytes: i32 = 0;
  lastUsed: u32 = 0;
}
const EXPERIMENT_NAME = offsetof<Experiment>();
const EXPERIMENT_NUMBERS = EXPERIMENT_NAME + NAME_BYTES_MAX;
const EXPERIMENT_BYTES: usize = EXPERIMENT_NUMBERS + <usize>PARTITIONS_MAX * 4;

/** One run of one experiment; its numbers are in counters.ts. */
@unmanaged
class Ledger {
  /** In use, or ended and kept for the case that its configuration comes back. */
  used: bool = false;
  /** The last ledger of the run was answered with PONG and nothing has happened since. */
  finished: bool = false;
  /** Written into the call that is being sent. */
  sealed: bool = false;
  sealedFinal: bool = false;
  experiment: i32 = 0;
  /** Roots that use it. */
  references: i32 = 0;
  legs: i32 = 0;
  /** Of the newest ledger message. */
  number: u32 = 0;
  /** Records in the outbox. */
  waiting: u32 = 0;
  /** Grows with each change; compared with what was last published. */
  changes: u32 = 0;
  sealedChanges: u32 = 0;
  publishedChanges: u32 = 0;
  lastUsed: u32 = 0;
  dueUs: u64 = 0;
  runBytes: i32 = 0;
}
const LEDGER_RUN = offsetof<Ledger>();
const LEDGER_LEG_NAMES = LEDGER_RUN + NAME_BYTES_MAX;
/** Each leg's name: its length, then its bytes. */
const LEG_NAME_BYTES: usize = 32;
const LEDGER_BYTES: usize = LEDGER_LEG_NAMES + <usize>LEGS_MAX * LEG_NAME_BYTES;

const experiments = heap.alloc(<usize>EXPERIMENTS_MAX * EXPERIMENT_BYTES);
memory.fill(experiments, 0, <usize>EXPERIMENTS_MAX * EXPERIMENT_BYTES);
const ledgers = heap.alloc(<usize>LEDGERS_MAX * LEDGER_BYTES);
memory.fill(ledgers, 0, <usize>LEDGERS_MAX * LEDGER_BYTES);

/** How many slots were ever used: what loops over all of them need to look at. */
export let ledgerCount: i32 = 0;
let useClock: u32 = 0;
let intervalUs: u64 = 5000000;

const WORKER_CHARS = 16;
const worker = memory.data(16);
let workerKnown = false;

export const workerBytes: i32 = WORKER_CHARS;

/** 16 hexadecimal digits, drawn once: a restarted worker is a new one. */
export function workerId(): usize {
  if (!workerKnown) {
    const random = random16();
    let to = worker;
    for (let i: usize = 0; i < 8; i++) to = putHex(to, random === 0 ? 0 : load<u8>(random + i));
    workerKnown = true;
  }
  return worker;
}

function experimentAt(index: i32): Experiment {
  return changetype<Experiment>(experiments + <usize>index * EXPERIMENT_BYTES);
}

function ledgerAt(index: i32): Ledger {
  return changetype<Ledger>(ledgers + <usize>index * LEDGER_BYTES);
}

function isLedger(index: i32): bool {
  return index >= 0 && index < ledgerCount;
}

/** Copies a name to its fixed place; -1 when it is empty or too long for the wire. */
function copyName(name: string, to: usize, charsMax: i32): i32 {
  const bytes = String.UTF8.byteLength(name);
  if (bytes < 1 || bytes > charsMax) return -1;
  String.UTF8.encodeUnsafe(changetype<usize>(name), name.length, to);
  return bytes;
}

const wanted = memory.data(64);

function findExperiment(bytes: i32): i32 {
  let oldest = NO_LEDGER;
  let oldestUse: u32 = u32.MAX_VALUE;
  for (let i = 0; i < EXPERIMENTS_MAX; i++) {
    const experiment = experimentAt(i);
    const name = changetype<usize>(experiment) + EXPERIMENT_NAME;
    if (experiment.nameBytes === bytes && memory.compare(name, wanted, <usize>bytes) === 0)
      return i;
    if (experiment.lastUsed < oldestUse && !hasLedger(i)) {
      oldest = i;
      oldestUse = experiment.lastUsed;
    }
  }
  if (oldest === NO_LEDGER) return NO_LEDGER;
  const experiment = experimentAt(oldest);
  memory.fill(changetype<usize>(experiment), 0, EXPERIMENT_BYTES);
  memory.copy(changetype<usize>(experiment) + EXPERIMENT_NAME, wanted, <usize>bytes);
  experiment.nameBytes = bytes;
  return oldest;
}

function hasLedger(experiment: i32): bool {
  for (let i = 0; i < ledgerCount; i++) {
    const ledger = ledgerAt(i);
    if (ledger.used && ledger.experiment === experiment) return true;
  }
  return false;
}

/** Nothing that is still to be published would be lost by giving it to another run. */
function isFree(ledger: Ledger): bool {
  if (!ledger.used) return true;
  if (ledger.references > 0 || ledger.waiting > 0 || ledger.sealed) return false;
  return ledger.finished || ledger.changes === 0;
}

/** At configuration. The slot of this run, made when it is new; -1 when all are in use. */
export function openLedger(experiment: string, run: string): i32 {
  const nameBytes = copyName(experiment, wanted, EXPERIMENT_CHARS_MAX);
  if (nameBytes < 0) return NO_LEDGER;
  const place = findExperiment(nameBytes);
  if (place < 0) return NO_LEDGER;
  useClock++;
  experimentAt(place).lastUsed = useClock;
  const runBytes = copyName(run, wanted, RUN_CHARS_MAX);
  if (runBytes < 0) return NO_LEDGER;

  let free = NO_LEDGER;
  let freeUse: u32 = u32.MAX_VALUE;
  for (let i = 0; i < LEDGERS_MAX; i++) {
    const ledger = ledgerAt(i);
    const name = changetype<usize>(ledger) + LEDGER_RUN;
    const same =
      ledger.used &&
      ledger.experiment === place &&
      ledger.runBytes === runBytes &&
      memory.compare(name, wanted, <usize>runBytes) === 0;
    if (same) {
      ledger.lastUsed = useClock;
      return i;
    }
    const use = ledger.used ? ledger.lastUsed : 0;
    if (use < freeUse && isFree(ledger)) {
      free = i;
      freeUse = use;
    }
  }
  // NATS has been away through more configurations than there are slots: the oldest closing ledger is given up.
  for (let i = 0; i < LEDGERS_MAX && free === NO_LEDGER; i++) {
    if (isClosing(i) && !ledgerAt(i).sealed) free = i;
  }
  if (free === NO_LEDGER) return NO_LEDGER;
  const ledger = ledgerAt(free);
  if (ledger.used) clearLedgerCells(free);
  memory.fill(changetype<usize>(ledger), 0, LEDGER_BYTES);
  memory.copy(changetype<usize>(ledger) + LEDGER_RUN, wanted, <usize>runBytes);
  ledger.runBytes = runBytes;
  ledger.experiment = place;
  ledger.lastUsed = useClock;
  const relative = sameExperiment(free, place);
  if (relative !== NO_LEDGER) shareMetrics(ledgerCell(relative), ledgerCell(free), LEGS);
  else defineLedgerMetrics(free, experiment);
  ledger.used = true;
  if (free >= ledgerCount) ledgerCount = free + 1;
  return free;
}

function sameExperiment(except: i32, experiment: i32): i32 {
  for (let i = 0; i < ledgerCount; i++) {
    if (i !== except && ledgerAt(i).used && ledgerAt(i).experiment === experiment) return i;
  }
  return NO_LEDGER;
}

function legName(ledger: i32, leg: i32): usize {
  return changetype<usize>(ledgerAt(ledger)) + LEDGER_LEG_NAMES + <usize>leg * LEG_NAME_BYTES;
}

function findLeg(ledger: i32, bytes: i32): i32 {
  for (let leg = 0; leg < ledgerAt(ledger).legs; leg++) {
    const name = legName(ledger, leg);
    if (load<u8>(name) === bytes && memory.compare(name + 1, wanted, <usize>bytes) === 0)
      return leg;
  }
  return -1;
}

/** At configuration. The leg of that name, made when it is new; -1 when there are LEGS_MAX already. */
export function addLedgerLeg(ledger: i32, leg: string): i32 {
  if (!isLedger(ledger)) return -1;
  const bytes = copyName(leg, wanted, LEG_CHARS_MAX);
  if (bytes < 0) return -1;
  const found = findLeg(ledger, bytes);
  if (found >= 0) return found;
  const slot = ledgerAt(ledger);
  if (slot.legs >= LEGS_MAX) return -1;
  const made = slot.legs++;
  const name = legName(ledger, made);
  store<u8>(name, <u8>bytes);
  memory.copy(name + 1, wanted, <usize>bytes);
  for (let i = 0; i < ledgerCount; i++) {
    const other = ledgerAt(i);
    if (i === ledger || !other.used || other.experiment !== slot.experiment) continue;
    const known = findLeg(i, bytes);
    if (known < 0) continue;
    shareMetrics(legCell(i, known), legCell(ledger, made), LEG_CELLS);
    return made;
  }
  const experiment = experimentAt(slot.experiment);
  const experimentName = String.UTF8.decodeUnsafe(
    changetype<usize>(experiment) + EXPERIMENT_NAME,
    <usize>experiment.nameBytes,
  );
  defineLegMetrics(ledger, made, experimentName, leg);
  return made;
}

export function retainLedger(ledger: i32): void {
  if (!isLedger(ledger)) return;
  const slot = ledgerAt(ledger);
  slot.references++;
  slot.finished = false;
}

/** With the last root of a run its closing ledger becomes due; it leaves after the run's last record. */
export function releaseLedger(ledger: i32): void {
  if (!isLedger(ledger)) return;
  const slot = ledgerAt(ledger);
  if (slot.references > 0) slot.references--;
}

function countIn(ledger: i32, cell: i32): void {
  if (!isLedger(ledger)) return;
  const slot = ledgerAt(ledger);
  slot.changes++;
  slot.finished = false;
  count(cell, 1);
}

function isLeg(ledger: i32, leg: i32): bool {
  return isLedger(ledger) && leg >= 0 && leg < ledgerAt(ledger).legs;
}

export function countSeen(ledger: i32): void {
  countIn(ledger, ledgerCell(ledger) + SEEN);
}

export function countSampled(ledger: i32): void {
  countIn(ledger, ledgerCell(ledger) + SAMPLED);
}

export function countUnreached(ledger: i32): void {
  countIn(ledger, ledgerCell(ledger) + UNREACHED);
}

export function countUnsampled(ledger: i32, reason: i32): void {
  if (reason < 0 || reason >= UNSAMPLED_REASONS) return;
  countIn(ledger, ledgerCell(ledger) + UNSAMPLED + reason);
}

export function countAttempt(ledger: i32, leg: i32, first: bool): void {
  if (!isLeg(ledger, leg)) return;
  countIn(ledger, legCell(ledger, leg) + LEG_ATTEMPTS);
  if (first) count(legCell(ledger, leg) + LEG_REQUESTS, 1);
}

export function countEnding(ledger: i32, leg: i32, ending: i32): void {
  if (!isLeg(ledger, leg) || ending < 0 || ending >= ENDINGS) return;
  countIn(ledger, legCell(ledger, leg) + LEG_ENDINGS + ending);
}

export function countPublished(ledger: i32, leg: i32, records: u32): void {
  if (!isLeg(ledger, leg) || records === 0) return;
  countIn(ledger, legCell(ledger, leg) + LEG_PUBLISHED);
  count(legCell(ledger, leg) + LEG_PUBLISHED, <u64>records - 1);
}

export function countDropped(ledger: i32, leg: i32, reason: i32): void {
  if (!isLeg(ledger, leg) || reason < 0 || reason >= DROPPED_REASONS) return;
  countIn(ledger, legCell(ledger, leg) + LEG_DROPPED + reason);
}

/** A record of this run has entered (1) or left (-1) the outbox. */
export function countWaiting(ledger: i32, by: i32): void {
  if (!isLedger(ledger)) return;
  ledgerAt(ledger).waiting += by;
}

export function countBatchSent(ledger: i32): void {
  countIn(ledger, ledgerCell(ledger) + BATCHES_SENT);
}

export function countBatchRetried(ledger: i32): void {
  countIn(ledger, ledgerCell(ledger) + BATCHES_RETRIED);
}

export function countBatchFailed(ledger: i32): void {
  countIn(ledger, ledgerCell(ledger) + BATCHES_FAILED);
}

export function canHoldRecord(ledger: i32, leg: i32, partition: i32): bool {
  return isLeg(ledger, leg) && partition >= 0 && partition < PARTITIONS_MAX;
}

export function experimentOf(ledger: i32): i32 {
  return ledgerAt(ledger).experiment;
}

function numberPlace(experiment: i32, partition: i32): usize {
  return (
    changetype<usize>(experimentAt(experiment)) + EXPERIMENT_NUMBERS + ((<usize>partition) << 2)
  );
}

/** The next number of this worker's batches of an experiment and partition: from 1, without gaps. */
export function takeBatchNumber(experiment: i32, partition: i32): u32 {
  const place = numberPlace(experiment, partition);
  const number = load<u32>(place) + 1;
  store<u32>(place, number);
  return number;
}

/** For a batch that lost all its records before it was ever stored. Only the newest can be given back. */
export function returnBatchNumber(experiment: i32, partition: i32, number: u32): void {
  const place = numberPlace(experiment, partition);
  if (load<u32>(place) === number) store<u32>(place, number - 1);
}

export function putExperiment(to: usize, experiment: i32): usize {
  const slot = experimentAt(experiment);
  return putBytes(to, changetype<usize>(slot) + EXPERIMENT_NAME, slot.nameBytes);
}

export function putRun(to: usize, ledger: i32): usize {
  const slot = ledgerAt(ledger);
  return putBytes(to, changetype<usize>(slot) + LEDGER_RUN, slot.runBytes);
}

export function setLedgerInterval(intervalMs: i32): void {
  intervalUs = <u64>intervalMs * 1000;
}

/** The run's roots are gone and its last record has left. */
export function isClosing(ledger: i32): bool {
  const slot = ledgerAt(ledger);
  return slot.used && slot.references === 0 && slot.waiting === 0;
}

/**
 * Whether this ledger is to be sent now. A run without a request has nothing to say: Envoy also makes a VM for its main thread, which
 * serves none. `flush`: whatever has changed, and now.
 */
export function isLedgerDue(ledger: i32, nowUs: u64, flush: bool): bool {
  const slot = ledgerAt(ledger);
  if (!slot.used || slot.sealed || slot.finished || slot.changes === 0) return false;
  if (isClosing(ledger)) return true;
  if (flush) return slot.references > 0 && slot.changes !== slot.publishedChanges;
  // The first one comes an interval after the run was first seen by the clock.
  if (slot.dueUs === 0) slot.dueUs = nowUs + intervalUs;
  return nowUs >= slot.dueUs;
}

/** So that the first ledger comes one interval after the configuration, not after the first tick. */
export function startLedgerClock(nowUs: u64): void {
  for (let i = 0; i < ledgerCount; i++) {
    if (ledgerAt(i).dueUs === 0) ledgerAt(i).dueUs = nowUs + intervalUs;
  }
}

/** Takes the ledger's next number and marks it as being sent; `putLedger` writes it. */
export function sealLedger(ledger: i32): u32 {
  const slot = ledgerAt(ledger);
  slot.sealed = true;
  slot.sealedFinal = isClosing(ledger);
  slot.sealedChanges = slot.changes;
  slot.number++;
  return slot.number;
}

/** NATS has answered with PONG. */
export function finishSealedLedgers(nowUs: u64): void {
  for (let i = 0; i < ledgerCount; i++) {
    const slot = ledgerAt(i);
    if (!slot.sealed) continue;
    slot.sealed = false;
    slot.publishedChanges = slot.sealedChanges;
    slot.dueUs = nowUs + intervalUs;
    // Something may have been counted while it was under way: then another closing one follows.
    slot.finished = slot.sealedFinal && isClosing(i) && slot.changes === slot.sealedChanges;
  }
}

/** They were taken out of the call because NATS accepts no message of their size; the next interval tries again. */
export function dropSealedLedgers(nowUs: u64): void {
  for (let i = 0; i < ledgerCount; i++) {
    const slot = ledgerAt(i);
    if (!slot.sealed) continue;
    slot.sealed = false;
    slot.number--;
    slot.dueUs = nowUs + intervalUs;
    slot.finished = slot.sealedFinal;
  }
}

const TYPE = text('{"type":"ledger","version":"');
const EXPERIMENT = text('","experiment":"');
const RUN = text('","run":"');
const WORKER = text('","worker":"');
const NUMBER = text('","number":');
const CLOCK = text(',"clockUs":');
const FINAL_TRUE = text(',"final":true');
const FINAL_FALSE = text(',"final":false');
const REQUESTS_SEEN = text(',"requests":{"seen":');
const REQUESTS_SAMPLED = text(',"sampled":');
const REQUESTS_UNREACHED = text(',"unreached":');
const REQUESTS_UNSAMPLED = text(',"unsampled":{');
const LEGS_BEGIN = text('}},"legs":[');
const LEG = text('{"leg":"');
const LEG_REQUEST_COUNT = text('","requests":');
const LEG_ATTEMPT_COUNT = text(',"attempts":');
const LEG_ENDING_COUNTS = text(',"endings":{');
const LEG_PUBLISHED_COUNT = text('},"published":');
const LEG_DROPPED_COUNTS = text(',"dropped":{');
const LEG_END = text("}}");
const BATCHES = text('],"batches":{"sent":');
const RETRIED = text(',"retried":');
const FAILED = text(',"failed":');
const END = text("}}\n");

const unsampledNames = heap.alloc(UNSAMPLED_REASONS * sizeof<usize>());
for (let i = 0; i < UNSAMPLED_REASONS; i++) {
  store<usize>(unsampledNames + ((<usize>i) << 2), changetype<usize>(text(unsampledName(i))));
}
const endingNames = heap.alloc(ENDINGS * sizeof<usize>());
for (let i = 0; i < ENDINGS; i++) {
  store<usize>(endingNames + ((<usize>i) << 2), changetype<usize>(text(endingName(i))));
}
const droppedNames = heap.alloc(DROPPED_REASONS * sizeof<usize>());
for (let i = 0; i < DROPPED_REASONS; i++) {
  store<usize>(droppedNames + ((<usize>i) << 2), changetype<usize>(text(droppedName(i))));
}

/** `"name":count,…` for a row of cells. */
function putCounts(to: usize, names: usize, cells: i32, first: i32): usize {
  let out = to;
  for (let i = 0; i < cells; i++) {
    if (i > 0) out = putByte(out, 0x2c);
    out = putByte(out, 0x22);
    out = put(out, changetype<Text>(load<usize>(names + ((<usize>i) << 2))));
    out = putByte(putByte(out, 0x22), 0x3a);
    out = putNumber(out, countOf(first + i));
  }
  return out;
}

/** `major.minor` of the wire format. */
export function putVersion(to: usize): usize {
  return putNumber(putByte(putNumber(to, WIRE_MAJOR), 0x2e), WIRE_MINOR);
}

/** The ledger as sealed, one line. At most LEDGER_BYTES_MAX. */
export function putLedger(to: usize, ledger: i32, clockUs: u64): usize {
  const slot = ledgerAt(ledger);
  const cell = ledgerCell(ledger);
  let out = putVersion(put(to, TYPE));
  out = putExperiment(put(out, EXPERIMENT), slot.experiment);
  out = putRun(put(out, RUN), ledger);
  out = putBytes(put(out, WORKER), workerId(), workerBytes);
  out = putNumber(put(out, NUMBER), slot.number);
  out = putNumber(put(out, CLOCK), clockUs);
  out = put(out, slot.sealedFinal ? FINAL_TRUE : FINAL_FALSE);
  out = putNumber(put(out, REQUESTS_SEEN), countOf(cell + SEEN));
  out = putNumber(put(out, REQUESTS_SAMPLED), countOf(cell + SAMPLED));
  out = putNumber(put(out, REQUESTS_UNREACHED), countOf(cell + UNREACHED));
  out = put(out, REQUESTS_UNSAMPLED);
  out = putCounts(out, unsampledNames, UNSAMPLED_REASONS, cell + UNSAMPLED);
  out = put(out, LEGS_BEGIN);
  for (let leg = 0; leg < slot.legs; leg++) {
    const name = legName(ledger, leg);
    const first = legCell(ledger, leg);
    if (leg > 0) out = putByte(out, 0x2c);
    out = putBytes(put(out, LEG), name + 1, load<u8>(name));
    out = putNumber(put(out, LEG_REQUEST_COUNT), countOf(first + LEG_REQUESTS));
    out = putNumber(put(out, LEG_ATTEMPT_COUNT), countOf(first + LEG_ATTEMPTS));
    out = put(out, LEG_ENDING_COUNTS);
    out = putCounts(out, endingNames, ENDINGS, first + LEG_ENDINGS);
    out = putNumber(put(out, LEG_PUBLISHED_COUNT), countOf(first + LEG_PUBLISHED));
    out = put(out, LEG_DROPPED_COUNTS);
    out = putCounts(out, droppedNames, DROPPED_REASONS, first + LEG_DROPPED);
    out = put(out, LEG_END);
  }
  out = putNumber(put(out, BATCHES), countOf(cell + BATCHES_SENT));
  out = putNumber(put(out, RETRIED), countOf(cell + BATCHES_RETRIED));
  out = putNumber(put(out, FAILED), countOf(cell + BATCHES_FAILED));
  return put(out, END);
}
