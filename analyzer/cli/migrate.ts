import { loadConfig } from "../config.ts";
import { createLog } from "../log.ts";
import { connectStore } from "../storage/store.ts";
import type { Io } from "./io.ts";
import type { ConfigOptions } from "./options.ts";

export async function migrate(options: ConfigOptions, io: Io): Promise<void> {
  const config = loadConfig(options.config, io.env);
  // What was applied is this command's result; the log would say it a second time.
  const log = createLog({ ...io.env, LOG_LEVEL: io.env["LOG_LEVEL"] ?? "silent" });
  const store = await connectStore(config.clickhouse, log);
  try {
    const { version, applied } = await store.migrate(config);
    const place = `${config.clickhouse.database} on ClickHouse ${version} (${config.clickhouse.url})`;
    io.out(
      applied.length === 0
        ? `${place} is up to date\n`
        : `${place}: applied ${applied.length === 1 ? "1 migration" : `${applied.length} migrations`}\n${applied.map((name) => `  ${name}\n`).join("")}`,
    );
  } finally {
    await store.close();
  }
}
