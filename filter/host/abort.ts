import { proxy_log } from "./env";

/** Where a message that is kept in UTF-16 is narrowed for the log. */
const MESSAGE_BYTES_MAX: usize = 256;
const message = memory.data(256);

/**
 * What the compiler calls when the runtime itself finds a broken invariant (out of memory, a failed cast). Nothing on a
 * request's path can get here. Allocates nothing, since the heap may be what failed. Logs, then ends the VM: Envoy's
 * `fail_open` then lets traffic pass without us.
 */
export function abort(text: usize, _file: usize, line: u32, column: u32): void {
  let length: usize = 0;
  if (text !== 0) {
    // An AssemblyScript string: UTF-16 units, its size in bytes stands four bytes before it.
    const units = load<u32>(text - 4) >>> 1;
    while (length < MESSAGE_BYTES_MAX - 32 && length < <usize>units) {
      const unit = load<u16>(text + (length << 1));
      store<u8>(message + length, unit < 0x20 || unit > 0x7e ? 0x3f : unit);
      length++;
    }
  }
  store<u8>(message + length++, 0x40); // "@line:column"
  length = appendNumber(length, line);
  store<u8>(message + length++, 0x3a);
  length = appendNumber(length, column);
  proxy_log(5, message, <i32>length);
  unreachable();
}

function appendNumber(at: usize, value: u32): usize {
  let divisor: u32 = 1;
  while (value / divisor >= 10) divisor *= 10;
  while (divisor > 0) {
    store<u8>(message + at++, 0x30 + ((value / divisor) % 10));
    divisor /= 10;
  }
  return at;
}
