import { readFileSync } from "node:fs";

/** Values computed independently by scripts/oracles/verdict.py. */
export function readOracles<Groups>(
  name: "special-functions" | "sequential" | "fixed-sample",
): Groups {
  const file = new URL(`./oracles/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")) as Groups;
}
