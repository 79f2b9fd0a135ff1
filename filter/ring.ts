// The memory of records that wait for NATS: one block, allocated at configuration, entries in the order in which they came.
// An entry is a head of 16 bytes and a line. Entries in the middle may leave before the oldest; their room is free again when
// all before them have left too.

import { RECORD_BYTES_MAX } from "../wire/format";

const HEAD_BYTES: usize = 16;

export enum EntryState {
  /** Not in the call that is being sent. */
  Waiting = 0,
  /** In it. */
  Sealed = 1,
  /** Gone; also what fills the rest of the block before the entries begin again at its start. */
  Free = 2,
}

@unmanaged
class Entry {
  /** Head, line and what rounds them up; a multiple of 16. */
  bytes: u32 = 0;
  lineBytes: u16 = 0;
  partition: u16 = 0;
  ledger: u8 = 0;
  leg: u8 = 0;
  state: u8 = 0;
}

let block: usize = 0;
let capacity: usize = 0;
let head: usize = 0;
let used: usize = 0;

export function ringCapacity(): usize {
  return capacity;
}

export function ringUsed(): usize {
  return used;
}

/** At configuration only. A smaller block that could not hold what waits is refused, and the old one stays. */
export function resizeRing(bytes: i32): void {
  const wanted = <usize>bytes & ~15;
  if (wanted === capacity || used > wanted) return;
  const fresh = heap.alloc(wanted);
  let to = fresh;
  for (let entry = firstEntry(); entry !== 0; entry = nextEntry(entry)) {
    const size = <usize>changetype<Entry>(entry).bytes;
    if (changetype<Entry>(entry).state === EntryState.Free) continue;
    memory.copy(to, entry, size);
    to += size;
  }
  if (block !== 0) heap.free(block);
  block = fresh;
  capacity = wanted;
  head = 0;
  used = to - fresh;
}

/** Copies a line; false when there is no room. The caller checked the other arguments. */
export function appendEntry(
  ledger: i32,
  leg: i32,
  partition: i32,
  line: usize,
  lineBytes: i32,
): bool {
  if (lineBytes < 1 || lineBytes > RECORD_BYTES_MAX) return false;
  const bytes = (HEAD_BYTES + <usize>lineBytes + 15) & ~15;
  if (used + bytes > capacity) return false;
  let tail = head + used;
  if (tail >= capacity) {
    tail -= capacity;
  } else if (tail + bytes > capacity) {
    const rest = capacity - tail;
    if (used + rest + bytes > capacity) return false;
    const filler = changetype<Entry>(block + tail);
    filler.bytes = <u32>rest;
    filler.state = <u8>EntryState.Free;
    used += rest;
    tail = 0;
  }
  const entry = changetype<Entry>(block + tail);
  entry.bytes = <u32>bytes;
  entry.lineBytes = <u16>lineBytes;
  entry.partition = <u16>partition;
  entry.ledger = <u8>ledger;
  entry.leg = <u8>leg;
  entry.state = <u8>EntryState.Waiting;
  memory.copy(block + tail + HEAD_BYTES, line, <usize>lineBytes);
  used += bytes;
  return true;
}

let walked: usize = 0;

/** The oldest entry, 0 when there is none. One walk at a time. */
export function firstEntry(): usize {
  walked = 0;
  return used === 0 ? 0 : block + head;
}

/** The next one of the walk that `firstEntry` began; 0 at the end. */
export function nextEntry(entry: usize): usize {
  walked += <usize>changetype<Entry>(entry).bytes;
  if (walked >= used) return 0;
  const at = head + walked;
  return block + (at >= capacity ? at - capacity : at);
}

export function entryState(entry: usize): i32 {
  return changetype<Entry>(entry).state;
}

export function setEntryState(entry: usize, state: EntryState): void {
  changetype<Entry>(entry).state = <u8>state;
}

export function entryLedger(entry: usize): i32 {
  return changetype<Entry>(entry).ledger;
}

export function entryLeg(entry: usize): i32 {
  return changetype<Entry>(entry).leg;
}

export function entryPartition(entry: usize): i32 {
  return changetype<Entry>(entry).partition;
}

export function entryLine(entry: usize): usize {
  return entry + HEAD_BYTES;
}

export function entryLineBytes(entry: usize): i32 {
  return changetype<Entry>(entry).lineBytes;
}

/** Gives back the room of the oldest entries that have left. */
export function trimRing(): void {
  while (used > 0) {
    const entry = changetype<Entry>(block + head);
    if (entry.state !== EntryState.Free) return;
    used -= <usize>entry.bytes;
    head += <usize>entry.bytes;
    if (head >= capacity) head = 0;
  }
  head = 0;
}
