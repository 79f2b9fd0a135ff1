const text = (value: string): number[] => [value.length, ...Buffer.from(value, "latin1")];
const section = (id: number, body: readonly number[]): number[] => [id, body.length, ...body];

/** The smallest module that Envoy loads as a Proxy-Wasm 0.2.1 filter. It has no callbacks, so it does nothing. */
export function emptyWasm(): Uint8Array {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    // Types: () -> () and (i32) -> i32.
    ...section(1, [2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f]),
    ...section(3, [2, 0, 1]),
    // One page of memory.
    ...section(5, [1, 0, 1]),
    ...section(7, [
      3,
      ...[...text("memory"), 2, 0],
      ...[...text("proxy_abi_version_0_2_1"), 0, 0],
      ...[...text("malloc"), 0, 1],
    ]),
    // Function 0 does nothing; function 1 answers 0.
    ...section(10, [2, 2, 0, 0x0b, 4, 0, 0x41, 0, 0x0b]),
  ]);
}
