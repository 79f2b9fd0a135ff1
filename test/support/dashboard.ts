import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Config, parseConfig } from "../../analyzer/config.ts";
import type { Divergence, JudgedPair } from "../../analyzer/divergence/outcomes.ts";
import type { HealthSnapshot, ServiceHealth } from "../../analyzer/health.ts";
import { buildServer } from "../../analyzer/http/server.ts";
import { createLog } from "../../analyzer/log.ts";
import { connectStore, type Store } from "../../analyzer/storage/store.ts";
import { startClickHouse, type TestClickHouse } from "./clickhouse.ts";
import {
  correlationId,
  deadLetter,
  judgedPair,
  ledger,
  legLedger,
  observation,
  orphan,
  outcomes,
  START_US,
  statusDivergence,
} from "./outcomes.ts";
import { freePorts } from "./ports.ts";
import { tempDir } from "./temp-dir.ts";

const ROOT = join(import.meta.dirname, "..", "..");

const YAML = `
experiments:
  - name: fraud
    match: { hosts: [fraud.example] }
    sampleFraction: 0.75
    primary: { cluster: fraud-primary }
    shadows: [{ name: shadow, cluster: fraud-shadow, build: v2 }]
    control: { cluster: fraud-control }
    segments: [x-country]
  - name: search
    match: { hosts: [search.example] }
    primary: { cluster: search-primary }
    shadows: [{ name: shadow, cluster: search-shadow }]
`;

/** The page's server and everything below it, each part of which can be taken away. */
export interface DashboardServer {
  readonly url: string;
  readonly config: Config;
  readonly store: Store;
  stopServer(): Promise<void>;
  stopClickHouse(): Promise<void>;
  /** The same one again, with its data. */
  startClickHouse(): Promise<void>;
  close(): Promise<void>;
}

/** The real server before a real ClickHouse, with the built page; the analyzer's health is told, as nothing is read here. */
export async function openDashboard(): Promise<DashboardServer> {
  const dashboardDir = join(ROOT, "build", "dashboard");
  if (!existsSync(join(dashboardDir, "index.html"))) {
    execFileSync(process.execPath, [join(ROOT, "scripts", "build-dashboard.mjs")]);
  }
  const dir = tempDir("dashboard");
  const [httpPort = 0, tcpPort = 0] = await freePorts(2);
  const start = () => startClickHouse({ dir: dir.path, httpPort, tcpPort });
  let clickhouse: TestClickHouse | null = await start();
  const config = parseConfig(YAML, {
    path: "shadowgraph.yaml",
    env: { CLICKHOUSE_URL: clickhouse.url },
  });
  const log = createLog({ LOG_LEVEL: "silent" });
  const store = await connectStore(config.clickhouse, log);
  await store.migrate({ ...config, retention: { pairsDays: 3650, rollupsDays: 3650 } });

  const up: ServiceHealth = { state: "up", since: new Date().toISOString(), message: "" };
  const snapshot = (): HealthSnapshot => ({ nats: up, clickhouse: up, lanes: [], waiting: 0 });
  const app = buildServer({
    queries: store.queries,
    config,
    health: { snapshot },
    metrics: async () => "",
    log,
    dashboardDir,
  });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  const stopClickHouse = async () => {
    await clickhouse?.stop();
    clickhouse = null;
  };
  return {
    url,
    config,
    store,
    stopServer: () => app.close(),
    stopClickHouse,
    async startClickHouse() {
      clickhouse = await start();
    },
    async close() {
      await app.close();
      await store.close();
      await stopClickHouse();
      dir.remove();
    },
  };
}

const MINUTE_US = 60_000_000;

/**
 * 400 requests matched, 304 sampled, 1 of them unreached. 300 pairs over three minutes: 200 POST /score, of which 50 differ
 * in their bodies and 10 of those answer 500 instead of 200; 100 GET /accounts/{…}, all equal. The control's bodies differ in
 * 5. Half of the shadow's answers take 1.5 times as long. 3 orphans without a shadow, 1 dead letter.
 */
export async function plantFraud({ config, store }: DashboardServer): Promise<void> {
  const run = config.experiments[0]?.run ?? "";
  const pairs = Array.from({ length: 300 }, (_, index) => plantedPair(index, run));
  const orphans = [301, 302, 303].map((number) =>
    orphan({
      number,
      run,
      observation: observation({
        run,
        correlationId: correlationId(number),
        method: "POST",
        route: "/score",
      }),
    }),
  );
  const endings = { complete: 0, reset: 0, "client-left": 0, "no-answer": 0, streaming: 0 };
  const legs = [
    { leg: "primary", count: 303 },
    { leg: "shadow", count: 300 },
    { leg: "control", count: 303 },
  ].map(({ leg, count }) =>
    legLedger({
      leg,
      requests: count,
      attempts: count,
      endings: { ...endings, complete: count },
      published: count,
    }),
  );
  const unsampled = { ...ledger().requests.unsampled, fraction: 96 };
  await store.write(
    outcomes("planted", {
      pairs,
      orphans,
      ledgers: [
        ledger({
          run,
          number: 9,
          clockUs: START_US + 10 * MINUTE_US,
          final: true,
          requests: { seen: 400, sampled: 304, unreached: 1, unsampled },
          legs,
          batches: { sent: 30, retried: 1, failed: 0 },
        }),
      ],
      deadLetters: [deadLetter()],
    }),
  );
}

function plantedPair(index: number, run: string): JudgedPair {
  const isScore = index < 200;
  const bodyDiffers = isScore && index < 50;
  const fails = isScore && index < 10;
  const country = isScore && index % 2 === 0 ? "DE" : "FR";
  const noisy = isScore && index >= 195;
  const digest = (side: string) => side.repeat(32);
  return judgedPair({
    number: index,
    both: {
      run,
      method: isScore ? "POST" : "GET",
      route: isScore ? "/score" : "/accounts/{…}",
      segments: { "x-country": isScore && index < 100 ? "FR" : country === "DE" ? "DE" : "IT" },
    },
    primary: { responseDigest: digest("a"), totalUs: 4000 },
    shadow: {
      status: fails ? 500 : 200,
      responseDigest: digest(bodyDiffers ? "b" : "a"),
      totalUs: index % 2 === 0 ? 4000 : 6000,
    },
    control: { responseDigest: digest(noisy ? "c" : "a"), totalUs: 4100 },
    pair: { joinedAtUs: START_US + (index % 3) * MINUTE_US + index },
    divergences: [
      ...(fails ? [statusDivergence(200, 500), statusClass()] : []),
      ...(bodyDiffers ? [bodyDivergence("shadow")] : []),
    ],
    noise: noisy ? [bodyDivergence("control")] : [],
  });
}

function statusClass(): Divergence {
  return {
    rule: "status-class",
    grade: "high",
    primary: "2xx",
    shadow: "5xx",
    sentence: "the primary succeeded (2xx), the shadow failed (5xx)",
  };
}

function bodyDivergence(other: string): Divergence {
  return {
    rule: "body-digest",
    grade: "medium",
    primary: "80 bytes",
    shadow: "80 bytes",
    sentence: `the bodies of primary and ${other} are not equal byte for byte`,
  };
}
