import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { renderEnvoy } from "../../../analyzer/envoy/render.ts";
import type { AccountingResponse } from "../../../analyzer/http/schemas.ts";
import { answerTo, bodyDiffers, plantedIn, type Version } from "../../../scripts/demo/scoring.ts";
import { EXPERIMENT, type Stack, startStack } from "../../../scripts/demo/stack.ts";
import { type DemoRequest, requestAt } from "../../../scripts/demo/traffic.ts";
import { type Backend, type ReceivedRequest, startBackend } from "../../support/backend.ts";
import { type EnvoyServer, startEnvoy } from "../../support/envoy.ts";
import { Client } from "../../support/http-client.ts";
import { withoutShadowgraph } from "../../support/plain-envoy.ts";
import { freePorts } from "../../support/ports.ts";
import { type TempDir, tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait.ts";

const REQUESTS = 10_000;
const INDEX_HEADER = "x-request-index";
const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** Sent without a length: left out and counted. */
const unsampled = (request: DemoRequest): boolean => request.chunked;

let dir: TempDir;
let primary: Backend;
let shadow: Backend;
let control: Backend;
let stack: Stack;
let client: Client;
const requests = Array.from({ length: REQUESTS }, (_, index) => requestAt(index, "whole-path"));
const sampled = requests.filter((request) => !unsampled(request));
let statuses: number[];
let accounting: AccountingResponse;

beforeAll(async () => {
  dir = tempDir("whole-path");
  [primary, shadow, control] = await Promise.all([service("v1"), service("v2"), service("v1")]);
  stack = await startStack({
    dir: dir.path,
    ports: {
      envoy: 0,
      admin: 0,
      page: 0,
      clickhouse: 0,
      nats: 0,
      primary: 0,
      shadow: 0,
      control: 0,
    },
    services: { primary: primary.address, shadow: shadow.address, control: control.address },
    config: {
      experiment: {
        segments: ["x-country", INDEX_HEADER],
        // Far above what a busy machine does to a request: here only what is planted may differ.
        latency: { ratioMax: 1000, differenceUsMin: 60_000_000 },
      },
    },
  });
  client = new Client(stack.ports.envoy);
  statuses = await client.sendAll(REQUESTS, 16, async (index) => {
    const request = requests[index] as DemoRequest;
    const answer = await client.send({
      method: request.method,
      path: request.path,
      headers: [...Object.entries(request.headers), [INDEX_HEADER, String(index)]],
      ...(request.body === "" ? {} : { body: request.body }),
      chunked: request.chunked,
    });
    return answer.status;
  });
  accounting = await settled(sampled.length);
}, 240_000);

afterAll(async () => {
  client?.close();
  await stack?.stop();
  await Promise.all([primary?.stop(), shadow?.stop(), control?.stop()]);
  dir?.remove();
}, 60_000);

/** Answers as the demo's service does, without its delays. */
function service(version: Version): Promise<Backend> {
  return startBackend({
    requestsKeptMax: REQUESTS + 1000,
    answer: (request) => {
      const country = request.header("x-country") ?? "";
      const noise = {
        servedAt: new Date().toISOString(),
        requestId: randomUUID(),
      };
      const method = request.method as "GET";
      const parts = { method, path: request.path, country, body: request.body.toString() };
      const { status, body } = answerTo(parts, version, noise);
      return { status, body, headers: { "content-type": "application/json" } };
    },
  });
}

/** The accounting once every sampled request has come to its end. */
function settled(sampledCount: number): Promise<AccountingResponse> {
  return waitFor(
    `an accounting of ${sampledCount} sampled requests with nothing under way`,
    async () => {
      const answer = await api(`/api/v1/experiments/${EXPERIMENT}/accounting`);
      const body = JSON.parse(answer) as AccountingResponse;
      const done = body.requests.sampled === sampledCount && body.joined.waiting === 0;
      if (done && body.ahead === 0) return body;
      throw new Error(answer);
    },
    { timeoutMs: 60_000, intervalMs: 250 },
  );
}

async function api(path: string): Promise<string> {
  const response = await fetch(`${stack.pageUrl}${path}`);
  return response.text();
}

async function rows<T>(sql: string): Promise<T[]> {
  const url = `http://127.0.0.1:${stack.ports.clickhouse}/?database=shadowgraph&output_format_json_quote_64bit_integers=0`;
  const response = await fetch(url, { method: "POST", body: `${sql} FORMAT JSONEachRow` });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}

interface PairRow {
  id: string;
  request_index: number;
  primary_status: number;
  shadow_status: number;
  control_status: number;
  rules: string[];
  noise_rules: string[];
}

function pairRows(): Promise<PairRow[]> {
  return rows(
    `SELECT toString(correlation_id) AS id, toUInt32OrZero(segments['${INDEX_HEADER}']) AS request_index, primary_status, shadow_status,
       control_status, rules, noise_rules FROM pairs WHERE mapContains(segments, '${INDEX_HEADER}')`,
  );
}

test("every user gets the primary's answer, whatever the shadow does", () => {
  const expected = requests.map((request) => answerTo(request, "v1").status);
  expect(statuses).toEqual(expected);
});

test("10,000 requests with known outcomes give exactly the expected pairs", async () => {
  const found = new Map((await pairRows()).map((row) => [row.request_index, row]));
  expect(found.size).toBe(sampled.length);
  const wrong: unknown[] = [];
  for (const request of sampled) {
    const row = found.get(request.index);
    const planted = plantedIn(request);
    // A 500 says it all: the bodies of a success and a failure are not compared.
    const differs = !planted.error && (bodyDiffers(planted) || planted.noise);
    const v1 = answerTo(request, "v1");
    const v2 = answerTo(request, "v2");
    const expected = {
      primary_status: v1.status,
      shadow_status: v2.status,
      control_status: v1.status,
      status: planted.error,
      body: differs,
      noise: planted.noise,
    };
    const actual = row && {
      primary_status: row.primary_status,
      shadow_status: row.shadow_status,
      control_status: row.control_status,
      status: row.rules.includes("status-class"),
      body: row.rules.includes("body-digest"),
      noise: row.noise_rules.includes("body-digest"),
    };
    if (JSON.stringify(actual) !== JSON.stringify(expected)) {
      wrong.push({ request: request.path, country: request.country, expected, actual });
    }
  }
  expect(wrong).toEqual([]);
});

test("each kind of planted difference is in the traffic often enough to be missed", () => {
  const count = (is: (request: DemoRequest) => boolean): number => sampled.filter(is).length;
  expect(count((request) => plantedIn(request).rounding)).toBeGreaterThan(100);
  expect(count((request) => plantedIn(request).missingField)).toBeGreaterThan(100);
  expect(count((request) => plantedIn(request).error)).toBeGreaterThan(10);
  expect(count((request) => plantedIn(request).noise)).toBeGreaterThan(100);
  expect(sampled.length).toBeLessThan(REQUESTS);
});

test("no pair mixes two requests: the id that a mirrored server saw belongs to the same request as the primary's record", async () => {
  const pairs = new Map((await pairRows()).map((row) => [row.id, row.request_index]));
  for (const mirrored of [shadow, control]) {
    const mismatched = mirrored.requests.filter((request) => {
      const id = request.header("x-shadow-correlation-id") ?? "";
      return pairs.get(id) !== Number(request.header(INDEX_HEADER));
    });
    expect(mismatched).toHaveLength(0);
    expect(mirrored.count()).toBe(sampled.length);
  }
});

test("sampled requests are all accounted for: paired, unpaired by reason, dropped by reason", () => {
  const flow = Object.fromEntries(accounting.flow.map(({ name, requests }) => [name, requests]));
  expect(accounting.requests.seen).toBe(REQUESTS);
  expect(accounting.requests.unsampled["unknown-length"]).toBe(REQUESTS - sampled.length);
  expect(flow["paired"]).toBe(sampled.length);
  expect(accounting.flow.reduce((sum, { requests }) => sum + requests, 0)).toBe(sampled.length);
  expect(accounting.unexplained).toBe(0);
  for (const leg of accounting.legs) {
    expect(leg).toMatchObject({ requests: sampled.length, lost: 0, waiting: 0 });
    expect(leg.endings["complete"]).toBe(sampled.length);
  }
});

test("no orphan, no dead letter, no duplicate, no gap appears without a reason", async () => {
  for (const table of ["orphans", "dead_letters", "duplicates", "batch_gaps"]) {
    expect(await rows(`SELECT count() AS n FROM ${table}`)).toEqual([{ n: 0 }]);
  }
});

test("rollups say the same as the rows they come from", async () => {
  const [rollup] = await rows(
    "SELECT sum(pairs) AS pairs, sum(divergent_pairs) AS divergent FROM rollup_pairs_minute",
  );
  const [raw] = await rows("SELECT count() AS pairs, sum(divergent) AS divergent FROM pairs");
  expect(rollup).toEqual(raw);
});

test("mirrored servers get a correlation id, their side, and an idempotency key that is never the client's", () => {
  for (const [backend, side] of [
    [shadow, "shadow"],
    [control, "control"],
  ] as const) {
    const wrong = backend.requests.filter((request) => {
      const original = requests[Number(request.header(INDEX_HEADER))] as DemoRequest;
      const key = request.header("idempotency-key") ?? "";
      return (
        request.header("x-shadow-side") !== side ||
        !UUID_V8.test(key) ||
        key === original.headers["idempotency-key"] ||
        request.header("x-shadow-pair") !== undefined ||
        request.header("x-shadow-sampled") !== undefined
      );
    });
    expect(wrong.map(({ rawHeaders }) => rawHeaders)).toEqual([]);
    // Two requests that a client takes for different ones stay different ones.
    const keys = new Set(backend.requests.map((request) => request.header("idempotency-key")));
    const clientKeys = new Set(
      sampled.map(({ headers, index }) => headers["idempotency-key"] ?? index),
    );
    expect(keys.size).toBe(clientKeys.size);
  }
});

test("the primary's server receives byte for byte what it receives without Shadowgraph", async () => {
  const [listener, admin] = (await freePorts(2)) as [number, number];
  const config = {
    ...stack.config,
    envoy: {
      ...stack.config.envoy,
      listener: `127.0.0.1:${listener}`,
      admin: `127.0.0.1:${admin}`,
    },
  };
  const plain = withoutShadowgraph(renderEnvoy(config).plain, { mirrors: false });
  let envoy: EnvoyServer | undefined;
  const before = primary.count();
  const samples = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144].map(
    (i) => requests[i] as DemoRequest,
  );
  const send = async (through: Client, host: string): Promise<ReceivedRequest[]> => {
    const from = primary.requests.length;
    for (const request of samples) {
      await through.send({
        method: request.method,
        path: request.path,
        // A fixed authority and id, so that the two ways may differ in nothing.
        headers: [
          ["Host", host],
          ["X-Request-Id", "5f0c4f52-6f6b-4b5b-9d2f-6a6f4a3c0d11"],
          ["X-Mixed-Case", "Kept As It Is"],
          ["x-twice", "1"],
          ["x-twice", "2"],
          ...Object.entries(request.headers),
        ],
        ...(request.body === "" ? {} : { body: request.body }),
        chunked: request.chunked,
      });
    }
    return primary.requests.slice(from);
  };
  try {
    envoy = await startEnvoy({
      config: JSON.stringify(plain),
      adminPort: admin,
      dir: join(dir.path, "plain"),
    });
    const without = new Client(listener, 1);
    const seenWithout = await send(without, "scoring.example");
    const seenWith = await send(client, "scoring.example");
    without.close();
    const shape = (seen: ReceivedRequest[]) =>
      seen.map(({ method, path, rawHeaders, body }) => ({
        method,
        path,
        body: body.toString(),
        rawHeaders: withoutRandomId(rawHeaders),
      }));
    expect(primary.count() - before).toBe(2 * samples.length);
    expect(shape(seenWith)).toEqual(shape(seenWithout));
  } finally {
    await envoy?.stop();
  }
}, 60_000);

/** Envoy gives each request from outside an id of its own; its place counts, its value is random. */
function withoutRandomId(headers: ReceivedRequest["rawHeaders"]) {
  return headers.map(([name, value]) => [
    name,
    name.toLowerCase() === "x-request-id" ? "…" : value,
  ]);
}

test("headers that a client forges mirror nothing, join nothing, and reach nobody", async () => {
  const [known] = await rows<{ id: string }>(
    "SELECT toString(correlation_id) AS id FROM pairs LIMIT 1",
  );
  const id = known?.id ?? "";
  const mirroredBefore = shadow.count();
  const forged: [string, string][] = [
    ["x-shadow-sampled", EXPERIMENT],
    ["X-Shadow-Pair", `1.${EXPERIMENT}.${id}.00112233445566778899aabbccddeeff`],
    ["x-shadow-correlation-id", id],
    ["x-shadow-side", "primary"],
    ["x-shadow-anything", "1"],
  ];
  // Without a length, so that it is not sampled by itself: a copy would come from the forged header alone.
  const path = "/v1/score?forged=1";
  const body = requests.find((request) => request.path === "/v1/score")?.body ?? "{}";
  const answer = await client.send({ method: "POST", path, headers: forged, body, chunked: true });
  expect(answer.status).toBe(200);
  const received = primary.requests.at(-1);
  expect(received?.path).toBe(path);
  expect(received?.rawHeaders.filter(([name]) => /^x-shadow-/i.test(name))).toEqual([]);

  // A sampled one with the same headers gets an id of its own.
  const index = REQUESTS + 1;
  const twin = await client.send({
    method: "POST",
    path,
    headers: [...forged, [INDEX_HEADER, String(index)]],
    body,
  });
  expect(twin.status).toBe(200);
  const copy = await waitFor("the sampled one's copy", () =>
    shadow.requests.find((request) => request.header(INDEX_HEADER) === String(index)),
  );
  expect(copy.header("x-shadow-correlation-id")).not.toBe(id);
  expect(copy.header("x-shadow-anything")).toBeUndefined();
  expect(
    shadow.requests.slice(mirroredBefore).filter((request) => request.path === path),
  ).toHaveLength(1);
  expect(await rows(`SELECT count() AS n FROM pairs WHERE correlation_id = '${id}'`)).toEqual([
    { n: 1 },
  ]);
});

test("a secret in header, path, query and body is nowhere in NATS, ClickHouse, logs or the API", async () => {
  const secret = "Canary-7f3a91-Zx81kQ";
  const before = await rows<{ n: number }>("SELECT count() AS n FROM pairs");
  for (const method of ["POST", "GET"]) {
    await client.send({
      method,
      path: `/v1/score/${secret}/items?${secret}=1&token=${secret}`,
      headers: [
        ["authorization", `Bearer ${secret}`],
        ["cookie", `session=${secret}`],
        ["content-type", `application/json; boundary=${secret}`],
        ["idempotency-key", secret],
        ["user-agent", secret],
      ],
      ...(method === "POST"
        ? { body: JSON.stringify({ [secret]: secret, password: secret }) }
        : {}),
    });
  }
  await waitFor(
    "the two requests' pairs",
    async () => {
      const [now] = await rows<{ n: number }>("SELECT count() AS n FROM pairs");
      return (now?.n ?? 0) >= (before[0]?.n ?? 0) + 2;
    },
    { timeoutMs: 30_000, intervalMs: 200 },
  );
  // The servers did get it: the search below looks for something that went through everything.
  expect(shadow.requests.at(-1)?.path).toContain(secret);

  const tables = await rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = 'shadowgraph' AND engine NOT LIKE '%View'",
  );
  expect(tables.length).toBeGreaterThan(8);
  const places: [string, string][] = [];
  for (const { name } of tables)
    places.push([name, JSON.stringify(await rows(`SELECT * FROM ${name}`))]);
  for (const path of filesBelow(join(dir.path, "nats")))
    places.push([path, readFileSync(path, "latin1")]);
  for (const path of [
    stack.analyzer.logPath,
    stack.envoy.logPath,
    stack.nats.logPath,
    stack.clickhouse.logPath,
  ]) {
    places.push([path, readFileSync(path, "latin1")]);
  }
  const base = `/api/v1/experiments/${EXPERIMENT}`;
  for (const path of ["", "/summary", "/pairs?limit=500", "/orphans", "/accounting", "/runs"]) {
    places.push([path, await api(`${base}${path}`)]);
  }
  places.push(["metrics", await api("/metrics")], ["health", await api("/health")]);
  const stats = await fetch(`${stack.envoy.adminUrl}/stats/prometheus`);
  places.push(["Envoy's counters", await stats.text()]);
  const journal = places
    .filter(([name]) => name.includes("nats"))
    .map(([, text]) => text)
    .join("");
  // The search sees what it should: records are in the journal in clear.
  expect(journal).toContain('"type":"record"');
  const needle = secret.toLowerCase();
  expect(
    places.filter(([, text]) => text.toLowerCase().includes(needle)).map(([name]) => name),
  ).toEqual([]);
}, 60_000);

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test("Envoy's own counters say the same as the ledger", async () => {
  const response = await fetch(`${stack.envoy.adminUrl}/stats/prometheus`);
  const text = await response.text();
  const value = (pattern: RegExp): number =>
    [...text.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);
  const now = JSON.parse(
    await api(`/api/v1/experiments/${EXPERIMENT}/accounting`),
  ) as AccountingResponse;
  const line = (name: string, labels: string) =>
    new RegExp(`^${name}\\{[^}]*${labels}[^}]*\\} (\\d+)$`, "gm");
  expect(value(line("shadowgraph_requests_sampled_total", ""))).toBe(now.requests.sampled);
  expect(text).toContain("shadowgraph_");
});
