const MASK = (1n << 64n) - 1n;

function rotateLeft(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (64n - bits))) & MASK;
}

function readLittleEndian(bytes: Uint8Array, offset: number, count: number): bigint {
  let value = 0n;
  for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[offset + i] ?? 0);
  return value;
}

/**
 * SipHash-2-4 with 128-bit output, written from the paper (Aumasson, Bernstein 2012, and the reference
 * implementation's 128-bit variant) on plain bigints: slow, short, and independent of the filter's own.
 * Held to the reference implementation's vectors in test/filter/digest.test.ts.
 */
export function sipHash128(key: Uint8Array, message: Uint8Array, purpose = 0n): string {
  const k0 = readLittleEndian(key, 0, 8);
  const k1 = readLittleEndian(key, 8, 8) ^ purpose;
  let v0 = 0x736f6d6570736575n ^ k0;
  let v1 = 0x646f72616e646f6dn ^ k1 ^ 0xeen;
  let v2 = 0x6c7967656e657261n ^ k0;
  let v3 = 0x7465646279746573n ^ k1;
  const round = (): void => {
    v0 = (v0 + v1) & MASK;
    v1 = rotateLeft(v1, 13n) ^ v0;
    v0 = rotateLeft(v0, 32n);
    v2 = (v2 + v3) & MASK;
    v3 = rotateLeft(v3, 16n) ^ v2;
    v0 = (v0 + v3) & MASK;
    v3 = rotateLeft(v3, 21n) ^ v0;
    v2 = (v2 + v1) & MASK;
    v1 = rotateLeft(v1, 17n) ^ v2;
    v2 = rotateLeft(v2, 32n);
  };
  const wholeBytes = message.length - (message.length % 8);
  const absorb = (word: bigint): void => {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  };
  for (let offset = 0; offset < wholeBytes; offset += 8)
    absorb(readLittleEndian(message, offset, 8));
  const rest = readLittleEndian(message, wholeBytes, message.length % 8);
  absorb(rest | (BigInt(message.length & 0xff) << 56n));
  const squeeze = (): string => {
    for (let i = 0; i < 4; i++) round();
    const out = Buffer.alloc(8);
    out.writeBigUInt64LE(v0 ^ v1 ^ v2 ^ v3);
    return out.toString("hex");
  };
  v2 ^= 0xeen;
  const first = squeeze();
  v1 ^= 0xddn;
  return first + squeeze();
}
