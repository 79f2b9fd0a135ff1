// Figures as a person should read them: counts stay whole, a rate claims no more digits than its count carries.

const THIN = "\u202f";

/** Below this many pairs a rate is marked: one pair more or less moves it by a percent. */
export const FEW_PAIRS = 100;

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export function formatCount(count: number): string {
  return whole.format(count);
}

/** `2 pairs`, `1 pair`. */
export function formatCountOf(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/**
 * Two significant digits, never finer than a tenth of what one pair is worth, and never rounded to
 * a round 0 or 100 that is not one.
 */
export function formatRate(part: number, of: number): string {
  if (!(of > 0)) return "–";
  if (part <= 0) return `0${THIN}%`;
  if (part >= of) return `100${THIN}%`;
  const percent = (100 * part) / of;
  const worth = Math.max(0, Math.floor(Math.log10(of)) - 1);
  // Rounded first: 0.998 has the digits of 1.0.
  const size = Math.floor(Math.log10(Number(percent.toPrecision(2))));
  const decimals = Math.min(worth, size >= 1 ? 1 : 1 - size, 4);
  const text = percent.toFixed(decimals);
  if (Number(text) === 0) return `<${(10 ** -decimals).toFixed(decimals)}${THIN}%`;
  if (Number(text) >= 100) return `>${(100 - 10 ** -decimals).toFixed(decimals)}${THIN}%`;
  return `${text}${THIN}%`;
}

/** A fraction from the configuration, exact: 0.005 is `0.5 %`. */
export function formatFraction(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(6))}${THIN}%`;
}

/** Three significant digits in the unit that a person would choose. */
export function formatUs(us: number): string {
  if (!Number.isFinite(us)) return "–";
  if (us < 1000) return `${Math.round(us)}${THIN}µs`;
  if (us < 999_500) return `${significant(us / 1000)}${THIN}ms`;
  if (us < 60_000_000) return `${significant(us / 1_000_000)}${THIN}s`;
  return `${(us / 60_000_000).toFixed(1)}${THIN}min`;
}

/** `1.08×`; ratios have no third decimal worth reading. */
export function formatRatio(ratio: number): string {
  if (!Number.isFinite(ratio)) return "–";
  if (ratio >= 100) return `${formatCount(ratio)}×`;
  if (ratio >= 10) return `${ratio.toFixed(1)}×`;
  return `${ratio.toFixed(2)}×`;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${formatCount(bytes)}${THIN}B`;
  if (bytes < 1024 * 1024) return `${significant(bytes / 1024)}${THIN}KiB`;
  if (bytes < 1024 ** 3) return `${significant(bytes / 1024 ** 2)}${THIN}MiB`;
  return `${significant(bytes / 1024 ** 3)}${THIN}GiB`;
}

/** How long ago, coarse on purpose: `now`, `12 s`, `4 min`, `3 h`, `5 days`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 1) return "now";
  if (seconds < 90) return `${seconds}${THIN}s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)}${THIN}min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)}${THIN}h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** `ago` reads oddly after `now`. */
export function formatAgo(ms: number): string {
  const age = formatAge(ms);
  return age === "now" ? "just now" : `${age} ago`;
}

/** Enough of an id to tell it from its neighbours; UUIDv7 ids begin with the same time, so the end is kept. */
export function shortId(id: string): string {
  return id.length > 14 ? `…${id.slice(-8)}` : id;
}

export function joinWords(words: readonly string[]): string {
  if (words.length <= 1) return words[0] ?? "";
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

function significant(value: number): string {
  if (value >= 99.95) return formatCount(value);
  if (value >= 9.995) return value.toFixed(1);
  return value.toFixed(2);
}

/** The API's sentences begin in lower case; the page's do not. */
export function capitalised(sentence: string): string {
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}`;
}
