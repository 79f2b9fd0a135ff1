import { expect, test } from "@jest/globals";
import { startProxy, storedRecords } from "../support/mirrored-request.ts";
import { ProxyHost } from "../support/proxy-host.ts";
import { sipHash128 } from "../support/siphash.ts";

// SipHash-2-4-128 of the bytes 00, 01, … under the key 00, 01, … 0f, by length. Source: the reference implementation's
// published vectors (J.-P. Aumasson, D. J. Bernstein).
const PUBLISHED: Readonly<Record<number, string>> = {
  0: "a3817f04ba25a8e66df67214c7550293",
  1: "da87c1d86b99af44347659119b22fc45",
  2: "8177228da4a45dc7fca38bdef60affe4",
  3: "9c70b60c5267a94e5f33b6b02985ed51",
  4: "f88164c12d9c8faf7d0f6e7c7bcd5579",
  5: "1368875980776f8854527a07690e9627",
  6: "14eeca338b208613485ea0308fd7a15e",
  7: "a1f1ebbed8dbc153c0b84aa61ff08239",
  8: "3b62a9ba6258f5610f83e264f31497b4",
  9: "264499060ad9baabc47f8b02bb6d71ed",
  15: "5493e99933b0a8117e08ec0f97cfc3d9",
  16: "6ee2a4ca67b054bbfd3315bf85230577",
  17: "473d06e8738db89854c066c47ae47740",
  31: "2939b0183223fafc1723de4f52c43d35",
  32: "7c3956ca5eeafc3e363e9d556546eb68",
  33: "77c6077146f01c32b6b69d5f4ea9ffcf",
  62: "5853542321f567a005d547a4f04759bd",
  63: "5150d1772f50834a503e069a973fbd7c",
};

const KEY = Uint8Array.from({ length: 16 }, (_, index) => index);
const REQUEST_BODY = 1;
const RESPONSE_BODY = 2;

/** What the filter draws: an id and a pair key by turns; every pair key is this one. */
function drawing(pairKey: Uint8Array): (count: number) => Uint8Array {
  return (count) =>
    Uint8Array.from({ length: count }, (_, index) =>
      index % 32 < 16 ? (index * 89 + 7) & 255 : (pairKey[index % 16] ?? 0),
    );
}

/** The pair key under which a body of that purpose is digested with KEY itself. */
function keyFor(purpose: number): Uint8Array {
  const key = Uint8Array.from(KEY);
  key[8] = (key[8] ?? 0) ^ purpose;
  return key;
}

function counting(bytes: number): string {
  return String.fromCharCode(...Array.from({ length: bytes }, (_, index) => index));
}

async function digestsOf(
  pairKey: Uint8Array,
  request: readonly string[],
  response: readonly string[],
): Promise<Record<string, unknown>> {
  const host = new ProxyHost({ random: drawing(pairKey) });
  const proxy = startProxy(host);
  proxy.request({
    headers: [["content-length", String(Buffer.byteLength(request.join("")))]],
    chunks: request,
    primary: [{ chunks: response }],
  });
  await host.advanceMs(1000);
  return storedRecords(host)[0] ?? {};
}

test("the test's own SipHash agrees with the published vectors", () => {
  for (const [bytes, digest] of Object.entries(PUBLISHED)) {
    expect(sipHash128(KEY, Buffer.from(counting(Number(bytes))))).toBe(digest);
  }
});

test("digests of request bodies of every length around a word are the published ones", async () => {
  for (const [bytes, digest] of Object.entries(PUBLISHED)) {
    const body = counting(Number(bytes));
    const record = await digestsOf(keyFor(REQUEST_BODY), body === "" ? [] : [body], ["ok"]);
    expect({ bytes, digest: record["requestDigest"] }).toEqual({ bytes, digest });
  }
});

test("digests of response bodies are the published ones under the response's purpose", async () => {
  const body = counting(63);
  const record = await digestsOf(keyFor(RESPONSE_BODY), [], [body]);
  expect(record["responseDigest"]).toBe(PUBLISHED[63]);
  expect(record["responseBytes"]).toBe(63);
});

test("the same bytes have the same digest however they are cut into chunks", async () => {
  const body = Array.from({ length: 200_000 }, (_, index) => (index * 7919) % 10).join("");
  const expected = sipHash128(KEY, Buffer.from(body));
  for (const sizes of [
    [200_000],
    [1, 199_999],
    [7, 9, 65_536, 65_537, 68_911],
    [8, 3, 5, 199_984],
  ]) {
    let at = 0;
    const chunks = sizes.map((size) => {
      at += size;
      return body.slice(at - size, at);
    });
    const record = await digestsOf(keyFor(REQUEST_BODY), chunks, ["ok"]);
    expect(record["requestBytes"]).toBe(200_000);
    expect(record["requestDigest"]).toBe(expected);
  }
});

test("equal bodies of two requests have digests that look unrelated", async () => {
  const host = new ProxyHost();
  const proxy = startProxy(host);
  const request = { headers: [["content-length", "4"]] as [string, string][], chunks: ["same"] };
  proxy.request({ ...request, primary: [{ chunks: ["same"] }] });
  proxy.request({ ...request, primary: [{ chunks: ["same"] }] });
  await host.advanceMs(1000);
  const digests = storedRecords(host).flatMap((record) => [
    record["requestDigest"],
    record["responseDigest"],
  ]);
  expect(digests).toHaveLength(4);
  expect(new Set(digests).size).toBe(4);
});
