/** Bytes at a fixed place, for the life of the VM: names of headers and properties, made once at start-up. */
@unmanaged
export class Text {
  at: usize = 0;
  bytes: i32 = 0;
}

/** Only at start-up or configuration: allocates, and is not given back unless with `freeText`. */
export function text(value: string): Text {
  const bytes = String.UTF8.byteLength(value);
  const at = heap.alloc(offsetof<Text>() + <usize>bytes);
  const made = changetype<Text>(at);
  made.at = at + offsetof<Text>();
  made.bytes = bytes;
  String.UTF8.encodeUnsafe(changetype<usize>(value), value.length, made.at);
  return made;
}

export function freeText(value: Text): void {
  heap.free(changetype<usize>(value));
}

export function sameBytes(a: usize, aBytes: i32, b: usize, bBytes: i32): bool {
  return aBytes === bBytes && memory.compare(a, b, <usize>aBytes) === 0;
}

export function isText(at: usize, bytes: i32, expected: Text): bool {
  return sameBytes(at, bytes, expected.at, expected.bytes);
}

export function startsWith(at: usize, bytes: i32, prefix: Text): bool {
  return bytes >= prefix.bytes && memory.compare(at, prefix.at, <usize>prefix.bytes) === 0;
}

/** Copies and returns the place after it. The caller made sure that it fits. */
export function put(to: usize, value: Text): usize {
  memory.copy(to, value.at, <usize>value.bytes);
  return to + <usize>value.bytes;
}
