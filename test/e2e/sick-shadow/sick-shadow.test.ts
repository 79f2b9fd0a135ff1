import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { renderEnvoy } from "../../../analyzer/envoy/render.ts";
import type { AccountingResponse } from "../../../analyzer/http/schemas.ts";
import { type Stack, startStack } from "../../../scripts/demo/stack.ts";
import {
  type Answer,
  type Backend,
  type ReceivedRequest,
  startBackend,
} from "../../support/backend.ts";
import { startEnvoy } from "../../support/envoy.ts";
import { GrpcClient, type GrpcResult, grpcFrame, startGrpcServer } from "../../support/grpc.ts";
import { Client, type ClientAnswer } from "../../support/http-client.ts";
import { freePorts } from "../../support/ports.ts";
import { flowOf, StackReader, unbalanced } from "../../support/stack-reader.ts";
import { type TempDir, tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait.ts";
import { cases } from "./cases.ts";

const SHADOW_TIMEOUT_MS = 3000;
/** More than all cases but the breaker's have under way together. */
const SHADOW_REQUESTS_MAX = 200;
/** The largest that can be configured: no setting may come near the size at which a deaf shadow stalls an upload. */
const REQUEST_BYTES_MAX = 4_194_304;
/** Requests of a case. */
const EACH = 8;
/** Half of the time that a user would wait who waited for the shadow; a large upload takes time of its own. */
const LATENCY_MS_MAX = SHADOW_TIMEOUT_MS / 2;
const UPLOAD_MS_MAX = 0.9 * SHADOW_TIMEOUT_MS;
const INDEX_HEADER = "x-request-index";

const CASES = cases({ timeoutMs: SHADOW_TIMEOUT_MS });
const BY_PATH = new Map(CASES.map((one) => [`/v1/${one.name}`, one]));

let dir: TempDir;
let primary: Backend;
let shadow: Backend;
let stack: Stack;
let reader: StackReader;
let client: Client;
const stops: (() => Promise<void>)[] = [];
/** What users got, by path. */
const answers = new Map<string, ClientAnswer[]>();
const grpcResults = new Map<string, GrpcResult>();
/** Requests so far: each has its number in a header. */
let sent = 0;
/** By Envoy's own count, of the breaker's case. */
let refused = 0;
let timedOut = 0;
let pairs: PairRow[];
let books: AccountingResponse;

interface PairRow {
  readonly route: string;
  readonly primary_status: number;
  readonly primary_ending: string;
  readonly primary_failure: string;
  readonly primary_attempts: number;
  readonly primary_grpc_status: number | null;
  readonly primary_content_encoding: string;
  readonly shadow_status: number;
  readonly shadow_ending: string;
  readonly shadow_failure: string;
  readonly shadow_attempts: number;
  readonly shadow_grpc_status: number | null;
  readonly shadow_bytes: number;
  readonly shadow_total_us: number;
  readonly request_bytes: number;
  readonly bytes_equal: number;
  readonly rules: string[];
}

/** How often the primary has seen a request: with retries more than once. */
const tries = new Map<string, number>();

function primaryAnswer(request: ReceivedRequest): Answer {
  const index = request.header(INDEX_HEADER) ?? "";
  const tried = (tries.get(index) ?? 0) + 1;
  tries.set(index, tried);
  switch (request.path) {
    case "/v1/retried":
      return tried < 3 ? { status: 503, body: "not yet" } : { body: "at last" };
    case "/v1/retried-after-a-reset":
      return tried === 1 ? { kind: "reset" } : { body: "at last" };
    case "/v1/retried-in-vain":
      return { status: 503, body: "never" };
    case "/v1/left":
      return { body: "late", delayMs: 1000 };
  }
  return BY_PATH.get(request.path)?.primary ?? { body: "fine" };
}

function shadowAnswer({ path }: ReceivedRequest): Answer {
  if (path === "/v1/left") return { body: "late", delayMs: 1000 };
  if (path === "/v1/breaker") return { kind: "hang" };
  if (path.startsWith("/v1/retried")) return { body: "at last" };
  return BY_PATH.get(path)?.shadow ?? { body: "fine" };
}

beforeAll(async () => {
  dir = tempDir("sick-shadow");
  [primary, shadow] = await Promise.all([
    startBackend({ answer: primaryAnswer }),
    startBackend({ answer: shadowAnswer }),
  ]);
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
    services: { primary: primary.address, shadow: shadow.address },
    config: {
      experiment: {
        match: { pathPrefix: "/" },
        control: undefined,
        shadowTimeoutMs: SHADOW_TIMEOUT_MS,
        shadowRequestsMax: SHADOW_REQUESTS_MAX,
        requestBytesMax: REQUEST_BYTES_MAX,
        // Far from what a busy machine does, and below what the slow shadow does.
        latency: { ratioMax: 2, differenceUsMin: 1_500_000 },
      },
      filter: { ledgerIntervalMs: 500 },
      // A copy may wait for a connection as long as it may take afterwards.
      analyzer: { joinWindowMs: 10_000, flushIntervalMs: 200 },
    },
  });
  reader = new StackReader(stack);
  client = new Client(stack.ports.envoy, 128);

  // A few connections first: what opening them costs is nobody's illness.
  await send("/v1/warm-up", { count: 64, width: 64 });
  await Promise.all(
    CASES.map(({ name, method }) =>
      send(`/v1/${name}`, method === undefined ? {} : { method, body: undefined }),
    ),
  );
  await send("/v1/without-length", { chunked: true });
  await shadowIdle();
  await refusing();
  await deaf();
  await clientsThatLeave();
  await shadowIdle();
  await breaker();
  await retries();
  await grpcCalls();
  await shadowIdle();
  books = await reader.settled(sent);
  pairs = await reader.rows<PairRow>("SELECT * FROM pairs");
}, 240_000);

afterAll(async () => {
  client?.close();
  for (const stop of stops) await stop();
  await stack?.stop();
  await Promise.all([primary?.stop(), shadow?.stop()]);
  dir?.remove();
}, 60_000);

interface Sending {
  count?: number;
  /** At a time. */
  width?: number;
  method?: string;
  body?: string | Buffer | undefined;
  chunked?: boolean;
  through?: Client;
}

async function send(path: string, sending: Sending = {}): Promise<void> {
  const { count = EACH, width = count, method = "POST", chunked = false } = sending;
  const { through = client } = sending;
  const body = "body" in sending ? sending.body : '{"a":1}';
  const got = await through.sendAll(count, width, () =>
    through.send({
      method,
      path,
      headers: [[INDEX_HEADER, String(sent++)]],
      ...(body === undefined ? {} : { body }),
      chunked,
    }),
  );
  answers.set(path, got);
}

function clusterStat(name: string): Promise<number> {
  return stack.envoy.stats(`^cluster\\.${name}$`).then((stats) => [...stats.values()][0] ?? 0);
}

/** No copy is under way any more: one case must not take another's place. */
async function shadowIdle(): Promise<void> {
  await waitFor(
    "the shadow's requests to end",
    async () => (await clusterStat("scoring-shadow.upstream_rq_active")) === 0,
    { timeoutMs: 30_000, intervalMs: 50 },
  );
}

async function refusing(): Promise<void> {
  await shadow.stop();
  await waitFor(
    "its old connections to be gone",
    async () => (await clusterStat("scoring-shadow.upstream_cx_active")) === 0,
  );
  await send("/v1/refuses");
}

/** A server that accepts connections and never reads a byte of a body. */
async function deaf(): Promise<void> {
  const server = await startBackend({
    port: shadow.port,
    answerAfter: "headers",
    answer: () => ({ kind: "hang" }),
  });
  const upload = (bytes: number) => Buffer.alloc(bytes, "x");
  await Promise.all([
    send("/v1/deaf-small"),
    send("/v1/deaf-at-limit", { count: 4, width: 2, body: upload(REQUEST_BYTES_MAX) }),
    send("/v1/deaf-above-limit", { count: 2, width: 1, body: upload(REQUEST_BYTES_MAX + 1) }),
    send("/v1/deaf-far-above", { count: 1, body: upload(4 * REQUEST_BYTES_MAX) }),
  ]);
  await shadowIdle();
  await server.stop();
  await shadow.start();
}

const LEAVERS = 3;

/** They go when both servers have their requests: before the answer, and in the middle of an upload. */
async function clientsThatLeave(): Promise<void> {
  for (const [path, bytes] of [
    ["/v1/left", 100_000],
    ["/v1/left-uploading", 50_000],
  ] as const) {
    const counts = () =>
      Promise.all([
        clusterStat("scoring-primary.upstream_rq_total"),
        clusterStat("scoring-shadow.upstream_rq_total"),
      ]);
    const before = await counts();
    const requests = Array.from({ length: LEAVERS }, () => {
      const request = httpRequest({
        host: "127.0.0.1",
        port: stack.ports.envoy,
        method: "POST",
        path,
        agent: false,
        headers: { "content-length": "100000", [INDEX_HEADER]: String(sent++) },
      });
      request.on("error", () => {});
      request.write("x".repeat(bytes));
      return request;
    });
    await waitFor("both servers to have the requests", async () =>
      (await counts()).every((n, i) => n === (before[i] ?? 0) + LEAVERS),
    );
    if (path === "/v1/left") {
      await waitFor(
        "the uploads to be complete",
        () => shadow.requests.filter((request) => request.path === path).length === LEAVERS,
      );
    }
    for (const request of requests) request.destroy();
    await shadowIdle();
  }
}

async function breaker(): Promise<void> {
  const names = ["pending_overflow", "active_overflow", "max_duration_reached"];
  const counts = () =>
    Promise.all(names.map((name) => clusterStat(`scoring-shadow.upstream_rq_${name}`)));
  const before = await counts();
  await send("/v1/breaker", { count: 3 * SHADOW_REQUESTS_MAX, width: 32 });
  await shadowIdle();
  const [pending = 0, active = 0, late = 0] = (await counts()).map((n, i) => n - (before[i] ?? 0));
  refused = pending + active;
  timedOut = late;
}

interface Bootstrap {
  static_resources: {
    listeners: {
      filter_chains: {
        filters: {
          typed_config: {
            route_config: {
              virtual_hosts: { routes: { route: { retry_policy?: object } }[] }[];
            };
          };
        }[];
      }[];
    }[];
  };
}

/** One more Envoy of the same experiment, with other servers or routes. Answers its port. */
async function anotherEnvoy({
  legs = {},
  change = () => {},
}: {
  legs?: object;
  change?: (bootstrap: Bootstrap) => void;
}): Promise<number> {
  const [port, adminPort] = (await freePorts(2)) as [number, number];
  const bootstrap = renderEnvoy({
    ...stack.config,
    experiments: stack.config.experiments.map((experiment) => ({ ...experiment, ...legs })),
    envoy: {
      ...stack.config.envoy,
      listener: `127.0.0.1:${port}`,
      admin: `127.0.0.1:${adminPort}`,
    },
  }).plain as Bootstrap;
  change(bootstrap);
  const envoy = await startEnvoy({ config: JSON.stringify(bootstrap), adminPort });
  stops.push(() => envoy.stop());
  return port;
}

async function retries(): Promise<void> {
  const port = await anotherEnvoy({
    change: ({ static_resources }) => {
      const manager = static_resources.listeners[0]?.filter_chains[0]?.filters[0]?.typed_config;
      for (const { routes } of manager?.route_config.virtual_hosts ?? []) {
        for (const { route } of routes) {
          route.retry_policy = {
            retry_on: "5xx,reset",
            num_retries: 2,
            retry_back_off: { base_interval: "0.01s" },
          };
        }
      }
    },
  });
  const through = new Client(port, 2);
  // Two at a time: Envoy's own budget is three retries at once.
  for (const path of ["/v1/retried", "/v1/retried-after-a-reset", "/v1/retried-in-vain"]) {
    await send(path, { width: 2, through });
  }
  through.close();
}

const MESSAGES = ["one", "two"];

async function grpcCalls(): Promise<void> {
  const [first, second] = await Promise.all([
    startGrpcServer(() => ({ status: 0, messages: MESSAGES })),
    startGrpcServer((path) => {
      if (path.endsWith("NotFound")) return { status: 5, trailersOnly: true };
      return { status: path.endsWith("Internal") ? 13 : 0, messages: MESSAGES };
    }),
  ]);
  stops.push(first.stop, second.stop);
  const [experiment] = stack.config.experiments;
  const port = await anotherEnvoy({
    legs: {
      primary: { ...experiment?.primary, address: first.address, http2: true },
      shadows: [{ ...experiment?.shadows[0], address: second.address, http2: true }],
    },
  });
  const caller = new GrpcClient(port);
  for (const method of ["Same", "Internal", "NotFound"]) {
    const headers = { [INDEX_HEADER]: String(sent++) };
    grpcResults.set(method, await caller.call(`/Scoring/${method}`, ["a", "b"], headers));
  }
  caller.close();
  await waitFor("the copies", () => second.calls.length === grpcResults.size);
}

function pairsOf(path: string): PairRow[] {
  return pairs.filter(({ route }) => route === path);
}

function answersOf(path: string): readonly ClientAnswer[] {
  return answers.get(path) ?? [];
}

/** Whole answers of the primary, in a time that has nothing to do with the shadow's. */
function expectUnharmed(path: string, status: number, body: string | Buffer, count: number): void {
  const got = answersOf(path);
  expect(got).toHaveLength(count);
  expect(new Set(got.map((answer) => answer.status))).toEqual(new Set([status]));
  for (const answer of got) expect(answer.body.equals(Buffer.from(body))).toBe(true);
  // A machine that is busy with other things slows the healthy case too.
  const healthy = Math.max(...answersOf("/v1/healthy").map(({ elapsedMs }) => elapsedMs));
  const slowest = Math.max(...got.map(({ elapsedMs }) => elapsedMs));
  // The events themselves take longer than a shadow may.
  if (path === "/v1/events") return;
  const uploads = path.startsWith("/v1/deaf-") && path !== "/v1/deaf-small";
  const limit = uploads ? UPLOAD_MS_MAX : LATENCY_MS_MAX;
  expect(slowest).toBeLessThan(Math.max(limit, 3 * healthy));
}

describe("no user is affected, and the pair tells what happened, when the shadow", () => {
  test.each(CASES)("$name", ({ name, primary: answer, body, expected }) => {
    const path = `/v1/${name}`;
    expectUnharmed(path, "status" in answer ? (answer.status ?? 200) : 200, body, EACH);
    const rows = pairsOf(path);
    expect(rows).toHaveLength(EACH);
    for (const row of rows) {
      expect(row).toMatchObject({
        primary_ending: "complete",
        primary_failure: "",
        primary_attempts: 1,
        shadow_status: expected.status,
        shadow_ending: expected.ending,
        shadow_failure: expected.failure,
        rules: expected.rules,
      });
    }
  });

  test("refuses connections", () => {
    expectUnharmed("/v1/refuses", 200, "fine", EACH);
    const rows = pairsOf("/v1/refuses");
    expect(rows).toHaveLength(EACH);
    for (const row of rows) {
      expect(row).toMatchObject({
        primary_ending: "complete",
        shadow_status: 0,
        rules: ["ending"],
      });
      expect(row.shadow_ending).toBe("no-answer");
      expect(row.shadow_failure).toContain("Connection refused");
    }
  });

  test.each([
    ["/v1/deaf-small", EACH, 7],
    ["/v1/deaf-at-limit", 4, REQUEST_BYTES_MAX],
  ])("stops reading: %s", (path, count, bytes) => {
    expectUnharmed(path, 200, "fine", count);
    const rows = pairsOf(path);
    expect(rows).toHaveLength(count);
    for (const row of rows) {
      expect(row).toMatchObject({
        request_bytes: bytes,
        shadow_status: 0,
        shadow_ending: "no-answer",
        shadow_failure: "time limit",
        rules: ["ending"],
      });
    }
  });

  test("is sent more than its breaker lets through: what is refused is an orphan, by Envoy's own count", async () => {
    const count = 3 * SHADOW_REQUESTS_MAX;
    expectUnharmed("/v1/breaker", 200, "fine", count);
    expect(refused).toBeGreaterThan(0);
    expect(timedOut).toBe(count - refused);

    const rows = pairsOf("/v1/breaker");
    expect(new Set(rows.map((row) => row.shadow_ending))).toEqual(new Set(["no-answer"]));
    const atLimit = rows.filter((row) => row.shadow_failure === "time limit");
    expect(atLimit).toHaveLength(timedOut);
    // Those that waited for a connection first took longer, and were ended by the same limit.
    const longest = Math.max(...atLimit.map((row) => row.shadow_total_us));
    expect(longest).toBeGreaterThan(1.5 * SHADOW_TIMEOUT_MS * 1000);
    // Some wait in vain: refused when they would have got one. Envoy gives no reason, but their leg has been seen.
    const refusedLate = rows.filter((row) => row.shadow_failure === "");
    expect(atLimit.length + refusedLate.length).toBe(rows.length);

    const orphans = await reader.rows(
      "SELECT route, leg, missing_leg, reason, ending, count() AS n FROM orphans GROUP BY ALL",
    );
    // The only orphans of all cases.
    expect(orphans).toEqual([
      {
        route: "/v1/breaker",
        leg: "primary",
        missing_leg: "shadow",
        reason: "shadow-missing",
        ending: "complete",
        n: refused - refusedLate.length,
      },
    ]);
    expect(flowOf(books)["shadow-missing"]).toBe(refused - refusedLate.length);
  });
});

test("uploads that a deaf shadow could stall are not mirrored: longer than requestBytesMax, or of unknown length", () => {
  expectUnharmed("/v1/deaf-above-limit", 200, "fine", 2);
  expectUnharmed("/v1/deaf-far-above", 200, "fine", 1);
  expectUnharmed("/v1/without-length", 200, "fine", EACH);
  expect(books.requests.unsampled).toMatchObject({ "request-size": 3, "unknown-length": EACH });
  const mirrored = shadow.requests.filter(({ path }) => path === "/v1/without-length");
  expect(mirrored).toEqual([]);
  expect(pairsOf("/v1/without-length")).toEqual([]);
});

test("a primary that is tried again makes one pair, about its last attempt, with the attempts counted", () => {
  const of = (path: string) =>
    pairsOf(path).map((row) => [row.primary_status, row.primary_attempts]);
  const times = (row: number[]) => Array.from({ length: EACH }, () => row);
  expect(of("/v1/retried")).toEqual(times([200, 3]));
  expect(of("/v1/retried-after-a-reset")).toEqual(times([200, 2]));
  expect(of("/v1/retried-in-vain")).toEqual(times([503, 3]));
  for (const path of ["/v1/retried", "/v1/retried-after-a-reset"]) {
    expectUnharmed(path, 200, "at last", EACH);
    for (const row of pairsOf(path)) {
      expect(row).toMatchObject({ primary_ending: "complete", bytes_equal: 1, rules: [] });
      // The shadow is not tried again with it.
      expect(row.shadow_attempts).toBe(1);
    }
  }
  expectUnharmed("/v1/retried-in-vain", 503, "never", EACH);
  for (const row of pairsOf("/v1/retried-in-vain")) expect(row.rules).toEqual(["status-class"]);
});

test("a user who leaves is nobody's fault: recorded as such, and no divergence", () => {
  const waiting = pairsOf("/v1/left");
  const uploading = pairsOf("/v1/left-uploading");
  expect([waiting.length, uploading.length]).toEqual([LEAVERS, LEAVERS]);
  for (const row of [...waiting, ...uploading]) {
    expect(row).toMatchObject({ primary_status: 0, primary_ending: "client-left", rules: [] });
    expect(row.primary_failure).toBe("downstream_remote_disconnect");
  }
  // The copy goes on by itself once it was sent whole.
  for (const row of waiting)
    expect(row).toMatchObject({ shadow_status: 200, shadow_ending: "complete" });
  for (const row of uploading) {
    expect(row).toMatchObject({
      shadow_status: 0,
      shadow_ending: "client-left",
      shadow_failure: "request ended before its copy",
    });
  }
});

test("encoded answers are digested as they are, and their encoding is kept", () => {
  for (const path of ["/v1/gzip", "/v1/gzip-differs"]) {
    for (const row of pairsOf(path)) expect(row.primary_content_encoding).toBe("gzip");
  }
});

test("another grpc-status behind the same HTTP status is a divergence, from trailers and from headers", () => {
  const body = Buffer.concat(MESSAGES.map(grpcFrame));
  for (const result of grpcResults.values()) {
    expect(result.status).toBe(0);
    expect(result.body.equals(body)).toBe(true);
  }
  const of = (method: string) =>
    pairsOf(`/Scoring/${method}`).map((row) => ({
      http: [row.primary_status, row.shadow_status],
      grpc: [row.primary_grpc_status, row.shadow_grpc_status],
      endings: [row.primary_ending, row.shadow_ending],
      requestBytes: row.request_bytes,
      rules: row.rules,
    }));
  const call = {
    http: [200, 200],
    endings: ["complete", "complete"],
    requestBytes: 12,
  };
  expect(of("Same")).toEqual([{ ...call, grpc: [0, 0], rules: [] }]);
  expect(of("Internal")).toEqual([{ ...call, grpc: [0, 13], rules: ["grpc-status"] }]);
  expect(of("NotFound")).toEqual([{ ...call, grpc: [0, 5], rules: ["grpc-status"] }]);
});

test("the accounting knows each of these endings, and everything comes out", () => {
  expect(unbalanced(books)).toEqual([]);
  expect(books.requests).toMatchObject({ seen: sent, sampled: sent - 3 - EACH, unreached: 0 });
  expect(flowOf(books)["paired"]).toBe(pairs.length);
  expect(pairs.length + (flowOf(books)["shadow-missing"] ?? 0)).toBe(books.requests.sampled);
  expect(books.joined.duplicates).toBe(0);
  expect(books.batches).toMatchObject({ failed: 0, lost: 0 });

  const [primaryLeg, shadowLeg] = books.legs;
  const endings = { complete: 0, reset: 0, "client-left": 0, "no-answer": 0, streaming: 0 };
  const shadowEndings: Record<string, number> = { ...endings };
  for (const { shadow_ending: ending } of pairs) {
    shadowEndings[ending] = (shadowEndings[ending] ?? 0) + 1;
  }
  expect(shadowLeg?.endings).toEqual(shadowEndings);
  // Envoy throws the answer of an attempt away that it will repeat: two of those tried three times.
  const repeated = 2 * 2 * EACH;
  const left = 2 * LEAVERS;
  expect(primaryLeg?.endings).toEqual({
    ...endings,
    reset: repeated,
    "no-answer": EACH,
    "client-left": left,
    complete: books.requests.sampled - left,
  });
  expect(primaryLeg?.attempts).toBe(books.requests.sampled + repeated + EACH);
});
