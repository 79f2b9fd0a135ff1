import { mark } from "./arena";
import {
  proxy_add_header_map_value,
  proxy_get_header_map_pairs,
  proxy_get_header_map_value,
  proxy_remove_header_map_value,
  proxy_replace_header_map_value,
} from "./env";
import { bytesOut, HostResult, pointerOut } from "./result";
import { Text } from "./text";

export enum HeaderMap {
  Request = 0,
  RequestTrailers = 1,
  Response = 2,
  ResponseTrailers = 3,
  HttpCallResponse = 6,
}

/** The value that `findHeader` found; in the arena, until the next callback. */
export let headerValue: usize = 0;
export let headerValueBytes: i32 = 0;

/** The first of repeated ones. False when missing, and when the host refused. */
export function findHeader(map: HeaderMap, name: Text): bool {
  store<u32>(pointerOut, 0);
  store<u32>(bytesOut, 0);
  if (
    proxy_get_header_map_value(map, name.at, name.bytes, pointerOut, bytesOut) !== HostResult.Ok
  ) {
    return false;
  }
  headerValue = <usize>load<u32>(pointerOut);
  headerValueBytes = headerValue === 0 ? 0 : load<i32>(bytesOut);
  return true;
}

export function addHeader(map: HeaderMap, name: Text, value: usize, valueBytes: i32): bool {
  return proxy_add_header_map_value(map, name.at, name.bytes, value, valueBytes) === HostResult.Ok;
}

export function replaceHeader(map: HeaderMap, name: Text, value: usize, valueBytes: i32): bool {
  return (
    proxy_replace_header_map_value(map, name.at, name.bytes, value, valueBytes) === HostResult.Ok
  );
}

export function removeHeader(map: HeaderMap, name: Text): bool {
  return proxy_remove_header_map_value(map, name.at, name.bytes) === HostResult.Ok;
}

export function removeHeaderNamed(map: HeaderMap, name: usize, nameBytes: i32): bool {
  return proxy_remove_header_map_value(map, name, nameBytes) === HostResult.Ok;
}

// All headers of a map at once, in one host call: a count, then the sizes of all names and values, then the bytes, each
// name and value followed by a zero.
let pairsAt: usize = 0;
let pairsBytes: usize = 0;
let pairsLeft: i32 = 0;
let sizesAt: usize = 0;
let textAt: usize = 0;

/** The pair that `nextHeader` stands on; in the arena, until the next callback. */
export let pairName: usize = 0;
export let pairNameBytes: i32 = 0;
export let pairValue: usize = 0;
export let pairValueBytes: i32 = 0;

/** False when the host refused, which it does when they are larger than the arena's free room. */
export function readHeaders(map: HeaderMap): bool {
  pairsLeft = 0;
  pairsAt = 0;
  store<u32>(pointerOut, 0);
  store<u32>(bytesOut, 0);
  if (proxy_get_header_map_pairs(map, pointerOut, bytesOut) !== HostResult.Ok) return false;
  const at = <usize>load<u32>(pointerOut);
  const bytes = <usize>load<u32>(bytesOut);
  if (at === 0 || bytes < 4 || at + bytes > mark()) return bytes === 0;
  pairsAt = at;
  pairsBytes = bytes;
  rewindHeaders();
  return true;
}

/** Back to the first header of what `readHeaders` read. */
export function rewindHeaders(): void {
  pairsLeft = 0;
  if (pairsAt === 0) return;
  const count = load<u32>(pairsAt);
  if (count > <u32>((pairsBytes - 4) >>> 3)) return;
  pairsLeft = <i32>count;
  sizesAt = pairsAt + 4;
  textAt = sizesAt + ((<usize>count) << 3);
}

/** Steps to the next one; false at the end. Bounded by what the host really wrote, whatever the sizes claim. */
export function nextHeader(): bool {
  if (pairsLeft <= 0) return false;
  pairsLeft--;
  const nameBytes = <u64>load<u32>(sizesAt);
  const valueBytes = <u64>load<u32>(sizesAt, 4);
  sizesAt += 8;
  const end = <u64>textAt + nameBytes + valueBytes + 2;
  if (end > <u64>(pairsAt + pairsBytes)) {
    pairsLeft = 0;
    return false;
  }
  pairName = textAt;
  pairNameBytes = <i32>nameBytes;
  pairValue = textAt + <usize>nameBytes + 1;
  pairValueBytes = <i32>valueBytes;
  textAt = <usize>end;
  return true;
}
