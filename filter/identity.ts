// What the legs of a request share: the correlation id, the pair key, and the header that carries both.
import { EXPERIMENT_CHARS_MAX } from "../wire/format";
import { addToDigest, beginDigest, Digest, endDigest } from "./digest";
import { sameBytes, Text, text } from "./host/text";

export const UUID_CHARS: i32 = 36;
const KEY_CHARS: i32 = 32;
/** "1." + experiment + "." + correlation id + "." + key. */
export const PAIR_CHARS_MAX: i32 = 2 + EXPERIMENT_CHARS_MAX + 1 + UUID_CHARS + 1 + KEY_CHARS;

// 32 hexadecimal digits and the four dashes of a UUID stand before these of its 16 bytes.
function dashBefore(index: i32): bool {
  return index === 4 || index === 6 || index === 8 || index === 10;
}

function hexDigit(value: u32): u32 {
  return value < 10 ? 0x30 + value : 0x57 + value;
}

/** Lower case only, as we write it. 0xff for anything else. */
function hexValue(char: u32): u32 {
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  if (char >= 0x61 && char <= 0x66) return char - 0x57;
  return 0xff;
}

/** Two characters a byte; returns the place after them. */
export function putHexOf(to: usize, from: usize, bytes: i32): usize {
  let at = to;
  for (let index = 0; index < bytes; index++) {
    const byte = <u32>load<u8>(from + <usize>index);
    store<u8>(at, hexDigit(byte >>> 4));
    store<u8>(at, hexDigit(byte & 15), 1);
    at += 2;
  }
  return at;
}

/** 36 characters; returns the place after them. */
export function putUuid(to: usize, from: usize): usize {
  let at = to;
  for (let index = 0; index < 16; index++) {
    if (dashBefore(index)) store<u8>(at++, 0x2d);
    at = putHexOf(at, from + <usize>index, 1);
  }
  return at;
}

/** UUIDv7 (RFC 9562): 48 bits of milliseconds, then the random bytes, so ids sort by time and say nothing else. */
export function makeCorrelationId(to: usize, wallUs: u64, random: usize): void {
  memory.copy(to, random, 16);
  const ms = wallUs / 1000;
  store<u16>(to, bswap<u16>(<u16>(ms >> 32)));
  store<u32>(to, bswap<u32>(<u32>ms), 2);
  setVersion(to, 7);
}

function setVersion(uuid: usize, version: u32): void {
  store<u8>(uuid, (load<u8>(uuid, 6) & 0x0f) | (version << 4), 6);
  store<u8>(uuid, (load<u8>(uuid, 8) & 0x3f) | 0x80, 8);
}

/** Of the 36 characters; decides the partition (wire/README.md). */
export function fnv1a(from: usize, bytes: i32): u32 {
  let hash: u32 = 2166136261;
  for (let index = 0; index < bytes; index++) {
    hash = (hash ^ load<u8>(from + <usize>index)) * 16777619;
  }
  return hash;
}

/** Returns the place after it. The caller has PAIR_CHARS_MAX bytes. */
export function putPair(to: usize, experiment: Text, id: usize, key: usize): usize {
  store<u16>(to, 0x2e31); // "1."
  memory.copy(to + 2, experiment.at, <usize>experiment.bytes);
  let at = to + 2 + <usize>experiment.bytes;
  store<u8>(at++, 0x2e);
  at = putUuid(at, id);
  store<u8>(at++, 0x2e);
  return putHexOf(at, key, 16);
}

// What `parsePair` found.
export const parsedId: usize = memory.data(16, 8);
export const parsedKey: usize = memory.data(16, 8);
export let parsedExperiment: usize = 0;
export let parsedExperimentBytes: i32 = 0;

/** Strict: exactly what `putPair` writes, or false. Whatever somebody forged is then treated as absent. */
export function parsePair(at: usize, bytes: i32): bool {
  const experimentBytes = bytes - (2 + 1 + UUID_CHARS + 1 + KEY_CHARS);
  if (experimentBytes < 1 || experimentBytes > EXPERIMENT_CHARS_MAX) return false;
  if (load<u16>(at) !== 0x2e31) return false;
  parsedExperiment = at + 2;
  parsedExperimentBytes = experimentBytes;
  const id = parsedExperiment + <usize>experimentBytes + 1;
  const key = id + <usize>UUID_CHARS + 1;
  if (load<u8>(id - 1) !== 0x2e || load<u8>(key - 1) !== 0x2e) return false;
  return parseUuid7(id) && parseHex(key, parsedKey, 16);
}

function parseHex(from: usize, to: usize, bytes: i32): bool {
  for (let index: usize = 0; index < <usize>bytes; index++) {
    const high = hexValue(load<u8>(from + index * 2));
    const low = hexValue(load<u8>(from + index * 2, 1));
    if ((high | low) > 15) return false;
    store<u8>(to + index, (high << 4) | low);
  }
  return true;
}

function parseUuid7(from: usize): bool {
  let at = from;
  for (let index = 0; index < 16; index++) {
    if (dashBefore(index)) {
      if (load<u8>(at++) !== 0x2d) return false;
    }
    if (!parseHex(at, parsedId + <usize>index, 1)) return false;
    at += 2;
  }
  return (load<u8>(parsedId, 6) & 0xf0) === 0x70 && (load<u8>(parsedId, 8) & 0xc0) === 0x80;
}

const idempotencyKey = text("shadowgraph/idem");
const ofClient = text("client:");
const ofId = text("id:");
const newLine = text("\n");
const idempotency = changetype<Digest>(memory.data(48, 8));
const idempotencyBytes: usize = memory.data(16, 8);

/**
 * The idempotency key that a mirrored server sees, 36 characters at `to`: the same for a repeat of the same request, so
 * the shadow recognises a retry as one; never the client's own, so a store that both sides share keeps them apart.
 * `clientBytes` is 0 when the client sent none; then the correlation id stands for the request.
 */
export function putIdempotencyKey(
  to: usize,
  experiment: Text,
  run: Text,
  leg: Text,
  client: usize,
  clientBytes: i32,
  id: usize,
): void {
  beginDigest(idempotency, load<u64>(idempotencyKey.at), load<u64>(idempotencyKey.at, 8));
  addText(experiment);
  addText(newLine);
  addText(run);
  addText(newLine);
  addText(leg);
  addText(newLine);
  if (clientBytes > 0) {
    addText(ofClient);
    addToDigest(idempotency, client, clientBytes);
  } else {
    addText(ofId);
    putUuid(to, id);
    addToDigest(idempotency, to, UUID_CHARS);
  }
  endDigest(idempotency, idempotencyBytes);
  setVersion(idempotencyBytes, 8);
  putUuid(to, idempotencyBytes);
  if (sameBytes(to, UUID_CHARS, client, clientBytes)) {
    store<u8>(idempotencyBytes, load<u8>(idempotencyBytes, 15) ^ 1, 15);
    putUuid(to, idempotencyBytes);
  }
}

function addText(value: Text): void {
  addToDigest(idempotency, value.at, value.bytes);
}
