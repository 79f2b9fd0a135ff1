import { RequestError, shown } from "./problems.ts";

/** µs since 1970 as ISO 8601 in UTC with all six decimals. */
export function toInstant(us: number): string {
  const seconds = Math.floor(us / 1e6);
  const fraction = String(us - seconds * 1e6).padStart(6, "0");
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

export function toInstantOrNull(us: number | null): string | null {
  return us === null ? null : toInstant(us);
}

const ISO = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.(\d{1,9}))?)?(?:Z|[+-]\d{2}:?\d{2}))?$/;

/**
 * ISO 8601 with a zone, or a day (its begin in UTC), to µs since 1970.
 * @throws RequestError PARAMETER_INVALID
 */
export function parseInstant(text: string, parameter: string): number {
  // A plus sign in an address that was not encoded arrives as a space.
  const given = text.replace(/ (?=\d{2}:?\d{2}$)/, "+");
  const parts = ISO.exec(given);
  const millis = parts === null ? Number.NaN : Date.parse(given.replace(/\.\d+/, ""));
  if (parts === null || Number.isNaN(millis) || millis < 0 || millis > 4_102_444_800_000) {
    throw new RequestError(
      "PARAMETER_INVALID",
      `${parameter} is ${shown(text)}, expected ISO 8601 with a zone, such as 2026-01-02T03:04:05Z, from 1970 to 2099`,
      { parameter },
    );
  }
  return millis * 1000 + Number((parts[1] ?? "").padEnd(6, "0").slice(0, 6));
}
