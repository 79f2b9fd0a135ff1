import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Config, loadConfig } from "../config.ts";
import { type ClickHouseServer, startClickHouse } from "../embedded/clickhouse.ts";
import { type NatsServer, startNats } from "../embedded/nats.ts";
import type { ServerProcess } from "../embedded/process.ts";
import { AnalyzerError } from "../errors.ts";
import { createLog } from "../log.ts";
import { runAnalyzer } from "../main.ts";
import type { Io } from "./io.ts";
import type { ConfigOptions } from "./options.ts";
import { RollingFile } from "./rolling-file.ts";

export interface UpOptions extends ConfigOptions {
  readonly data: string;
}

/** Servers, in the order in which they were started. */
interface Started {
  readonly title: string;
  readonly server: ServerProcess;
}

/**
 * NATS, ClickHouse and the analyzer, until io.stop. The servers listen where the configuration says that they are, so the
 * same file works with servers of their own later; one that the environment names is used and not started.
 */
export async function up(options: UpOptions, io: Io): Promise<void> {
  const config = loadConfig(options.config, io.env);
  const data = resolve(options.data);
  const natsPort = io.env["NATS_URL"] ? null : portHere("nats.servers", config.nats.servers[0]);
  const httpPort = io.env["CLICKHOUSE_URL"]
    ? null
    : portHere("clickhouse.url", config.clickhouse.url);
  mkdirSync(data, { recursive: true });

  const file = new RollingFile(join(data, "analyzer.log"));
  const log = createLog(io.env, { write: (line) => record(line, file, io) });
  const started: Started[] = [];
  // Either the person or a server that died ends it all.
  const end = new AbortController();
  const stop = AbortSignal.any([io.stop, end.signal]);
  let lost: string | null = null;
  const watch = (title: string, server: ServerProcess): void => {
    started.push({ title, server });
    void server.exited.then(() => {
      if (stop.aborted) return;
      lost = `${title} has ended by itself; its log is ${server.logPath}`;
      end.abort();
    });
  };

  try {
    let nats: NatsServer | null = null;
    if (natsPort !== null) {
      io.err("starting NATS …\n");
      nats = await startNats({ dir: join(data, "nats"), port: natsPort, ...login(config), log });
      watch("NATS", nats);
    }
    let clickhouse: ClickHouseServer | null = null;
    if (httpPort !== null) {
      io.err("starting ClickHouse …\n");
      clickhouse = await startClickHouse({ dir: join(data, "clickhouse"), httpPort, log });
      watch("ClickHouse", clickhouse);
    }
    const onListening = (address: string): void => {
      const page = address.replace("0.0.0.0", "127.0.0.1");
      io.out(whereToLook({ config, nats, clickhouse, page, data, configFile: options.config }));
    };
    await runAnalyzer(config, { log, signal: stop, onListening });
  } finally {
    end.abort();
    for (const { title, server } of started.reverse()) {
      io.err(`stopping ${title} …\n`);
      await server.stop();
    }
    file.close();
  }
  if (lost !== null) throw new AnalyzerError("EMBEDDED_FAILED", lost);
}

/** The port of an address on this machine. */
function portHere(key: string, address: string | undefined): number {
  const url = new URL(address ?? "");
  if (!["127.0.0.1", "localhost", "[::1]"].includes(url.hostname)) {
    const variable = key === "clickhouse.url" ? "CLICKHOUSE_URL" : "NATS_URL";
    throw new AnalyzerError(
      "CONFIG_INVALID",
      `${key} is ${address}, which is another machine: expected 127.0.0.1, where \`up\` starts a server of its own. Set ${variable} to use that one, or run \`shadowgraph analyzer\``,
    );
  }
  return Number(url.port || (key === "clickhouse.url" ? 8123 : 4222));
}

function login({ nats }: Config): { user?: string; password?: string; token?: string } {
  if (nats.token !== "") return { token: nats.token };
  return nats.user === "" ? {} : { user: nats.user, password: nats.password };
}

/** Every line goes to the file; warnings and worse to the person as well, in words. */
function record(line: string, file: RollingFile, io: Io): void {
  file.write(line);
  const { level, msg, code } = JSON.parse(line) as { level: string; msg: string; code?: string };
  if (["warn", "error", "fatal"].includes(level)) {
    io.err(`${level.padEnd(5)} ${code === undefined ? "" : `${code}: `}${msg}\n`);
  }
}

function whereToLook(parts: {
  config: Config;
  nats: NatsServer | null;
  clickhouse: ClickHouseServer | null;
  page: string;
  data: string;
  configFile: string;
}): string {
  const { config, nats, clickhouse, page, data, configFile } = parts;
  return `
  page         ${page}/
  API          ${page}/openapi.json
  metrics      ${page}/metrics
  ClickHouse   ${clickhouse?.url ?? config.clickhouse.url}/play
  NATS         ${nats?.url ?? config.nats.servers.join(", ")}
  data, logs   ${data}

Next: shadowgraph render envoy --config ${configFile} --out envoy.yaml, then start Envoy with it.
Is all well? shadowgraph doctor --config ${configFile}
Ctrl-C ends everything in good order.

`;
}
