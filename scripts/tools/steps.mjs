// What the scripts have in common: steps that show their progress, and errors that say what to do.
import { spawn } from "node:child_process";

/** Trouble that a person can do something about; `advice` are sentences that say what. */
export class SetupError extends Error {
  constructor(message, advice) {
    super(message);
    this.name = "SetupError";
    this.advice = advice;
  }
}

/** Progress goes to stderr, so that stdout is what the command was called for. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

export function report(error) {
  if (error instanceof SetupError) {
    say(`\nsetup: ${error.message}`);
    for (const sentence of error.advice) say(`  - ${sentence}`);
  } else {
    say(`\n${error?.stack ?? error}`);
  }
}

export function seconds(sinceMs) {
  return `${((Date.now() - sinceMs) / 1000).toFixed(1)} s`;
}

/** Runs `work` and shows that it runs: a line at its start, one every ten seconds, one at its end. */
export async function step(title, work) {
  const start = Date.now();
  say(`setup: ${title} …`);
  const ticker = setInterval(() => say(`setup: ${title} … ${seconds(start)}`), 10_000);
  try {
    const result = await work();
    say(`setup: ${title}: done, ${seconds(start)}`);
    return result;
  } finally {
    clearInterval(ticker);
  }
}

/** How much of a command's output is kept for messages. */
const OUTPUT_CHARS_MAX = 20_000;

/**
 * Runs a command to its end. Never rejects: `{ code, output }`, code 127 when it cannot be started. With `show` the
 * command writes where we do, and `output` stays empty.
 */
export function run(command, args, { cwd, env, show = false } = {}) {
  return new Promise((resolve) => {
    let output = "";
    const out = show ? "inherit" : "pipe";
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", out, out] });
    const take = (chunk) => {
      output = (output + chunk).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    child.on("error", (error) => resolve({ code: 127, output: error.message }));
    child.on("close", (code, signal) => resolve({ code: code ?? 1, signal, output }));
  });
}

/** The last lines of a command's output, indented, for a message. */
export function lastLines(output, count = 12) {
  const lines = output.trim().split("\n").slice(-count);
  return lines.map((line) => `    ${line}`).join("\n");
}

const NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENETWORK|ERR_SOCKET_TIMEOUT|NewConnectionError|ConnectTimeoutError|Max retries exceeded|Temporary failure in name resolution|Failed to establish a new connection|ProxyError|SSLError|CERTIFICATE_VERIFY_FAILED|ReadTimeoutError/;
const DISK = /ENOSPC|No space left on device/;
const PERMISSION = /EACCES|EPERM|Permission denied/;

/** What to do about trouble that any download may have; undefined when the output tells of none of it. */
export function commonTrouble(output, registry) {
  if (DISK.test(output)) {
    return {
      what: "the disk is full",
      advice: ["Free some space (about 2 GB are needed) and run the command again."],
    };
  }
  if (NETWORK.test(output)) {
    return {
      what: `${registry} cannot be reached`,
      advice: [
        "Check the network (and the proxy: HTTPS_PROXY; a registry of your own: npm's or pip's configuration) and run the command again.",
        "Once everything is there, no network is needed any more.",
      ],
    };
  }
  if (PERMISSION.test(output)) {
    return {
      what: "a file may not be written",
      advice: [
        "The folder of this clone must be writable by you: do not run one of the commands with sudo.",
      ],
    };
  }
  return undefined;
}
