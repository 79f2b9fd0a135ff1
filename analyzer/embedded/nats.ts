import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { AnalyzerError } from "../errors.ts";
import { findBinary, NATS_SERVER } from "./binary.mjs";
import { lockDataDir } from "./data-dir.ts";
import { choosePorts } from "./ports.ts";
import { type EmbeddedLog, type ServerProcess, startProgram, tailOf } from "./process.ts";

export interface NatsOptions {
  /** Everything of this server: configuration, log, JetStream's files. Made when missing. */
  dir: string;
  /** 0 (the default): a free one. */
  port?: number;
  /** HTTP monitoring; 0: a free one; left out: none. */
  monitorPort?: number;
  /** Either both of these, or a token, or neither. */
  user?: string;
  password?: string;
  token?: string;
  /** Bytes JetStream may keep in files. Default 8 GiB. */
  fileStoreBytesMax?: number;
  /** More of nats-server's own configuration, for tests and for people who know it. */
  extraConfig?: string;
  log?: EmbeddedLog;
}

export interface NatsServer extends ServerProcess {
  /** nats://127.0.0.1:PORT */
  readonly url: string;
  readonly port: number;
  readonly monitorUrl: string | undefined;
  readonly version: string;
}

const READY_MS = 30_000;
const FILE_STORE_BYTES_MAX = 8 * 1024 ** 3;

/**
 * Starts a real nats-server with JetStream on files, on loopback only.
 *
 * @throws AnalyzerError EMBEDDED_UNSUPPORTED (no program), PORT_TAKEN, EMBEDDED_FAILED
 */
export async function startNats(options: NatsOptions): Promise<NatsServer> {
  const dir = resolve(options.dir);
  const binary = findBinary(NATS_SERVER);
  if (binary.path === undefined) {
    throw new AnalyzerError(
      "EMBEDDED_UNSUPPORTED",
      `no nats-server to start: ${binary.problem}. Run "npm run setup" in the package, set NATS_SERVER_BIN to a nats-server 2.11 or later, ` +
        "or set nats.servers to one that runs already",
    );
  }
  const lock = lockDataDir(dir, "NATS");
  try {
    // A port that was free may be gone a moment later; when the choice is ours, choose again.
    const anyPort = (options.port ?? 0) === 0 && (options.monitorPort ?? 0) === 0;
    for (let attempt = 1; ; attempt++) {
      try {
        return await startOnce(options, dir, binary, lock);
      } catch (error) {
        const isPort = error instanceof AnalyzerError && error.code === "PORT_TAKEN";
        if (!isPort || !anyPort || attempt === 3) throw error;
      }
    }
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function startOnce(
  options: NatsOptions,
  dir: string,
  binary: { path: string; version: string },
  lock: ReturnType<typeof lockDataDir>,
): Promise<NatsServer> {
  const wishes = [{ name: "NATS", port: options.port ?? 0 }];
  if (options.monitorPort !== undefined) {
    wishes.push({ name: "NATS monitoring", port: options.monitorPort });
  }
  const [port = 0, monitorPort] = await choosePorts(wishes);

  // Tells our server from another one that took the port between choosing and listening.
  const name = `shadowgraph-${randomBytes(6).toString("hex")}`;
  const configPath = join(dir, "nats.conf");
  // The file may hold a password: for the owner's eyes only.
  writeFileSync(configPath, configOf({ options, dir, port, monitorPort, name }), { mode: 0o600 });
  const logPath = join(dir, "nats-server.log");
  const server = await startProgram({
    title: "nats-server",
    program: binary.path,
    args: ["--config", configPath],
    logPath: join(dir, "nats-server.out"),
  });
  lock.handTo(server.pid);
  void server.exited.then((exit) => {
    lock.release();
    options.log?.info({ ...exit, pid: server.pid }, "nats-server has ended");
  });

  const deadline = Date.now() + READY_MS;
  while ((await greetingOf(port)) !== name) {
    const timedOut = Date.now() > deadline;
    if (server.running() && !timedOut) {
      await new Promise((done) => setTimeout(done, 25));
      continue;
    }
    await server.kill();
    const said = `${await tailOf(server.logPath)}\n${await tailOf(logPath)}`.trim();
    if (said.includes("address already in use")) {
      throw new AnalyzerError("PORT_TAKEN", `port 127.0.0.1:${port} for NATS is in use`);
    }
    const what = timedOut ? `did not answer within ${READY_MS} ms` : "ended at once";
    throw new AnalyzerError(
      "EMBEDDED_FAILED",
      `nats-server ${what}; its last words (${logPath}): ${said}`,
    );
  }
  const url = `nats://127.0.0.1:${port}`;
  options.log?.info({ url, pid: server.pid, version: binary.version, dir }, "nats-server is ready");
  return {
    ...server,
    logPath,
    url,
    port,
    monitorUrl: monitorPort === undefined ? undefined : `http://127.0.0.1:${monitorPort}`,
    version: binary.version,
  };
}

function configOf(parts: {
  options: NatsOptions;
  dir: string;
  port: number;
  monitorPort: number | undefined;
  name: string;
}): string {
  const { options, dir, port, monitorPort, name } = parts;
  const lines = [
    `server_name: ${name}`,
    'host: "127.0.0.1"',
    `port: ${port}`,
    ...(monitorPort === undefined ? [] : [`http: "127.0.0.1:${monitorPort}"`]),
    `jetstream: { store_dir: ${quote(join(dir, "data"))}, max_file_store: ${options.fileStoreBytesMax ?? FILE_STORE_BYTES_MAX} }`,
    // A batch is at most 512 KiB (wire/README.md).
    "max_payload: 1048576",
    `log_file: ${quote(join(dir, "nats-server.log"))}`,
    "logfile_size_limit: 8388608",
    "logfile_max_num: 3",
  ];
  if (options.token !== undefined) {
    lines.push(`authorization: { token: ${quote(options.token)} }`);
  } else if (options.user !== undefined) {
    lines.push(
      `authorization: { user: ${quote(options.user)}, password: ${quote(options.password ?? "")} }`,
    );
  }
  if (options.extraConfig !== undefined) lines.push(options.extraConfig);
  return `${lines.join("\n")}\n`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** The server_name in the INFO line that a NATS server sends first; undefined when nobody answers like that. */
function greetingOf(port: number): Promise<string | undefined> {
  return new Promise((done) => {
    const socket = connect({ host: "127.0.0.1", port });
    let text = "";
    const finish = (name: string | undefined) => {
      socket.destroy();
      done(name);
    };
    socket.setTimeout(2000, () => finish(undefined));
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(undefined));
    socket.on("data", (chunk) => {
      text += chunk.toString("utf8");
      if (text.length > 65_536) finish(undefined);
      else if (text.includes("\r\n")) finish(text.match(/"server_name":"([^"]*)"/)?.[1]);
    });
  });
}
