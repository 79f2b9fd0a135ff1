import { proxy_get_property, proxy_set_property } from "./env";
import { bytesOut, HostResult, pointerOut } from "./result";
import { Text } from "./text";

// Never ask for source.* or destination.* on an upstream leg: on a mirrored one that ends the whole Envoy process.

/** What `findProperty` found; in the arena, until the next callback. */
export let propertyValue: usize = 0;
export let propertyBytes: i32 = 0;

/** `path`: the parts of the property's name with a zero between them. False when it has no value here. */
export function findProperty(path: Text): bool {
  store<u32>(pointerOut, 0);
  store<u32>(bytesOut, 0);
  if (proxy_get_property(path.at, path.bytes, pointerOut, bytesOut) !== HostResult.Ok) return false;
  propertyValue = <usize>load<u32>(pointerOut);
  propertyBytes = propertyValue === 0 ? 0 : load<i32>(bytesOut);
  return true;
}

/** Integers come as eight bytes, little endian. -1 when it has none here. */
export function findIntegerProperty(path: Text): i64 {
  if (!findProperty(path) || propertyBytes !== 8) return -1;
  return load<i64>(propertyValue);
}

/** Kept in the stream's filter state: seen by every filter of the same request, not by its mirrored copies. */
export function setProperty(path: Text, value: usize, valueBytes: i32): bool {
  return proxy_set_property(path.at, path.bytes, value, valueBytes) === HostResult.Ok;
}
