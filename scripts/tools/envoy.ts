import { mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ENVOY, findBinary } from "../../analyzer/embedded/binary.mjs";
import { type ServerProcess, startProgram, tailOf } from "../../analyzer/embedded/process.ts";

export interface EnvoyOptions {
  /** A whole bootstrap configuration, YAML or JSON; its admin address must be 127.0.0.1:`adminPort`. */
  config: string;
  adminPort: number;
  /** For the configuration file and the log. */
  dir: string;
  /** Worker threads. Default 2. */
  concurrency?: number;
  /** Default "info". */
  logLevel?: string;
  /** As Envoy's --component-log-level: "wasm:debug,upstream:trace". */
  componentLogLevel?: string;
  args?: readonly string[];
  /** Between the start and /ready. Default 30 s. */
  readyMs?: number;
}

export interface EnvoyServer extends ServerProcess {
  readonly adminUrl: string;
  readonly version: string;
  /** All that Envoy has logged so far. */
  log(): Promise<string>;
  /** Counters and gauges by their name, as /stats gives them; `filter` is a regular expression. */
  stats(filter?: string): Promise<Map<string, number>>;
}

/** Starts a real Envoy and waits until it takes traffic. A configuration that Envoy refuses is an error with its words. */
export async function startEnvoy(options: EnvoyOptions): Promise<EnvoyServer> {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  const binary = findBinary(ENVOY);
  if (binary.path === undefined) {
    throw new Error(
      `no Envoy to start: ${binary.problem}. Run "npm run setup", or set ENVOY_BIN to an Envoy 1.40 or later`,
    );
  }
  const configPath = join(dir, "envoy.yaml");
  writeFileSync(configPath, options.config);
  const logPath = join(dir, "envoy.log");
  const server = await startProgram({
    title: "Envoy",
    program: binary.path,
    args: [
      ...["--config-path", configPath],
      ...["--concurrency", String(options.concurrency ?? 2)],
      ...["--log-level", options.logLevel ?? "info"],
      ...(options.componentLogLevel === undefined
        ? []
        : ["--component-log-level", options.componentLogLevel]),
      // Several Envoys on one machine must not share the memory segment of hot restarts.
      "--disable-hot-restart",
      ...(options.args ?? []),
    ],
    logPath,
  });

  const adminUrl = `http://127.0.0.1:${options.adminPort}`;
  const readyMs = options.readyMs ?? 30_000;
  const deadline = Date.now() + readyMs;
  while (!(await isReady(adminUrl))) {
    if (server.running() && Date.now() < deadline) {
      await sleep(50);
      continue;
    }
    const what = server.running() ? `was not ready within ${readyMs} ms` : "ended at once";
    await server.kill();
    throw new Error(`Envoy ${what}; its log ${logPath} ends with: ${await tailOf(logPath, 4000)}`);
  }
  return {
    ...server,
    adminUrl,
    version: binary.version,
    log: () => readFile(logPath, "utf8"),
    async stats(filter = "") {
      const response = await fetch(`${adminUrl}/stats?filter=${encodeURIComponent(filter)}`);
      const stats = new Map<string, number>();
      for (const line of (await response.text()).split("\n")) {
        const end = line.lastIndexOf(": ");
        const value = Number(line.slice(end + 2));
        // Histograms and texts are left out.
        if (end > 0 && line.length > end + 2 && Number.isFinite(value))
          stats.set(line.slice(0, end), value);
      }
      return stats;
    },
  };
}

async function isReady(adminUrl: string): Promise<boolean> {
  return fetch(`${adminUrl}/ready`, { signal: AbortSignal.timeout(5000) })
    .then(async (response) => (await response.text()).trim() === "LIVE")
    .catch(() => false);
}
