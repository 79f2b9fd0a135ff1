// A path without what users put into it: segments that may be data become `{…}`. By shape, since nobody tells us the
// routes. Undecided means data: a template too many is a nuisance, a customer's number in a store is a leak.
import { PARAM_CHARS_MAX, PARAMS_MAX, ROUTE_CHARS_MAX } from "../wire/format";

/** `{…}`: 5 bytes, 3 characters. */
const PLACEHOLDER_BYTES: i32 = 5;
const PLACEHOLDER_CHARS: i32 = 3;
/** The most bytes that `putRoute` writes: every segment a placeholder. */
export const ROUTE_BYTES_MAX: i32 = (ROUTE_CHARS_MAX / 4) * 6 + 6;
/** The most that `putParams` writes: quotes and a comma for each, and the brackets. */
export const PARAMS_BYTES_MAX: i32 = PARAMS_MAX * (PARAM_CHARS_MAX + 3) + 2;
const SEGMENT_CHARS_MAX: i32 = 32;
const WORD_CHARS_MAX: i32 = 20;
/** From here on, letters that are all hexadecimal digits are taken for a hash. */
const HEX_CHARS_MIN: i32 = 8;

/** Whether the last `putRoute` or `putParams` left something out. */
export let routeCut: bool = false;

function putPlaceholder(to: usize): usize {
  store<u32>(to, 0x80e27b | (0xa6 << 24)); // "{" and the ellipsis' three bytes, e2 80 a6
  store<u8>(to, 0x7d, 4);
  return to + <usize>PLACEHOLDER_BYTES;
}

/** Where the path ends: at the query, the fragment, or its end. */
export function pathBytes(at: usize, bytes: i32): i32 {
  for (let index = 0; index < bytes; index++) {
    const char = load<u8>(at + <usize>index);
    if (char === 0x3f || char === 0x23) return index;
  }
  return bytes;
}

/** Writes the template of a path (without query) and returns the place after it. ASCII but for the placeholder. */
export function putRoute(to: usize, at: usize, bytes: i32): usize {
  routeCut = false;
  let out = to;
  let charsLeft: i32 = ROUTE_CHARS_MAX;
  if (bytes <= 0) return out;
  if (load<u8>(at) !== 0x2f) {
    if (bytes === 1 && load<u8>(at) === 0x2a) {
      store<u8>(out, 0x2a); // OPTIONS *
      return out + 1;
    }
    return putPlaceholder(out);
  }
  const end = at + <usize>bytes;
  let from = at;
  while (from < end) {
    // `from` stands on a slash.
    let until = from + 1;
    while (until < end && load<u8>(until) !== 0x2f) until++;
    const length = <i32>(until - from) - 1;
    const clear = length === 0 || isClear(from + 1, length, SEGMENT_CHARS_MAX);
    const chars = 1 + (clear ? length : PLACEHOLDER_CHARS);
    if (chars > charsLeft) {
      routeCut = true;
      break;
    }
    charsLeft -= chars;
    store<u8>(out++, 0x2f);
    if (clear) {
      memory.copy(out, from + 1, <usize>length);
      out += <usize>length;
    } else {
      out = putPlaceholder(out);
    }
    from = until;
  }
  return out;
}

/**
 * Writes the names of the query's parameters as a JSON array and returns the place after it; nothing when there are
 * none. A parameter without "=" may be a value as well as a name, so it is a placeholder.
 */
export function putParams(to: usize, at: usize, bytes: i32): usize {
  routeCut = false;
  const end = at + <usize>bytes;
  let from = at + <usize>pathBytes(at, bytes);
  if (from >= end || load<u8>(from) !== 0x3f) return to;
  let out = to;
  let count = 0;
  while (from < end && load<u8>(from) !== 0x23) {
    from++;
    let until = from;
    let nameEnd: usize = 0;
    while (until < end) {
      const char = load<u8>(until);
      if (char === 0x26 || char === 0x3b || char === 0x23) break;
      if (char === 0x3d && nameEnd === 0) nameEnd = until;
      until++;
    }
    if (until > from) {
      if (count === PARAMS_MAX) {
        routeCut = true;
        break;
      }
      store<u8>(out++, count === 0 ? 0x5b : 0x2c);
      store<u8>(out++, 0x22);
      const length = <i32>(nameEnd - from);
      if (nameEnd > from && isClear(from, length, PARAM_CHARS_MAX)) {
        memory.copy(out, from, <usize>length);
        out += <usize>length;
      } else {
        out = putPlaceholder(out);
      }
      store<u8>(out++, 0x22);
      count++;
    }
    from = until;
  }
  if (count > 0) store<u8>(out++, 0x5d);
  return out;
}

function isLetter(char: u32): bool {
  return (char | 0x20) >= 0x61 && (char | 0x20) <= 0x7a;
}

function isDigit(char: u32): bool {
  return char >= 0x30 && char <= 0x39;
}

/** Words of letters with - _ . : ~ [ ] between them, and versions: "v1", "list-items", "shop.v2.Cart", "items:batchGet". */
function isClear(at: usize, bytes: i32, charsMax: i32): bool {
  if (bytes > charsMax) return false;
  const end = at + <usize>bytes;
  let word = at;
  for (let from = at; from <= end; from++) {
    const char: u32 = from < end ? load<u8>(from) : 0x2d;
    if (isLetter(char) || isDigit(char)) continue;
    const separates =
      char === 0x2d ||
      char === 0x5f ||
      char === 0x2e ||
      char === 0x3a ||
      char === 0x7e ||
      char === 0x5b ||
      char === 0x5d;
    if (!separates || !isWord(word, <i32>(from - word))) return false;
    word = from + 1;
  }
  return true;
}

function isWord(at: usize, chars: i32): bool {
  if (chars === 0) return true;
  if (chars > WORD_CHARS_MAX) return false;
  let letters: i32 = 0;
  let hexLetters: i32 = 0;
  let caseSwitches: i32 = 0;
  let before: u32 = 0;
  for (let index = 0; index < chars; index++) {
    const char: u32 = load<u8>(at + <usize>index);
    if (isDigit(char)) continue;
    letters++;
    if ((char | 0x20) <= 0x66) hexLetters++;
    if (before !== 0 && ((char ^ before) & 0x20) !== 0) caseSwitches++;
    before = char;
  }
  if (letters < chars) {
    // A version, at most "v999"; everything else with a digit in it may be a number of somebody.
    return letters === 1 && (load<u8>(at) | 0x20) === 0x76 && chars <= 4;
  }
  if (hexLetters === chars && chars >= HEX_CHARS_MIN) return false;
  // "getUser" and "GetUserByName" change case at each word; "xKqTzWbN" at each letter.
  return caseSwitches * 2 <= chars;
}
