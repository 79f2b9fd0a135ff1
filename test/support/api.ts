import type { FastifyInstance } from "fastify";
import { type Config, parseConfig } from "../../analyzer/config.ts";
import type { HealthSnapshot } from "../../analyzer/health.ts";
import { buildServer } from "../../analyzer/http/server.ts";
import { createLog } from "../../analyzer/log.ts";
import type { Queries } from "../../analyzer/storage/queries.ts";

const YAML = `
experiments:
  - name: fraud
    match: { hosts: [fraud.example], methods: [POST] }
    primary: { cluster: fraud-primary }
    shadows:
      - { name: shadow, cluster: fraud-shadow, build: v2 }
      - { name: second, cluster: fraud-second }
    control: { cluster: fraud-control }
    segments: [x-country]
  - name: search
    match: { header: { name: x-canary, value: "1" } }
    primary: { cluster: search-primary }
    shadows: [ { name: shadow, cluster: search-shadow } ]
analyzer: { joinWindowMs: 30000 }
`;

/** Two experiments: fraud with two shadows and a control, search with one shadow. */
export function testConfig(): Config {
  return parseConfig(YAML, { path: "shadowgraph.yaml", env: {} });
}

export function healthy(over: Partial<HealthSnapshot> = {}): HealthSnapshot {
  const up = { state: "up" as const, since: "2026-01-02T03:04:05.000Z", message: "" };
  return {
    nats: up,
    clickhouse: up,
    lanes: [{ lane: 0, owner: true, sequence: 42, lagMessages: 0, watermarkUs: 0, storedUs: 0 }],
    waiting: 0,
    ...over,
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects, and expect tells when it is not there
  readonly body: any;
}

export interface TestApi {
  readonly app: FastifyInstance;
  get(url: string, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

export function testApi(
  queries: Queries,
  {
    config = testConfig(),
    health = () => healthy(),
    metrics = async () => "up 1\n",
    dashboardDir = null,
  }: {
    config?: Config;
    health?: () => HealthSnapshot;
    metrics?: () => Promise<string>;
    dashboardDir?: string | null;
  } = {},
): TestApi {
  const app = buildServer({
    queries,
    config,
    health: { snapshot: health },
    metrics,
    log: createLog({ LOG_LEVEL: "silent" }),
    dashboardDir,
  });
  return {
    app,
    async get(url, headers = {}) {
      const response = await app.inject({ method: "GET", url, headers });
      const json = /json/.test(String(response.headers["content-type"]));
      return {
        status: response.statusCode,
        headers: response.headers,
        body: json ? response.json() : response.body,
      };
    },
    close: () => app.close(),
  };
}
