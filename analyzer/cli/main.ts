#!/usr/bin/env node
import type { Io } from "./io.ts";
import { runCli } from "./run.ts";
import { stopSignal } from "./stop-signal.ts";

// A reader that went away (`| head`) is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const io: Io = {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  stop: stopSignal(),
};

process.exitCode = await runCli(process.argv.slice(2), io);
