// Writing text into memory: each returns the place after what it wrote. The caller made sure that it fits.

const DIGITS_MAX: usize = 20;
const digits = memory.data(24);

export function putByte(to: usize, byte: i32): usize {
  store<u8>(to, <u8>byte);
  return to + 1;
}

export function putBytes(to: usize, from: usize, bytes: i32): usize {
  memory.copy(to, from, <usize>bytes);
  return to + <usize>bytes;
}

export function putNumber(to: usize, value: u64): usize {
  let at = DIGITS_MAX;
  let rest = value;
  do {
    at--;
    store<u8>(digits + at, <u8>(0x30 + (rest % 10)));
    rest /= 10;
  } while (rest !== 0);
  memory.copy(to, digits + at, DIGITS_MAX - at);
  return to + (DIGITS_MAX - at);
}

/** What goes between the quotes of a JSON string; up to six times as long as what came. */
export function putEscaped(to: usize, from: usize, bytes: i32): usize {
  let out = to;
  for (let i: usize = 0; i < <usize>bytes; i++) {
    const byte = <i32>load<u8>(from + i);
    if (byte === 0x22 || byte === 0x5c) {
      out = putByte(putByte(out, 0x5c), byte);
    } else if (byte < 0x20) {
      store<u32>(out, 0x3030755c); // \u00
      out = putHex(out + 4, byte);
    } else {
      out = putByte(out, byte);
    }
  }
  return out;
}

/** Two lower-case hexadecimal digits. */
export function putHex(to: usize, byte: i32): usize {
  return putByte(putByte(to, hexDigit((byte >>> 4) & 15)), hexDigit(byte & 15));
}

function hexDigit(value: i32): i32 {
  return value < 10 ? 0x30 + value : 0x57 + value;
}
