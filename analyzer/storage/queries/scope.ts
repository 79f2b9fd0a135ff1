import { type Database, type Params, toCount } from "../client.ts";

/** What a question is about. Times are µs since 1970; `fromUs` inclusive, `toUs` exclusive, by the time of joining. */
export interface Scope {
  readonly experiment: string;
  readonly run: string;
  readonly shadow: string;
  readonly fromUs?: number | undefined;
  readonly toUs?: number | undefined;
  readonly route?: string | undefined;
  readonly method?: string | undefined;
}

/** A part of a WHERE clause with the values that it names. */
export interface Condition {
  readonly sql: string;
  readonly params: Params;
}

export const MINUTE_S = 60;
export const HOUR_S = 3_600;

/** Longest time that ClickHouse works on one question before it gives up. */
export const READ_SETTINGS = { max_execution_time: 20 } as const;

/** The scope's rows in a table with the columns experiment, run, shadow, route and method. */
export function scopeCondition({ experiment, run, shadow, route, method }: Scope): Condition {
  const sql = [
    "experiment = {experiment: String}",
    "run = {run: String}",
    "shadow = {shadow: String}",
    ...(route === undefined ? [] : ["route = {route: String}"]),
    ...(method === undefined ? [] : ["method = {method: String}"]),
  ].join(" AND ");
  return { sql, params: { experiment, run, shadow, route: route ?? "", method: method ?? "" } };
}

/** Rollups know minutes: the begin is taken down and the end up to a whole one. Seconds since 1970; null is open. */
export function wholeMinutes({ fromUs, toUs }: Pick<Scope, "fromUs" | "toUs">): {
  fromS: number | null;
  toS: number | null;
} {
  const minuteUs = MINUTE_S * 1e6;
  return {
    fromS: fromUs === undefined ? null : Math.floor(fromUs / minuteUs) * MINUTE_S,
    toS: toUs === undefined ? null : Math.ceil(toUs / minuteUs) * MINUTE_S,
  };
}

/** `column` (a DateTime) in [fromS, toS). Whole numbers of our own making, so they stand in the text. */
export function between(column: string, fromS: number | null, toS: number | null): string {
  const parts: string[] = [];
  if (fromS !== null) parts.push(`${column} >= toDateTime(${clampS(fromS)}, 'UTC')`);
  if (toS !== null) parts.push(`${column} < toDateTime(${clampS(toS)}, 'UTC')`);
  return parts.length === 0 ? "true" : parts.join(" AND ");
}

/** `column` (a DateTime64(6)) in [fromUs, toUs). */
export function betweenUs(
  column: string,
  fromUs: number | null | undefined,
  toUs: number | null | undefined,
): string {
  const parts: string[] = [];
  if (fromUs !== null && fromUs !== undefined) parts.push(`${column} >= ${instantSql(fromUs)}`);
  if (toUs !== null && toUs !== undefined) parts.push(`${column} < ${instantSql(toUs)}`);
  return parts.length === 0 ? "true" : parts.join(" AND ");
}

/** Range of a DateTime: 1970 to 2106. */
function clampS(seconds: number): number {
  return Math.max(0, Math.min(Math.trunc(seconds), 4_294_967_295));
}

/** Bounded by 2200, which a DateTime64(6) holds. */
export function instantSql(us: number): string {
  return `fromUnixTimestamp64Micro(toInt64(${Math.max(0, Math.min(Math.trunc(us), 7_258_118_400_000_000))}), 'UTC')`;
}

/**
 * The parts of a range that whole hours cover and the rest: a long range then merges a sketch an hour, not one a minute.
 * Answers a FROM clause's subquery over the columns of rollup_pairs_*, with `at` as the time.
 */
export function rollupPairs(database: Database, scope: Scope): Condition {
  const { sql, params } = scopeCondition(scope);
  const { fromS, toS } = wholeMinutes(scope);
  const { name } = database;
  const part = (unit: "minute" | "hour", range: string): string =>
    `SELECT *, ${unit} AS at FROM ${name}.rollup_pairs_${unit} WHERE ${sql} AND (${range})`;
  const columns = "* EXCEPT (minute)";
  const minutes = (range: string): string => `SELECT ${columns} FROM (${part("minute", range)})`;
  const hours = (range: string): string => `SELECT * EXCEPT (hour) FROM (${part("hour", range)})`;

  const firstHourS = fromS === null ? null : Math.ceil(fromS / HOUR_S) * HOUR_S;
  const endHourS = toS === null ? null : Math.floor(toS / HOUR_S) * HOUR_S;
  if (firstHourS !== null && endHourS !== null && firstHourS >= endHourS) {
    return { sql: minutes(between("minute", fromS, toS)), params };
  }
  const parts = [hours(between("hour", firstHourS, endHourS))];
  if (fromS !== null && firstHourS !== fromS) {
    parts.push(minutes(between("minute", fromS, firstHourS)));
  }
  if (toS !== null && endHourS !== toS) parts.push(minutes(between("minute", endHourS, toS)));
  return { sql: parts.join(" UNION ALL "), params };
}

/** µs since 1970 from a text or number; null stays. */
export function toUs(value: unknown): number | null {
  return value === null || value === undefined ? null : toCount(value);
}
