import { createHash } from "node:crypto";

/** Where a server listens says nothing about what is compared with what. */
const NOT_PART_OF_THE_RUN = new Set(["address", "http2"]);

/**
 * The run of an experiment: 12 hexadecimal digits of SHA-256 over its canonical JSON (keys sorted, defaults filled in).
 * Any change but of an address starts a new run, so nobody can choose the test after seeing the data.
 */
export function runHash(experiment: object): string {
  return createHash("sha256").update(canonical(experiment)).digest("hex").slice(0, 12);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
      .filter(([key]) => !NOT_PART_OF_THE_RUN.has(key))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
