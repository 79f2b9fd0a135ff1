// Parts that a command can do without, or that a person brings: told of when they lack, never an obstacle.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { say } from "./steps.mjs";

export function hasClickHouse(root) {
  if (process.env.CLICKHOUSE_URL) return true;
  const libc = process.platform === "linux" ? "-gnu" : "";
  const library = `@chdb/lib-${process.platform}-${process.arch}${libc}`;
  if (existsSync(join(root, "node_modules", library, "package.json"))) return true;
  say(
    `setup: no embedded ClickHouse for ${process.platform} ${process.arch}: set CLICKHOUSE_URL to a ClickHouse 25.3 or later`,
  );
  return false;
}

export function hasChromium() {
  if (process.env.CHROMIUM_BIN) return true;
  if (process.platform === "linux" && process.arch === "x64") return true;
  const commands = ["chromium", "chromium-browser", "google-chrome"];
  for (const dir of (process.env.PATH ?? "").split(delimiter)) {
    if (dir !== "" && commands.some((command) => existsSync(join(dir, command)))) return true;
  }
  say("setup: no Chromium on PATH: the tests of the page need CHROMIUM_BIN");
  return false;
}
