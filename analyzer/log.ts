import { type DestinationStream, type Logger, pino } from "pino";

export type Log = Logger;

const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"];

/**
 * JSON lines on standard output, one object an event. The level comes from LOG_LEVEL; an unknown one means info,
 * because a misspelt level must not stop the analyzer.
 */
export function createLog(
  env: Readonly<Record<string, string | undefined>> = process.env,
  destination?: DestinationStream,
): Log {
  const asked = (env["LOG_LEVEL"] ?? "info").toLowerCase();
  const options = {
    level: LEVELS.includes(asked) ? asked : "info",
    base: { process: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
