import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { createLog } from "../../analyzer/log.ts";
import { connectStore, type Store } from "../../analyzer/storage/store.ts";
import { healthy, type TestApi, testApi, testConfig } from "../support/api.ts";
import { startClickHouse, type TestClickHouse } from "../support/clickhouse.ts";
import {
  bodyDivergence,
  correlationId,
  deadLetter,
  judgedPair,
  ledger,
  observation,
  orphan,
  outcomes,
  START_US,
  statusDivergence,
} from "../support/outcomes.ts";
import { tempDir } from "../support/temp-dir.ts";

// Real queries on a machine that may be busy with other things.
jest.setTimeout(60_000);

const log = createLog({ LOG_LEVEL: "silent" });
const RUN = testConfig().experiments[0]?.run ?? "";
const OLD_RUN = "aaaaaaaaaaaa";
const FRAUD = "/api/v1/experiments/fraud";

let clickhouse: TestClickHouse;
let store: Store;
let api: TestApi;

beforeAll(async () => {
  clickhouse = await startClickHouse();
  store = await connect("shadowgraph");
  await store.migrate({ experiments: testConfig().experiments });
  await store.write(rows());
  api = testApi(store.queries);
}, 60_000);

afterAll(async () => {
  await api.close();
  await store.close();
  await clickhouse.stop();
});

function connect(database: string): Promise<Store> {
  return connectStore({ url: clickhouse.url, database, user: "default", password: "" }, log);
}

/** 120 pairs with the first shadow, 5 with the second, 10 of an older run; several share a microsecond. */
function rows() {
  const pairs = Array.from({ length: 120 }, (_, number) =>
    judgedPair({
      number,
      both: {
        run: RUN,
        route: number % 4 === 0 ? "/score/{…}" : "/health",
        method: number % 4 === 0 ? "POST" : "GET",
        segments: { "x-country": number % 3 === 0 ? "de" : "fr" },
      },
      primary: { totalUs: 1_000 },
      shadow: { totalUs: 2_000, ...(number % 20 === 0 ? { status: 500, responseBytes: 0 } : {}) },
      ...(number % 2 === 0 ? { control: { totalUs: 1_100 } } : {}),
      pair: { joinedAtUs: START_US + Math.floor(number / 7) * 1_000_000 },
      divergences: number % 20 === 0 ? [statusDivergence(200, 500), bodyDivergence()] : [],
      ...(number % 10 === 0 ? { noise: [bodyDivergence()] } : {}),
    }),
  );
  const second = Array.from({ length: 5 }, (_, number) =>
    judgedPair({ number, shadowName: "second", both: { run: RUN } }),
  );
  const old = Array.from({ length: 10 }, (_, number) =>
    judgedPair({
      number: 1_000 + number,
      both: { run: OLD_RUN },
      pair: { joinedAtUs: START_US - 86_400_000_000 + number },
    }),
  );
  return outcomes("api:1", {
    pairs: [...pairs, ...second, ...old],
    orphans: Array.from({ length: 23 }, (_, number) =>
      orphan({
        number: 2_000 + Math.floor(number / 2),
        run: RUN,
        observation: observation({
          run: RUN,
          correlationId: correlationId(2_000 + Math.floor(number / 2)),
          leg: number % 2 === 0 ? "primary" : "shadow",
        }),
        missingLeg: "shadow",
        reason: number % 2 === 0 ? "shadow-missing" : "late",
        closedAtUs: START_US + Math.floor(number / 5),
      }),
    ),
    ledgers: [
      ledger({
        run: RUN,
        requests: { seen: 400, sampled: 150, unreached: 0, unsampled: { fraction: 250 } },
      }),
    ],
    deadLetters: Array.from({ length: 11 }, (_, number) =>
      deadLetter({ sequence: 5 + Math.floor(number / 3), line: number }),
    ),
    duplicates: [{ experiment: "fraud", run: RUN, leg: "shadow", count: 4, atUs: START_US }],
  });
}

/** Follows nextCursor to the end and answers all items. */
async function everyPage(
  url: string,
  list: string,
  from: TestApi = api,
): Promise<Record<string, unknown>[]> {
  const items: Record<string, unknown>[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < 200; page++) {
    const more: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const { status, body } = await from.get(`${url}${more}`);
    expect(status).toBe(200);
    items.push(...body[list]);
    cursor = body.nextCursor;
    if (cursor === null) return items;
  }
  throw new Error("the list has no end");
}

describe("experiments", () => {
  test("are listed with the figures of their newest run, also those without any row", async () => {
    const { status, body } = await api.get("/api/v1/experiments");
    expect(status).toBe(200);
    expect(body.experiments).toHaveLength(2);
    expect(body.experiments[0]).toMatchObject({
      name: "fraud",
      primary: "fraud-primary",
      shadows: [
        { name: "shadow", build: "v2" },
        { name: "second", build: null },
      ],
      control: true,
      sampleFraction: 1,
      run: RUN,
      runs: 2,
      pairs: 125,
      divergentPairs: 6,
      orphans: 23,
      lastPairAt: "2026-01-02T03:04:22.678901Z",
    });
    expect(body.experiments[1]).toMatchObject({
      name: "search",
      run: null,
      runs: 0,
      pairs: 0,
      lastPairAt: null,
    });
  });

  test("show one with its configuration", async () => {
    const { body } = await api.get("/api/v1/experiments/search");
    expect(body.config).toMatchObject({
      match: { hosts: [], pathPrefix: null, methods: [], header: "x-canary: 1" },
      joinWindowMs: 30_000,
    });
  });

  test("that are not configured are 404 naming the known ones and the nearest", async () => {
    for (const path of ["", "/runs", "/summary", "/accounting", "/pairs", "/orphans"]) {
      const { status, headers, body } = await api.get(`/api/v1/experiments/fruad${path}`);
      expect([path, status]).toEqual([path, 404]);
      expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
      expect(body).toMatchObject({
        status: 404,
        code: "EXPERIMENT_UNKNOWN",
        known: ["fraud", "search"],
      });
      expect(body.detail).toContain("did you mean fraud?");
    }
  });

  test("list their runs, the newest first, with the label of the build", async () => {
    const { body } = await api.get(`${FRAUD}/runs`);
    expect(body.runs).toMatchObject([
      { run: RUN, pairs: 125, divergentPairs: 6, build: "v2", current: true },
      { run: OLD_RUN, pairs: 10, divergentPairs: 0, build: null, current: false },
    ]);
  });
});

describe("the summary", () => {
  test("counts what was stored, by rule, route, status, segment and minute", async () => {
    const { status, body } = await api.get(`${FRAUD}/summary`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      run: RUN,
      shadow: "shadow",
      from: null,
      to: null,
      pairs: 120,
      divergentPairs: 6,
      divergenceRate: 0.05,
      controlPairs: 60,
      bytesEqualPairs: 114,
      orphans: { late: 11, "shadow-missing": 12 },
      duplicates: 4,
      routesLeftOff: 0,
      coverage: {
        seen: 400,
        sampled: 150,
        sampledPerSeen: 0.375,
        paired: 120,
        pairsPerSampled: 0.8,
      },
    });
    expect(body.rules).toEqual([
      {
        rule: "body-digest",
        grade: "medium",
        pairs: 6,
        rate: 0.05,
        noisePairs: 12,
        noiseRate: 0.2,
      },
      { rule: "status", grade: "high", pairs: 6, rate: 0.05, noisePairs: 0, noiseRate: 0 },
    ]);
    expect(body.statuses).toEqual([
      { primary: 200, shadow: 200, pairs: 114 },
      { primary: 200, shadow: 500, pairs: 6 },
    ]);
    expect(body.routes).toMatchObject([
      {
        route: "/health",
        method: "GET",
        pairs: 90,
        divergentPairs: 0,
        rules: [{ pairs: 0, noisePairs: 6, noiseRate: 0.2 }],
      },
      { route: "/score/{…}", method: "POST", pairs: 30, divergentPairs: 6 },
    ]);
    expect(body.routes[1].rules).toHaveLength(2);
    expect(body.segments).toEqual([
      { name: "x-country", value: "fr", pairs: 80, divergentPairs: 4 },
      { name: "x-country", value: "de", pairs: 40, divergentPairs: 2 },
    ]);
    expect(body.minutes).toEqual([
      { minute: "2026-01-02T03:04:00.000000Z", pairs: 120, divergentPairs: 6 },
    ]);
    expect(body.latencyRatio.n).toBe(120);
    expect(body.latencyRatio.p50).toBeGreaterThan(1.98);
    expect(body.latencyRatio.p99).toBeLessThan(2.02);
    expect(body.controlLatencyRatio.n).toBe(60);
    expect(body.primaryUs.p95).toBeGreaterThan(990);
    expect(body.primaryUs.p95).toBeLessThan(1_010);
  });

  test("is about the asked run, shadow, route and time", async () => {
    expect((await api.get(`${FRAUD}/summary?run=${OLD_RUN}`)).body.pairs).toBe(10);
    expect((await api.get(`${FRAUD}/summary?shadow=second`)).body).toMatchObject({
      pairs: 5,
      controlLatencyRatio: null,
      controlUs: null,
    });
    const route = encodeURIComponent("/score/{…}");
    expect((await api.get(`${FRAUD}/summary?route=${route}&method=POST`)).body).toMatchObject({
      pairs: 30,
      divergenceRate: 0.2,
    });
    const later = await api.get(`${FRAUD}/summary?from=2026-01-02T03:05:30Z`);
    expect(later.body).toMatchObject({ from: "2026-01-02T03:05:00.000000Z", pairs: 0, rules: [] });
    expect(later.body.divergenceRate).toBeNull();
    expect(later.body.latencyRatio.p50).toBeNull();
    const within = await api.get(
      `${FRAUD}/summary?from=2026-01-02T04:04:30%2B01:00&to=2026-01-02T03:04:31Z`,
    );
    expect(within.body).toMatchObject({
      from: "2026-01-02T03:04:00.000000Z",
      to: "2026-01-02T03:05:00.000000Z",
      pairs: 120,
    });
  });

  test("of an experiment without rows is empty, not an error", async () => {
    const { status, body } = await api.get("/api/v1/experiments/search/summary");
    expect(status).toBe(200);
    expect(body).toMatchObject({ run: null, shadow: "shadow", pairs: 0, routes: [], minutes: [] });
    expect(body.coverage).toMatchObject({ sampled: 0, pairsPerSampled: null });
  });
});

describe("pairs", () => {
  test("come page by page, the newest first, without gaps or repeats", async () => {
    const all = await everyPage(`${FRAUD}/pairs?limit=11`, "pairs");
    const ids = all.map((pair) => pair["correlationId"]);
    expect(new Set(ids).size).toBe(120);
    expect(ids).toHaveLength(120);
    const times = all.map((pair) => String(pair["joinedAt"]));
    expect(times).toEqual([...times].sort().reverse());
    const single = await everyPage(`${FRAUD}/pairs?limit=500`, "pairs");
    expect(single.map((pair) => pair["correlationId"])).toEqual(ids);
  });

  test("of one microsecond with ids of any kind come without gaps or repeats too", async () => {
    const own = await connect("ids");
    await own.migrate();
    const ids = Array.from({ length: 90 }, (_, index) =>
      // Spread over all bits, the same at every run.
      createHash("md5")
        .update(String(index))
        .digest("hex")
        .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
    );
    await own.write(
      outcomes("ids:1", {
        pairs: ids.map((id, number) =>
          judgedPair({
            number,
            both: { run: RUN, correlationId: id },
            pair: { joinedAtUs: START_US },
          }),
        ),
        orphans: ids.map((id, number) =>
          orphan({
            number,
            run: RUN,
            correlationId: id,
            observation: observation({ run: RUN }),
            closedAtUs: START_US,
          }),
        ),
      }),
    );
    const ownApi = testApi(own.queries);
    for (const list of ["pairs", "orphans"]) {
      const found = await everyPage(`${FRAUD}/${list}?limit=13`, list, ownApi);
      expect(found.map((one) => one["correlationId"]).sort()).toEqual([...ids].sort());
    }
    await ownApi.close();
    await own.close();
  });

  test("show both legs, the control, the findings and the segments", async () => {
    const { body } = await api.get(`${FRAUD}/pairs?divergent=true&limit=1`);
    expect(body.nextCursor).not.toBeNull();
    expect(body.pairs[0]).toMatchObject({
      correlationId: correlationId(100),
      run: RUN,
      route: "/score/{…}",
      startedAt: "2026-01-02T03:04:05.679001Z",
      divergent: true,
      bytesEqual: false,
      primary: { leg: "primary", status: 200, bytes: 80, totalUs: 1_000, attempts: 1 },
      shadow: { leg: "shadow", status: 500, bytes: 0, totalUs: 2_000 },
      control: { leg: "control", totalUs: 1_100 },
      segments: { "x-country": "fr" },
    });
    expect(body.pairs[0].latencyRatio).toBeCloseTo(2, 10);
    expect(body.pairs[0].divergences.map((one: { rule: string }) => one.rule)).toEqual([
      "status",
      "body-digest",
    ]);
  });

  test("are filtered by divergence, rule, route, shadow and time", async () => {
    const ask = async (query: string) =>
      (await everyPage(`${FRAUD}/pairs?${query}`, "pairs")).length;
    expect(await ask("divergent=true")).toBe(6);
    expect(await ask("divergent=false&limit=100")).toBe(114);
    expect(await ask("rule=status&limit=4")).toBe(6);
    expect(await ask("rule=latency")).toBe(0);
    expect(await ask(`route=${encodeURIComponent("/health")}&limit=70`)).toBe(90);
    expect(await ask("shadow=second")).toBe(5);
    expect(await ask(`run=${OLD_RUN}`)).toBe(10);
    expect(await ask("from=2026-01-02T03:04:06.678901Z&to=2026-01-02T03:04:07.678901Z")).toBe(7);
    expect(await ask("from=2026-01-02T03:04:06.678902Z&to=2026-01-02T03:04:07.678901Z")).toBe(0);
  });

  test("are found one by one, whole, also with the noise of their control", async () => {
    const { status, body } = await api.get(`${FRAUD}/pairs/${correlationId(20).toUpperCase()}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      experiment: "fraud",
      correlationId: correlationId(20),
      requestBytesEqual: true,
      bytesEqualControl: true,
      noise: [{ rule: "body-digest" }],
      chunks: { primary: 1, shadow: 1 },
      cut: [],
    });
    expect(body.divergences).toHaveLength(2);
    const other = await api.get(`${FRAUD}/pairs/${correlationId(1)}?shadow=second`);
    expect(other.body.shadow.leg).toBe("second");
    expect(other.body.noise).toBeNull();
  });

  test("that are not there are 404 with what may be the reason", async () => {
    const missing = await api.get(`${FRAUD}/pairs/${correlationId(9_999)}`);
    expect(missing.status).toBe(404);
    expect(missing.body).toMatchObject({ code: "NOT_FOUND", parameter: "correlationId" });
    expect(missing.body.detail).toContain("14 days");
    const shadow = await api.get(`${FRAUD}/pairs/${correlationId(100)}?shadow=second`);
    expect(shadow.body).toMatchObject({ status: 404, known: ["shadow"] });
    expect((await api.get(`${FRAUD}/pairs/not-a-uuid`)).body).toMatchObject({
      status: 400,
      code: "PARAMETER_INVALID",
    });
  });
});

describe("orphans and dead letters", () => {
  test("come page by page without gaps or repeats, several of one request too", async () => {
    const orphans = await everyPage(`${FRAUD}/orphans?limit=4`, "orphans");
    expect(orphans).toHaveLength(23);
    expect(new Set(orphans.map((one) => `${one["correlationId"]} ${one["leg"]}`)).size).toBe(23);
    const letters = await everyPage("/api/v1/dead-letters?limit=2", "deadLetters");
    expect(letters.map((one) => one["line"])).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    expect(letters[0]).toEqual({
      sequence: 8,
      line: 10,
      subject: "shadow.v1.fraud.3",
      receivedAt: "2026-01-02T03:04:05.678901Z",
      code: "WIRE_MALFORMED",
      message: "line 3 is not JSON",
      excerpt: "{{{",
    });
  });

  test("are filtered by reason and leg", async () => {
    const late = await api.get(`${FRAUD}/orphans?reason=late`);
    expect(late.body.orphans).toHaveLength(11);
    expect(late.body.orphans[0]).toMatchObject({ reason: "late", leg: "shadow", batchLost: false });
    expect((await api.get(`${FRAUD}/orphans?leg=primary`)).body.orphans).toHaveLength(12);
    expect((await api.get("/api/v1/experiments/search/orphans")).body).toMatchObject({
      run: null,
      orphans: [],
      nextCursor: null,
    });
  });
});

describe("a wrong parameter is 400 and says what was expected", () => {
  const cases: [string, string, string][] = [
    ["/summary?shadwo=x", "shadwo", "did you mean shadow?"],
    ["/summary?limit=5", "limit", "unknown parameter"],
    ["/summary?from=yesterday", "from", "ISO 8601"],
    ["/summary?from=2026-13-45T00:00:00Z", "from", "ISO 8601"],
    ["/summary?from=2026-01-02T03:04:05", "from", "with a zone"],
    ["/summary?from=2026-01-02&to=2026-01-01", "to", "after from"],
    ["/pairs?limit=0", "limit", ">= 1"],
    ["/pairs?limit=501", "limit", "<= 500"],
    ["/pairs?limit=many", "limit", "integer"],
    ["/pairs?limit=1&limit=2", "limit", "integer"],
    ["/pairs?divergent=perhaps", "divergent", "boolean"],
    ["/pairs?cursor=!!!", "cursor", "nextCursor"],
    [`/pairs?cursor=${Buffer.from('["orphans",1]').toString("base64url")}`, "cursor", "nextCursor"],
    [
      `/pairs?cursor=${Buffer.from('["pairs",1,"\\ud800"]').toString("base64url")}`,
      "cursor",
      "nextCursor",
    ],
    ["/orphans?reason=lost", "reason", "shadow-missing"],
    ["/accounting?from=2026-01-01", "from", "unknown parameter"],
    ["/runs?run=x", "run", "no parameters"],
  ];
  for (const [path, parameter, words] of cases) {
    test(path.slice(0, 60), async () => {
      const { status, headers, body } = await api.get(`${FRAUD}${path}`);
      expect(status).toBe(400);
      expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
      expect(body).toMatchObject({
        type: "about:blank",
        status: 400,
        code: "PARAMETER_INVALID",
        parameter,
        instance: `${FRAUD}${path.split("?")[0]}`,
      });
      expect(body.detail).toContain(words);
    });
  }

  test("an unknown run or shadow is 404 with the known ones", async () => {
    expect((await api.get(`${FRAUD}/summary?run=bbbbbbbbbbbb`)).body).toMatchObject({
      status: 404,
      code: "NOT_FOUND",
      parameter: "run",
      known: [RUN, OLD_RUN],
    });
    expect((await api.get(`${FRAUD}/pairs?shadow=shdow`)).body).toMatchObject({
      status: 404,
      parameter: "shadow",
      known: ["shadow", "second"],
    });
  });

  test("hostile values are values, never SQL", async () => {
    for (const text of [
      "' OR 1=1 --",
      "{run: String}",
      "\\'; DROP TABLE pairs; --",
      "\u0000",
      "%",
    ]) {
      const value = encodeURIComponent(text);
      const route = await api.get(`${FRAUD}/pairs?route=${value}`);
      expect([text, route.status, route.body.pairs]).toEqual([text, 200, []]);
      const rule = await api.get(`${FRAUD}/pairs?rule=${value}`);
      expect([text, rule.status, rule.body.pairs]).toEqual([text, 200, []]);
      expect((await api.get(`${FRAUD}/summary?run=${value}`)).status).toBe(404);
      expect((await api.get(`/api/v1/experiments/${value}/summary`)).status).toBe(404);
    }
    expect((await api.get(`${FRAUD}/summary`)).body.pairs).toBe(120);
  });
});

describe("operation", () => {
  test("health says what is connected and how far was read; 503 while something is away", async () => {
    let snapshot = healthy();
    const own = testApi(store.queries, { health: () => snapshot });
    expect(await own.get("/health")).toMatchObject({
      status: 200,
      body: {
        status: "ok",
        nats: { state: "connected" },
        lanes: [
          { lane: 0, owner: true, sequence: 42, lagMessages: 0, watermarkAt: null, storedAt: null },
        ],
      },
    });
    expect((await own.get("/health/ready")).status).toBe(200);
    snapshot = healthy({
      clickhouse: { state: "down", since: "2026-01-02T03:04:05.000Z", message: "refused" },
    });
    expect(await own.get("/health")).toMatchObject({
      status: 503,
      body: { status: "degraded", clickhouse: { state: "away", message: "refused" } },
    });
    expect((await own.get("/health/ready")).status).toBe(503);
    expect((await own.get("/health/live")).status).toBe(200);
    await own.close();
  });

  test("metrics are Prometheus text", async () => {
    const { status, headers, body } = await api.get("/metrics");
    expect([status, body]).toEqual([200, "up 1\n"]);
    expect(headers["content-type"]).toMatch(/^text\/plain/);
  });

  test("ClickHouse away, or without our schema, is 503 with a code and when to ask again", async () => {
    const away = await connectStore(
      { url: "http://127.0.0.1:9", database: "shadowgraph", user: "default", password: "" },
      log,
    );
    const empty = await connect("nothing_here");
    for (const { queries } of [away, empty]) {
      const own = testApi(queries);
      for (const path of ["", "/runs", "/summary", "/accounting", "/pairs", "/orphans"]) {
        const { status, headers, body } = await own.get(`${FRAUD}${path}`);
        expect([path, status, body.code]).toEqual([path, 503, "CLICKHOUSE_UNAVAILABLE"]);
        expect(headers["retry-after"]).toBe("5");
      }
      expect((await own.get("/api/v1/dead-letters")).status).toBe(503);
      expect((await own.get("/health/live")).status).toBe(200);
      await own.close();
    }
    await Promise.all([away.close(), empty.close()]);
  });

  test("every answer has the security headers, none allows other origins", async () => {
    for (const url of [
      "/",
      "/api/v1/experiments",
      "/health/live",
      "/metrics",
      "/nowhere",
      `${FRAUD}/x`,
    ]) {
      const { headers } = await api.get(url, { origin: "http://evil.example" });
      expect([url, headers["content-security-policy"]]).toEqual([
        url,
        expect.stringContaining("default-src 'none'; script-src 'self'"),
      ]);
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(headers).not.toHaveProperty("access-control-allow-origin");
    }
  });

  test("an unknown path is a problem too", async () => {
    const { status, headers, body } = await api.get("/api/v2/anything");
    expect(status).toBe(404);
    expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({ code: "NOT_FOUND", instance: "/api/v2/anything" });
  });

  test("the page is served from its folder, and without one the root says how to build it", async () => {
    expect((await api.get("/")).body).toContain("npm run build:dashboard");
    const dir = tempDir("page");
    writeFileSync(join(dir.path, "index.html"), "<!doctype html><title>page</title>");
    writeFileSync(join(dir.path, "main.js"), "export {};");
    const own = testApi(store.queries, { dashboardDir: dir.path });
    expect((await own.get("/")).body).toContain("<title>page</title>");
    expect((await own.get("/main.js")).headers["content-type"]).toMatch(/javascript/);
    expect((await own.get("/missing.js")).body).toMatchObject({ code: "NOT_FOUND" });
    expect((await own.get("/..%2f..%2fetc/passwd")).status).toBeGreaterThanOrEqual(400);
    await own.close();
    dir.remove();
  });
});

describe("the OpenAPI document", () => {
  test("describes every route with its parameters and problems", async () => {
    const { body } = await api.get("/openapi.json");
    expect(body.openapi).toBe("3.1.0");
    expect(Object.keys(body.paths).sort()).toEqual(
      [
        "/api/v1/dead-letters",
        "/api/v1/experiments",
        "/api/v1/experiments/{experiment}",
        "/api/v1/experiments/{experiment}/accounting",
        "/api/v1/experiments/{experiment}/orphans",
        "/api/v1/experiments/{experiment}/pairs",
        "/api/v1/experiments/{experiment}/pairs/{correlationId}",
        "/api/v1/experiments/{experiment}/runs",
        "/api/v1/experiments/{experiment}/summary",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
      ].sort(),
    );
    const ids = new Set<string>();
    for (const [path, methods] of Object.entries<Record<string, never>>(body.paths)) {
      expect([path, Object.keys(methods)]).toEqual([path, ["get"]]);
      const operation = methods["get"] as unknown as {
        operationId: string;
        summary: string;
        tags: string[];
        parameters?: { name: string; in: string; description?: string }[];
        responses: Record<string, { content?: Record<string, unknown> }>;
      };
      ids.add(operation.operationId);
      expect([path, operation.summary, operation.tags]).toEqual([
        path,
        expect.any(String),
        [expect.any(String)],
      ]);
      for (const name of path.matchAll(/\{(\w+)\}/g)) {
        expect(operation.parameters).toContainEqual(
          expect.objectContaining({ name: name[1], in: "path", required: true }),
        );
      }
      if (path.startsWith("/api/")) {
        expect(operation.responses["503"]?.content).toHaveProperty(["application/problem+json"]);
        expect(operation.responses["200"]?.content).toHaveProperty(["application/json"]);
      }
    }
    expect(ids.size).toBe(Object.keys(body.paths).length);
  });

  test("has no reference that leads nowhere", async () => {
    const { body } = await api.get("/openapi.json");
    const text = JSON.stringify(body);
    for (const [, pointer = ""] of text.matchAll(/"\$ref":"([^"]+)"/g)) {
      const target = pointer
        .replace("#/", "")
        .split("/")
        .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], body);
      expect([pointer, target]).toEqual([pointer, expect.anything()]);
    }
  });
});
