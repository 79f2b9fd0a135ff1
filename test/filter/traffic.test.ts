import { describe, expect, test } from "@jest/globals";
import { startProxy, storedLedgers, storedRecords } from "../support/mirrored-request.ts";
import { type Headers, ProxyHost } from "../support/proxy-host.ts";

const PRIMARY = "fraud-primary";
const SHADOW = "fraud-shadow";
const CONTROL = "fraud-control";

function names(headers: Headers | undefined): string[] {
  return (headers ?? []).map(([name]) => name);
}

const clientHeaders: Headers = [
  ["content-type", "application/json"],
  ["content-length", "2"],
  ["idempotency-key", "client-key"],
  ["x-country", "DE"],
  ["cookie", "a=1"],
  ["cookie", "b=2"],
];

describe("what the servers receive", () => {
  test("the primary gets exactly what it gets without us", () => {
    const host = new ProxyHost();
    const sampled = startProxy(host);
    const mirrored = sampled.request({
      headers: clientHeaders,
      chunks: ["{}"],
      shadows: { [SHADOW]: {} },
    });
    const without = startProxy(new ProxyHost(), { experiment: { sampleFraction: 0 } }).request({
      headers: clientHeaders,
      chunks: ["{}"],
    });
    expect(mirrored.sampled).toBe(true);
    expect(without.sampled).toBe(false);
    expect(mirrored.received.get(PRIMARY)).toEqual(without.received.get(PRIMARY));
  });

  test("so does each retry", () => {
    const host = new ProxyHost();
    const exchange = startProxy(host).request({
      headers: clientHeaders,
      chunks: ["{}"],
      primary: [{ status: 503 }, { resets: "before-headers" }, {}],
      shadows: { [SHADOW]: {} },
    });
    expect(
      names(exchange.received.get(PRIMARY)).filter((name) => name.startsWith("x-shadow")),
    ).toEqual([]);
  });

  test("mirrors get the id, their side and a key of their own, and no pair key", () => {
    const host = new ProxyHost();
    const { received } = startProxy(host).request({
      headers: clientHeaders,
      chunks: ["{}"],
      shadows: { [SHADOW]: {}, [CONTROL]: {} },
    });
    const of = (cluster: string): Map<string, string> => new Map(received.get(cluster));
    for (const [cluster, side] of [
      [SHADOW, "shadow"],
      [CONTROL, "control"],
    ] as const) {
      expect(of(cluster).get("x-shadow-side")).toBe(side);
      expect(of(cluster).get("x-shadow-correlation-id")).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
      expect(of(cluster).get("idempotency-key")).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8/);
      expect(of(cluster).has("x-shadow-pair")).toBe(false);
    }
    expect(of(SHADOW).get("idempotency-key")).not.toBe(of(CONTROL).get("idempotency-key"));
    expect(of(PRIMARY).get("idempotency-key")).toBe("client-key");
  });

  test("headers that a client forges have no effect and reach nobody", async () => {
    const host = new ProxyHost();
    const proxy = startProxy(host, { experiment: { match: { pathPrefix: "/only" } } });
    const pair = `1.fraud.01a2076b-4400-7a11-9c3d-5e6f70818293.${"a".repeat(32)}`;
    const exchange = proxy.request({
      headers: [
        ["x-shadow-sampled", "fraud"],
        ["x-shadow-pair", pair],
        ["X-Shadow-Side", "primary"],
        ["x-shadow-anything", "1"],
      ].map(([name = "", value = ""]): [string, string] => [name.toLowerCase(), value]),
      shadows: { [SHADOW]: {} },
    });
    expect(exchange.sampled).toBe(false);
    expect(
      names(exchange.received.get(PRIMARY)).filter((name) => name.startsWith("x-shadow")),
    ).toEqual([]);
    await host.advanceMs(400);
    expect(storedRecords(host)).toEqual([]);
  });
});

describe("what is recorded", () => {
  test("a retried primary makes one record a try; only the last is final", async () => {
    const host = new ProxyHost();
    startProxy(host).request({
      primary: [{ status: 503 }, { resets: "before-headers" }, { status: 200 }],
      shadows: { [SHADOW]: {} },
    });
    await host.advanceMs(400);
    const tries = storedRecords(host).filter((record) => record["leg"] === "primary");
    expect(tries.map((record) => [record["attempt"], record["final"], record["status"]])).toEqual([
      [1, false, 503],
      [2, false, 0],
      [3, true, 200],
    ]);
    expect(new Set(storedRecords(host).map((record) => record["id"])).size).toBe(1);
  });

  test.each([
    [
      "refused",
      { resets: "before-headers", transportFailure: "delayed connect error: Connection refused" },
      "no-answer",
      "delayed connect error: Connection refused",
    ],
    ["reset after headers", { resets: "after-headers" }, "reset", undefined],
    ["reset in the body", { chunks: ["x"], resets: "after-chunks" }, "reset", undefined],
    [
      "complete with trailers",
      { chunks: ["x"], trailers: [["grpc-status", "5"]] as Headers },
      "complete",
      undefined,
    ],
  ] as const)("a shadow that is %s", async (_name, behaviour, ending, failure) => {
    const host = new ProxyHost();
    startProxy(host).request({ shadows: { [SHADOW]: behaviour } });
    await host.advanceMs(400);
    const record = storedRecords(host).find((other) => other["leg"] === "shadow");
    expect(record?.["ending"]).toBe(ending);
    expect(record?.["failure"]).toBe(failure);
    const primary = storedRecords(host).find((other) => other["leg"] === "primary");
    expect(primary).toMatchObject({ ending: "complete", status: 200, final: true });
  });

  // 15 s is the limit unless configured.
  test.each([
    ["at the limit", { delayUs: 15_000_000 }, "time limit"],
    ["a little early, as Envoy's timers are", { delayUs: 14_800_000 }, "time limit"],
    ["late, on a busy machine", { delayUs: 15_900_000 }, "time limit"],
    ["well before the limit", { delayUs: 14_000_000 }, undefined],
    [
      "at the limit, after it had waited for a connection",
      { delayUs: 21_000_000, waitedUs: 6_000_000 },
      "time limit",
    ],
    [
      "at the limit's time, but most of it was waiting for a connection",
      { delayUs: 15_000_000, waitedUs: 6_000_000 },
      undefined,
    ],
  ])("a copy that ends %s", async (_name, delay, failure) => {
    for (const [chunks, answered, cut] of [
      [[], "before-headers", "no-answer"],
      [["x"], "after-chunks", failure === undefined ? "reset" : "streaming"],
    ] as const) {
      const host = new ProxyHost();
      startProxy(host).request({ shadows: { [SHADOW]: { ...delay, chunks, resets: answered } } });
      await host.advanceMs(400);
      const record = storedRecords(host).find((other) => other["leg"] === "shadow");
      expect([record?.["ending"], record?.["failure"]]).toEqual([cut, failure]);
    }
  });

  test("a client that leaves", async () => {
    const host = new ProxyHost();
    startProxy(host).request({ clientLeaves: true, shadows: { [SHADOW]: {} } });
    await host.advanceMs(400);
    const endings = storedRecords(host).map((record) => [record["leg"], record["ending"]]);
    expect(endings).toEqual([
      ["shadow", "complete"],
      ["primary", "client-left"],
    ]);
  });

  test("a mirror that a full breaker refused leaves no record, the primary's stands alone", async () => {
    const host = new ProxyHost();
    startProxy(host).request({ shadows: { [SHADOW]: "breaker-full" } });
    await host.advanceMs(400);
    expect(storedRecords(host).map((record) => record["leg"])).toEqual(["primary"]);
  });

  test("a sampled request that no leg ever saw is counted as unreached", async () => {
    const host = new ProxyHost();
    startProxy(host, { top: { ledgerIntervalMs: 1000 } }).request({ refusedLater: true });
    await host.advanceMs(2000);
    expect(storedLedgers(host).at(-1)?.requests).toMatchObject({ sampled: 1, unreached: 1 });
  });

  test("a mirror that ends after the client has its answer is still recorded", async () => {
    const host = new ProxyHost();
    startProxy(host).request({ primaryFirst: true, shadows: { [SHADOW]: { delayUs: 3_000_000 } } });
    await host.advanceMs(400);
    expect(storedRecords(host).map((record) => [record["leg"], record["final"]])).toEqual([
      ["primary", true],
      ["shadow", true],
    ]);
  });
});

describe("what is not sampled is counted by its reason", () => {
  test.each([
    ["request-size", { headers: [["content-length", "1048577"]], chunks: ["x"] }],
    ["unknown-length", { headers: [["transfer-encoding", "chunked"]], chunks: ["x"] }],
    ["upgrade", { headers: [["upgrade", "websocket"]] }],
    ["connect", { method: "CONNECT" }],
  ] as const)("%s", async (reason, request) => {
    const host = new ProxyHost();
    const proxy = startProxy(host, { top: { ledgerIntervalMs: 1000 } });
    const { headers, ...rest } = { headers: [], ...request };
    const copies = headers.map(([name, value]): [string, string] => [name, value]);
    expect(proxy.request({ ...rest, headers: copies }).sampled).toBe(false);
    await host.advanceMs(2000);
    expect(storedLedgers(host).at(-1)?.requests.unsampled[reason]).toBe(1);
  });

  test("fraction: about that many, decided by the correlation id", async () => {
    const host = new ProxyHost({ seed: 3 });
    const proxy = startProxy(host, {
      experiment: { sampleFraction: 0.25 },
      top: { ledgerIntervalMs: 1000 },
    });
    for (let i = 0; i < 2000; i++) proxy.request({});
    await host.advanceMs(3000);
    const requests = storedLedgers(host).at(-1)?.requests;
    expect(requests?.seen).toBe(2000);
    expect(requests?.sampled).toBeGreaterThan(400);
    expect(requests?.sampled).toBeLessThan(600);
    expect((requests?.sampled ?? 0) + (requests?.unsampled["fraction"] ?? 0)).toBe(2000);
  });

  test("gRPC has no length and is sampled all the same", () => {
    const host = new ProxyHost();
    const headers: Headers = [["content-type", "application/grpc+proto"]];
    expect(startProxy(host).request({ headers, chunks: ["x"] }).sampled).toBe(true);
  });
});
