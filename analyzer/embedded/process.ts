import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { AnalyzerError } from "../errors.ts";

/** The part of a logger that the launchers use; a pino logger fits. */
export interface EmbeddedLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ServerExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A server that we started. It dies when this process dies, however that happens. */
export interface ServerProcess {
  /** The server itself, not the supervisor between it and us. */
  readonly pid: number;
  /** What the server prints. */
  readonly logPath: string;
  /** Resolves when the server has ended, for whatever reason. Never rejects. */
  readonly exited: Promise<ServerExit>;
  readonly running: () => boolean;
  /** Asks the server to end and waits until it has; killed when it takes longer than the grace period. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash would do it; waits until it has ended. */
  kill(): Promise<void>;
}

export interface ProgramOptions {
  /** For messages: "nats-server", "Envoy". */
  title: string;
  program: string;
  args: readonly string[];
  logPath: string;
  /** Between SIGTERM and SIGKILL. */
  graceMs?: number;
  env?: NodeJS.ProcessEnv;
}

const GRACE_MS = 10_000;

/** Starts a program of the platform under a supervisor, which ends it when this process is gone. */
export function startProgram(options: ProgramOptions): Promise<ServerProcess> {
  const { title, program, args, logPath, graceMs = GRACE_MS, env } = options;
  return startScript({
    title,
    script: fileURLToPath(new URL("./supervisor.mjs", import.meta.url)),
    args: [String(graceMs), program, ...args],
    logPath,
    graceMs,
    ...(env === undefined ? {} : { env }),
    stopBy: (child) => child.send("stop", () => {}),
  });
}

export interface ScriptOptions {
  title: string;
  script: string;
  args: readonly string[];
  logPath: string;
  graceMs?: number;
  env?: NodeJS.ProcessEnv;
  stopBy: (child: ChildProcess) => void;
}

/** What the started scripts say over their channel. */
type Message = {
  readonly pid?: number;
  readonly error?: string;
  readonly missing?: string;
  readonly code?: number | null;
  readonly signal?: string | null;
};

/**
 * Starts a script of ours that is a server or supervises one, and waits until it says the server's pid.
 *
 * The script gets a session of its own: Ctrl-C in a terminal reaches us alone, and we end our servers in order.
 */
export async function startScript(options: ScriptOptions): Promise<ServerProcess> {
  const { title, script, args, logPath, graceMs = GRACE_MS } = options;
  mkdirSync(dirname(logPath), { recursive: true });
  const log = openSync(logPath, "w");
  // Flags for our own Node (test runners, loaders) are not for the server's.
  const { NODE_OPTIONS: _, ...env } = options.env ?? process.env;
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [script, ...args], {
      stdio: ["ignore", log, log, "ipc"],
      detached: true,
      execArgv: [],
      env,
    } as Parameters<typeof spawn>[2]);
  } finally {
    closeSync(log);
  }

  let pid: number | undefined;
  let ended = false;
  let told: ServerExit | undefined;
  let settleExit: (exit: ServerExit) => void = () => {};
  const exited = new Promise<ServerExit>((resolve) => {
    settleExit = resolve;
  });
  const started = new Promise<number>((resolve, reject) => {
    child.on("message", (message: Message) => {
      if (message.pid !== undefined) {
        pid = message.pid;
        resolve(message.pid);
      } else if (message.missing !== undefined) {
        reject(new AnalyzerError("EMBEDDED_UNSUPPORTED", message.missing));
      } else if (message.error !== undefined) {
        reject(new AnalyzerError("EMBEDDED_FAILED", `${title} did not start: ${message.error}`));
      } else if (message.code !== undefined) {
        told = { code: message.code, signal: message.signal ?? null };
      }
    });
    child.on("error", (error) => {
      ended = true;
      settleExit({ code: null, signal: null });
      reject(new AnalyzerError("EMBEDDED_FAILED", `${title} did not start: ${error.message}`));
    });
    child.on("exit", (code, signal) => {
      // Somebody killed the supervisor alone: its server must not stay behind.
      if (told === undefined && pid !== undefined && pid !== child.pid) signalTo(pid, "SIGKILL");
      ended = true;
      settleExit(told ?? { code, signal });
      reject(new AnalyzerError("EMBEDDED_FAILED", `${title} ended at once`));
    });
  });

  const serverPid = await started;
  return {
    pid: serverPid,
    logPath,
    exited,
    running: () => !ended,
    async stop() {
      if (ended) return;
      options.stopBy(child);
      // The supervisor has its own clock; this one is for the case that it does not do its work.
      const timer = setTimeout(() => {
        signalTo(serverPid, "SIGKILL");
        child.kill("SIGKILL");
      }, graceMs + 1000);
      await exited;
      clearTimeout(timer);
    },
    async kill() {
      if (ended) return;
      signalTo(serverPid, "SIGKILL");
      await exited;
    },
  };
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

/** The last lines of a log, for an error's message; empty when there is none. */
export async function tailOf(path: string, bytes = 2000): Promise<string> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const start = Math.max(0, size - bytes);
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(size - start),
        0,
        size - start,
        start,
      );
      const text = buffer.toString("utf8", 0, bytesRead).trim();
      return start > 0 ? text.slice(text.indexOf("\n") + 1) : text;
    } finally {
      await file.close();
    }
  } catch {
    return "";
  }
}
