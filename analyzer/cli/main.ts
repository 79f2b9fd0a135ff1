#!/usr/bin/env node
import type { Io } from "./io.ts";
import { runCli } from "./run.ts";

const stop = new AbortController();
let asked = 0;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    asked += 1;
    // The second time a person means it. Servers that we started end with us.
    if (asked > 1) process.exit(130);
    stop.abort();
  });
}

// A reader that went away (`| head`) is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const io: Io = {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  stop: stop.signal,
};

process.exitCode = await runCli(process.argv.slice(2), io);
