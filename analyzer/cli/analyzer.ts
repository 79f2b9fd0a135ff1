import { loadConfig } from "../config.ts";
import { createLog } from "../log.ts";
import { runAnalyzer } from "../main.ts";
import type { Io } from "./io.ts";
import type { ConfigOptions } from "./options.ts";

/** Until io.stop; then it finishes what it has begun. */
export async function analyzer(options: ConfigOptions, io: Io): Promise<void> {
  const config = loadConfig(options.config, io.env);
  await runAnalyzer(config, { log: createLog(io.env), signal: io.stop });
}
