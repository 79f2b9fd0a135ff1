import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stringify } from "yaml";
import { type Config, loadConfig } from "../../analyzer/config.ts";
import { type ClickHouseServer, startClickHouse } from "../../analyzer/embedded/clickhouse.ts";
import { type NatsServer, startNats } from "../../analyzer/embedded/nats.ts";
import { choosePorts } from "../../analyzer/embedded/ports.ts";
import { type ServerProcess, startProgram, tailOf } from "../../analyzer/embedded/process.ts";
import { renderEnvoy } from "../../analyzer/envoy/render.ts";
import { AnalyzerError } from "../../analyzer/errors.ts";
import { type EnvoyServer, startEnvoy } from "../tools/envoy.ts";
import type { Version } from "./scoring.ts";

export const EXPERIMENT = "fraud-scoring";

/** Everything that listens, what it is called, and where unless told otherwise. */
export const PORTS = {
  envoy: { title: "Envoy", standard: 10_000 },
  admin: { title: "Envoy's admin page", standard: 9901 },
  page: { title: "the page and API", standard: 8080 },
  clickhouse: { title: "ClickHouse", standard: 8123 },
  nats: { title: "NATS", standard: 4222 },
  primary: { title: "the primary", standard: 9001 },
  shadow: { title: "the shadow", standard: 9002 },
  control: { title: "the control", standard: 9003 },
} as const;

export type PortName = keyof typeof PORTS;
export type Ports = Readonly<Record<PortName, number>>;

export interface StackOptions {
  /** For data, logs and rendered configuration. */
  readonly dir: string;
  /** 0: a free one. Default: the standard ports. */
  readonly ports?: Partial<Ports>;
  /** Over the demo's own configuration, section by section; `experiment` over the only experiment's keys. */
  readonly config?: {
    readonly experiment?: object;
    readonly nats?: object;
    readonly analyzer?: object;
    readonly filter?: object;
    readonly clickhouse?: object;
  };
  /** Services that run already, by side; those left out are started. */
  readonly services?: Partial<Readonly<Record<"primary" | "shadow" | "control", string>>>;
  /** Envoy's worker threads. Default 2. */
  readonly concurrency?: number;
  /** Told what is being started. */
  readonly onStep?: (step: string) => void;
}

export interface Stack {
  readonly config: Config;
  readonly configFile: string;
  readonly ports: Ports;
  /** What users reach. */
  readonly url: string;
  readonly pageUrl: string;
  readonly nats: NatsServer;
  readonly clickhouse: ClickHouseServer;
  readonly envoy: EnvoyServer;
  readonly analyzer: ServerProcess;
  /** Resolves with a sentence when a part ends that nobody stopped. */
  readonly broken: Promise<string>;
  /** Starts another analyzer after the first one was killed. */
  startAnalyzer(): Promise<ServerProcess>;
  stop(): Promise<void>;
}

/** The whole of Shadowgraph around the demo's service, every part a process of its own that ends with this one. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  const step = options.onStep ?? (() => {});
  const ports = await choose(options.ports ?? {});
  const configFile = join(dir, "shadowgraph.yaml");
  writeFileSync(configFile, stringify(configuration(ports, options)));
  const config = loadConfig(configFile, {});

  const started: ServerProcess[] = [];
  let stopping = false;
  let tellBroken: (sentence: string) => void = () => {};
  const broken = new Promise<string>((tell) => {
    tellBroken = tell;
  });
  const keep = <S extends ServerProcess>(title: string, server: S): S => {
    started.push(server);
    void server.exited.then(({ code, signal }) => {
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      if (!stopping) tellBroken(`${title} has ended ${how}; its log is ${server.logPath}`);
    });
    return server;
  };
  const stop = async (): Promise<void> => {
    stopping = true;
    // Users' side first, so that nothing is sent to a part that is gone.
    for (const server of [...started].reverse()) await server.stop();
  };

  try {
    step("NATS");
    const nats = keep("NATS", await startNats({ dir: join(dir, "nats"), port: ports.nats }));
    step("ClickHouse");
    const clickhouse = keep(
      "ClickHouse",
      await startClickHouse({ dir: join(dir, "clickhouse"), httpPort: ports.clickhouse }),
    );
    step("the service: v1 as primary, v2 as shadow, v1 as control");
    const versions: readonly (readonly ["primary" | "shadow" | "control", Version])[] = [
      ["primary", "v1"],
      ["shadow", "v2"],
      ["control", "v1"],
    ];
    for (const [side, version] of versions) {
      if (options.services?.[side] !== undefined) continue;
      const script = fileURLToPath(new URL("./service-process.ts", import.meta.url));
      const args = [script, version, String(ports[side])];
      keep(`the ${side}`, await startNode(`the ${side}`, args, join(dir, `${side}.log`)));
    }
    step("the analyzer");
    const startAnalyzer = async (): Promise<ServerProcess> => {
      const main = fileURLToPath(new URL("../../analyzer/cli/main.ts", import.meta.url));
      const args = [main, "analyzer", "--config", configFile];
      return keep("the analyzer", await startNode("the analyzer", args, join(dir, "analyzer.log")));
    };
    const analyzer = await startAnalyzer();
    const pageUrl = `http://127.0.0.1:${ports.page}`;
    await untilAnswers("the analyzer", `${pageUrl}/health/ready`, analyzer);
    for (const [side] of versions) {
      if (options.services?.[side] === undefined) {
        await untilAnswers(`the ${side}`, `http://127.0.0.1:${ports[side]}/`, undefined);
      }
    }
    step("Envoy");
    const envoy = keep(
      "Envoy",
      await startEnvoy({
        config: renderEnvoy(config).yaml,
        adminPort: ports.admin,
        dir: join(dir, "envoy"),
        concurrency: options.concurrency ?? 2,
      }),
    );
    return {
      config,
      configFile,
      ports,
      url: `http://127.0.0.1:${ports.envoy}`,
      pageUrl,
      nats,
      clickhouse,
      envoy,
      analyzer,
      broken,
      startAnalyzer,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function choose(wanted: Partial<Ports>): Promise<Ports> {
  const names = Object.keys(PORTS) as PortName[];
  const wishes = names.map((name) => ({
    name: `${PORTS[name].title} (--port-${name})`,
    port: wanted[name] ?? PORTS[name].standard,
  }));
  const chosen = await choosePorts(wishes);
  return Object.fromEntries(names.map((name, i) => [name, chosen[i] ?? 0])) as Ports;
}

/** Short windows and intervals: who watches a demo wants to see things happen. */
function configuration(ports: Ports, { config = {}, services = {} }: StackOptions) {
  const address = (side: "primary" | "shadow" | "control"): string =>
    services[side] ?? `127.0.0.1:${ports[side]}`;
  return {
    experiments: [
      {
        name: EXPERIMENT,
        match: { pathPrefix: "/v1/" },
        primary: { cluster: "scoring-primary", address: address("primary") },
        shadows: [
          { name: "shadow", cluster: "scoring-shadow", address: address("shadow"), build: "v2" },
        ],
        control: { cluster: "scoring-control", address: address("control") },
        segments: ["x-country"],
        shadowTimeoutMs: 3000,
        ...config.experiment,
      },
    ],
    nats: { servers: [`nats://127.0.0.1:${ports.nats}`], ...config.nats },
    clickhouse: { url: `http://127.0.0.1:${ports.clickhouse}`, ...config.clickhouse },
    analyzer: { joinWindowMs: 6000, flushIntervalMs: 500, ...config.analyzer },
    http: { port: ports.page },
    filter: { ledgerIntervalMs: 1000, ...config.filter },
    envoy: {
      listener: `127.0.0.1:${ports.envoy}`,
      admin: `127.0.0.1:${ports.admin}`,
      nats: `127.0.0.1:${ports.nats}`,
    },
  };
}

/** A TypeScript program of ours under the supervisor. */
function startNode(title: string, args: readonly string[], logPath: string) {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return startProgram({
    title,
    program: process.execPath,
    args: ["--import", loader, ...args],
    logPath,
  });
}

const READY_MS = 60_000;

async function untilAnswers(
  title: string,
  url: string,
  server: ServerProcess | undefined,
): Promise<void> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const status = await fetch(url, { signal: AbortSignal.timeout(2000) })
      .then((response) => response.status)
      .catch(() => 0);
    // Any answer will do from a service; readiness has its own status.
    if (status === 200 || (server === undefined && status !== 0)) return;
    if (server !== undefined && !server.running()) {
      const said = await tailOf(server.logPath);
      throw new AnalyzerError("EMBEDDED_FAILED", `${title} ended at once: ${said}`);
    }
    if (Date.now() > deadline) {
      throw new AnalyzerError("EMBEDDED_FAILED", `${title} did not answer at ${url} in time`);
    }
    await sleep(50);
  }
}
