import { expect, test } from "@jest/globals";
import { startProxy, storedRecords } from "../support/mirrored-request.ts";
import { type Headers, ProxyHost } from "../support/proxy-host.ts";
import { sipHash128 } from "../support/siphash.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function headerOf(headers: Headers | undefined, name: string): string | undefined {
  return headers?.find(([other]) => other === name)?.[1];
}

/** As wire/README.md defines it, from an independent SipHash. */
function idempotencyKey(leg: string, request: string): string {
  const hash = sipHash128(
    Buffer.from("shadowgraph/idem"),
    Buffer.from(`fraud\n0f3a5c7e9b1d\n${leg}\n${request}`),
  );
  const bytes = Buffer.from(hash, "hex");
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function send(
  headers: Headers,
  host = new ProxyHost(),
): { host: ProxyHost; received: ReadonlyMap<string, Headers> } {
  const proxy = startProxy(host);
  const { received } = proxy.request({
    method: "GET",
    headers,
    shadows: { "fraud-shadow": {}, "fraud-control": {} },
  });
  return { host, received };
}

test("a correlation id is a UUIDv7 of the moment, and the same on every leg", async () => {
  const { host, received } = send([]);
  const atMs = Math.floor(host.wallUs / 1000);
  await host.advanceMs(1000);
  const ids = new Set(storedRecords(host).map((record) => String(record["id"])));
  expect(ids.size).toBe(1);
  const [id = ""] = ids;
  expect(id).toMatch(UUID_V7);
  const ms = Number.parseInt(id.replace("-", "").slice(0, 12), 16);
  expect(Math.abs(ms - atMs)).toBeLessThan(1000);
  expect(headerOf(received.get("fraud-shadow"), "x-shadow-correlation-id")).toBe(id);
  expect(headerOf(received.get("fraud-control"), "x-shadow-correlation-id")).toBe(id);
});

test("a mirrored server is told its side and gets an idempotency key of its own", async () => {
  const { host, received } = send([]);
  await host.advanceMs(1000);
  const id = String(storedRecords(host)[0]?.["id"]);
  for (const leg of ["shadow", "control"]) {
    const headers = received.get(`fraud-${leg}`);
    expect(headerOf(headers, "x-shadow-side")).toBe(leg);
    const key = headerOf(headers, "idempotency-key");
    expect(key).toMatch(UUID_V8);
    expect(key).toBe(idempotencyKey(leg, `id:${id}`));
  }
});

test("a client's repeat with its own Idempotency-Key is a repeat for the shadow too, under another key", () => {
  const client = "order-7781";
  const first = send([["idempotency-key", client]], new ProxyHost({ seed: 1 }));
  const second = send([["idempotency-key", client]], new ProxyHost({ seed: 2 }));
  for (const { received } of [first, second]) {
    expect(received.get("fraud-shadow")?.filter(([name]) => name === "idempotency-key")).toEqual([
      ["idempotency-key", idempotencyKey("shadow", `client:${client}`)],
    ]);
    expect(headerOf(received.get("fraud-primary"), "idempotency-key")).toBe(client);
  }
});

test("what clients send under our names reaches nobody and decides nothing", async () => {
  const forged = "1.fraud.01a20791-06f9-77e7-b53a-2000b36d8fa3.000102030405060708090a0b0c0d0e0f";
  const { host, received } = send([
    ["x-shadow-pair", forged],
    ["x-shadow-sampled", "fraud"],
    ["x-shadow-sampled", "other"],
    ["x-shadow-side", "primary"],
    ["x-shadow-anything", "1"],
  ]);
  await host.advanceMs(1000);
  const records = storedRecords(host);
  expect(records).toHaveLength(3);
  expect(records.map((record) => record["id"])).not.toContain(
    "01a20791-06f9-77e7-b53a-2000b36d8fa3",
  );
  expect(received.get("fraud-primary")?.filter(([name]) => name.startsWith("x-shadow-"))).toEqual(
    [],
  );
  expect(
    received
      .get("fraud-shadow")
      ?.filter(([name]) => name.startsWith("x-shadow-"))
      .map(([name]) => name)
      .sort(),
  ).toEqual(["x-shadow-correlation-id", "x-shadow-side"]);
});

test("a pair header that is not exactly ours is taken off an upstream leg and otherwise ignored", async () => {
  const id = "01a20791-06f9-77e7-b53a-2000b36d8fa3";
  const key = "000102030405060708090a0b0c0d0e0f";
  const wrong = [
    "",
    "1",
    "1.fraud",
    `2.fraud.${id}.${key}`,
    `1.fraud.${id}.${key}0`,
    `1.fraud.${id}.${key.slice(1)}`,
    `1.fraud.${id.toUpperCase()}.${key}`,
    `1.fraud.${id.replace("-7", "-4")}.${key}`,
    `1.fraud.${id.replace("-b", "-c")}.${key}`,
    `1.fraud.${id.replaceAll("-", "_")}.${key}`,
    `1.fraud.${id}.${key.replace("a", "g")}`,
    `1.unknown.${id}.${key}`,
    `1..${id}.${key}`,
    `1.${"x".repeat(64)}.${id}.${key}`,
    "x".repeat(60_000),
  ];
  const host = new ProxyHost();
  const proxy = startProxy(host);
  for (const value of wrong) {
    const stream = host.openStream(proxy.roots.observer, { isMirrored: true });
    host.setProperty(stream, "xds.cluster_name", "fraud-shadow");
    const headers: Headers = [
      [":method", "GET"],
      [":path", "/"],
      ["x-shadow-pair", value],
    ];
    host.requestHeaders(stream, headers, true);
    expect(headers.map(([name]) => name)).toEqual([":method", ":path"]);
    host.closeStream(stream, false);
  }
  await host.advanceMs(1000);
  expect(storedRecords(host)).toEqual([]);
});
