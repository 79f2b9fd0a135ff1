import { proxy_get_buffer_bytes } from "./env";
import { bytesOut, HostResult, pointerOut } from "./result";

export enum Buffer {
  RequestBody = 0,
  ResponseBody = 1,
  HttpCallResponseBody = 4,
  VmConfiguration = 6,
  PluginConfiguration = 7,
}

/** The most that is copied out of Envoy at a time; a piece of the arena, so a body of any size needs no more. */
export const PIECE_BYTES_MAX = 65536;

/** What `readBuffer` read; in the arena, until the next callback or `release`. */
export let bufferAt: usize = 0;

/** Reads up to `bytes` from `start` on; answers how many there are, 0 at the end and when the host refused. */
export function readBuffer(buffer: Buffer, start: i32, bytes: i32): i32 {
  store<u32>(pointerOut, 0);
  store<u32>(bytesOut, 0);
  bufferAt = 0;
  if (proxy_get_buffer_bytes(buffer, start, bytes, pointerOut, bytesOut) !== HostResult.Ok)
    return 0;
  bufferAt = <usize>load<u32>(pointerOut);
  const read = load<i32>(bytesOut);
  return bufferAt === 0 || read < 0 || read > bytes ? 0 : read;
}
