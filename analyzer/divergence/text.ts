/** Sizes and times as sentences have them: the same on every machine, whatever its locale. */

/** `1 byte`, `12,345 bytes`. */
export function bytesText(bytes: number): string {
  return `${groupedText(bytes)} ${bytes === 1 ? "byte" : "bytes"}`;
}

/** `850 µs`, `20.1 ms`, `1.35 s`: three digits tell two times apart. */
export function durationText(us: number): string {
  if (us < 1_000) return `${us} µs`;
  if (us < 999_500) return `${threeDigits(us / 1_000)} ms`;
  return `${us < 999_500_000 ? threeDigits(us / 1_000_000) : groupedText(Math.round(us / 1_000_000))} s`;
}

/** 20.1, 3.14, 120. */
export function threeDigits(value: number): string {
  if (value >= 99.95) return groupedText(Math.round(value));
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function groupedText(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
