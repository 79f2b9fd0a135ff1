import { type Database, select, toCount } from "../client.ts";
import {
  between,
  betweenUs,
  READ_SETTINGS,
  rollupPairs,
  type Scope,
  scopeCondition,
  wholeMinutes,
} from "./scope.ts";

export interface Quantiles {
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** Figures of a route and method, or of all of them. */
export interface Figures {
  readonly pairs: number;
  readonly divergentPairs: number;
  readonly bytesEqualPairs: number;
  readonly controlPairs: number;
  readonly ratioPairs: number;
  readonly controlRatioPairs: number;
  readonly primaryUs: Quantiles;
  readonly shadowUs: Quantiles;
  readonly controlUs: Quantiles;
  readonly latencyRatio: Quantiles;
  readonly controlLatencyRatio: Quantiles;
}

/** Null route: over all routes. */
export interface RouteKey {
  readonly route: string | null;
  readonly method: string | null;
}

export interface RuleFacts extends RouteKey {
  readonly rule: string;
  readonly grade: string;
  readonly pairs: number;
  readonly noisePairs: number;
}

export interface StatusFacts extends RouteKey {
  readonly primary: number;
  readonly shadow: number;
  readonly pairs: number;
}

export interface MinuteFacts {
  readonly atS: number;
  readonly pairs: number;
  readonly divergentPairs: number;
}

export interface SegmentFacts {
  readonly name: string;
  readonly value: string;
  readonly pairs: number;
  readonly divergentPairs: number;
}

export interface SummaryFacts {
  readonly total: Figures;
  readonly routes: readonly (Figures & { readonly route: string; readonly method: string })[];
  readonly routesLeftOff: number;
  readonly rules: readonly RuleFacts[];
  readonly statuses: readonly StatusFacts[];
  readonly minutes: readonly MinuteFacts[];
  readonly stepMinutes: number;
  readonly segments: readonly SegmentFacts[];
  readonly orphans: Readonly<Record<string, number>>;
  readonly duplicates: number;
  readonly seen: number;
  readonly sampled: number;
  /** Of the whole run and shadow, whatever the range. */
  readonly pairedInRun: number;
}

export const ROUTES_MAX = 200;
export const SEGMENT_VALUES_MAX = 20;
export const BUCKETS_MAX = 360;
/** Status pairs and rule rows of all routes together. */
const DETAIL_ROWS_MAX = 5_000;

/** Widths of a bucket, minutes. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14_400];

const NO_QUANTILES: Quantiles = { p50: null, p90: null, p95: null, p99: null };
const NO_FIGURES: Figures = {
  pairs: 0,
  divergentPairs: 0,
  bytesEqualPairs: 0,
  controlPairs: 0,
  ratioPairs: 0,
  controlRatioPairs: 0,
  primaryUs: NO_QUANTILES,
  shadowUs: NO_QUANTILES,
  controlUs: NO_QUANTILES,
  latencyRatio: NO_QUANTILES,
  controlLatencyRatio: NO_QUANTILES,
};

/** Reads rollups only, and the orphans' keys. */
export async function readSummary(database: Database, scope: Scope): Promise<SummaryFacts> {
  const [figures, rules, statuses, minutes, segments, orphans, duplicates, ledger, paired] =
    await Promise.all([
      readFigures(database, scope),
      readRules(database, scope),
      readStatuses(database, scope),
      readMinutes(database, scope),
      readSegments(database, scope),
      readOrphanReasons(database, scope),
      readDuplicates(database, scope),
      readSampled(database, scope),
      readPaired(database, scope),
    ]);
  return {
    ...figures,
    rules,
    statuses,
    ...minutes,
    segments,
    orphans,
    duplicates,
    ...ledger,
    pairedInRun: paired,
  };
}

const QUANTILES = [
  "primary_us",
  "shadow_us",
  "control_us",
  "latency_ratio",
  "control_latency_ratio",
];

async function readFigures(
  database: Database,
  scope: Scope,
): Promise<Pick<SummaryFacts, "total" | "routes" | "routesLeftOff">> {
  const { sql, params } = rollupPairs(database, scope);
  const merged = QUANTILES.map(
    (column) => `quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(${column}) AS ${column}_q`,
  ).join(", ");
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT
       route, method, grouping(route) AS one_route,
       sum(pairs) AS n, sum(divergent_pairs) AS divergent_n, sum(bytes_equal_pairs) AS equal_n,
       sum(control_pairs) AS control_n, sum(ratio_pairs) AS ratio_n, sum(control_ratio_pairs) AS control_ratio_n,
       count() OVER () AS groups, ${merged}
     FROM (${sql})
     GROUP BY GROUPING SETS ((route, method), ())
     ORDER BY one_route DESC, n DESC, route, method
     LIMIT ${ROUTES_MAX + 1}
     SETTINGS force_grouping_standard_compatibility = 1`,
    params,
    READ_SETTINGS,
  );
  // grouping() is 1 where the column is not part of the group, here: the total.
  const total = rows.find((row) => toCount(row["one_route"]) === 1);
  const routes = rows
    .filter((row) => row !== total)
    .slice(0, ROUTES_MAX)
    .map((row) => ({
      route: String(row["route"]),
      method: String(row["method"]),
      ...toFigures(row),
    }));
  const groups = toCount(rows[0]?.["groups"]);
  return {
    total: total === undefined ? NO_FIGURES : toFigures(total),
    routes,
    routesLeftOff: Math.max(0, groups - 1 - routes.length),
  };
}

function toFigures(row: Record<string, unknown>): Figures {
  const quantiles = (column: string): Quantiles => {
    const values = (row[`${column}_q`] as (number | null)[] | undefined) ?? [];
    const at = (index: number): number | null => {
      const value = values[index] ?? null;
      return typeof value === "number" && Number.isFinite(value) ? value : null;
    };
    return { p50: at(0), p90: at(1), p95: at(2), p99: at(3) };
  };
  return {
    pairs: toCount(row["n"]),
    divergentPairs: toCount(row["divergent_n"]),
    bytesEqualPairs: toCount(row["equal_n"]),
    controlPairs: toCount(row["control_n"]),
    ratioPairs: toCount(row["ratio_n"]),
    controlRatioPairs: toCount(row["control_ratio_n"]),
    primaryUs: quantiles("primary_us"),
    shadowUs: quantiles("shadow_us"),
    controlUs: quantiles("control_us"),
    latencyRatio: quantiles("latency_ratio"),
    controlLatencyRatio: quantiles("control_latency_ratio"),
  };
}

const GRADES = ["high", "medium", "low"];

async function readRules(database: Database, scope: Scope): Promise<RuleFacts[]> {
  const { sql, params } = scopeCondition(scope);
  const { fromS, toS } = wholeMinutes(scope);
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT
       route, method, grouping(route) AS all_routes, rule,
       sumIf(pairs, side = 'shadow') AS n, sumIf(pairs, side = 'control') AS noise_n,
       min(if(side = 'shadow', indexOf(['high', 'medium', 'low'], grade), 9)) AS grade_rank,
       min(indexOf(['high', 'medium', 'low'], grade)) AS noise_grade_rank
     FROM ${database.name}.rollup_divergences_minute
     WHERE ${sql} AND (${between("minute", fromS, toS)})
     GROUP BY GROUPING SETS ((route, method, rule), (rule))
     ORDER BY all_routes DESC, n DESC, noise_n DESC, rule, route, method
     LIMIT ${DETAIL_ROWS_MAX}
     SETTINGS force_grouping_standard_compatibility = 1`,
    params,
    READ_SETTINGS,
  );
  return rows.map((row) => {
    const rank = toCount(row["grade_rank"]);
    const grade = GRADES[(rank === 9 ? toCount(row["noise_grade_rank"]) : rank) - 1];
    return {
      ...routeKey(row),
      rule: String(row["rule"]),
      grade: grade ?? "low",
      pairs: toCount(row["n"]),
      noisePairs: toCount(row["noise_n"]),
    };
  });
}

function routeKey(row: Record<string, unknown>): RouteKey {
  return toCount(row["all_routes"]) === 1
    ? { route: null, method: null }
    : { route: String(row["route"]), method: String(row["method"]) };
}

async function readStatuses(database: Database, scope: Scope): Promise<StatusFacts[]> {
  const { sql, params } = scopeCondition(scope);
  const { fromS, toS } = wholeMinutes(scope);
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT route, method, grouping(route) AS all_routes, primary_status, shadow_status, sum(pairs) AS n
     FROM ${database.name}.rollup_statuses_minute
     WHERE ${sql} AND (${between("minute", fromS, toS)})
     GROUP BY GROUPING SETS ((route, method, primary_status, shadow_status), (primary_status, shadow_status))
     ORDER BY all_routes DESC, n DESC, route, method, primary_status, shadow_status
     LIMIT ${DETAIL_ROWS_MAX}
     SETTINGS force_grouping_standard_compatibility = 1`,
    params,
    READ_SETTINGS,
  );
  return rows.map((row) => ({
    ...routeKey(row),
    primary: toCount(row["primary_status"]),
    shadow: toCount(row["shadow_status"]),
    pairs: toCount(row["n"]),
  }));
}

async function readMinutes(
  database: Database,
  scope: Scope,
): Promise<Pick<SummaryFacts, "minutes" | "stepMinutes">> {
  const { sql, params } = scopeCondition(scope);
  const { fromS, toS } = wholeMinutes(scope);
  const where = `${sql} AND (${between("minute", fromS, toS)})`;
  const table = `${database.name}.rollup_pairs_minute`;
  const [range] = await select<Record<string, unknown>>(
    database,
    `SELECT toUnixTimestamp(min(minute)) AS first_s, toUnixTimestamp(max(minute)) AS last_s, count() AS n
     FROM ${table} WHERE ${where}`,
    params,
    READ_SETTINGS,
  );
  if (range === undefined || toCount(range["n"]) === 0) return { minutes: [], stepMinutes: 1 };
  const firstS = toCount(range["first_s"]);
  const lastS = toCount(range["last_s"]);
  const stepMinutes =
    STEPS.find((step) => (lastS - firstS) / (step * 60) + 2 <= BUCKETS_MAX) ??
    Math.ceil((lastS - firstS) / 60 / (BUCKETS_MAX - 2));
  const stepS = stepMinutes * 60;
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT intDiv(toUnixTimestamp(minute), ${stepS}) * ${stepS} AS at_s, sum(pairs) AS n, sum(divergent_pairs) AS divergent_n
     FROM ${table} WHERE ${where} GROUP BY at_s ORDER BY at_s`,
    params,
    READ_SETTINGS,
  );
  const counted = new Map(
    rows.map((row) => [
      toCount(row["at_s"]),
      { pairs: toCount(row["n"]), divergentPairs: toCount(row["divergent_n"]) },
    ]),
  );
  // A minute without pairs is a figure too: 0, not a line drawn across it.
  const minutes: MinuteFacts[] = [];
  for (let atS = Math.floor(firstS / stepS) * stepS; atS <= lastS; atS += stepS) {
    minutes.push({ atS, ...(counted.get(atS) ?? { pairs: 0, divergentPairs: 0 }) });
  }
  return { minutes, stepMinutes };
}

async function readSegments(database: Database, scope: Scope): Promise<SegmentFacts[]> {
  const { sql, params } = scopeCondition(scope);
  const { fromS, toS } = wholeMinutes(scope);
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT name, value, sum(pairs) AS n, sum(divergent_pairs) AS divergent_n
     FROM ${database.name}.rollup_segments_minute
     WHERE ${sql} AND (${between("minute", fromS, toS)})
     GROUP BY name, value
     ORDER BY name, n DESC, value
     LIMIT ${SEGMENT_VALUES_MAX} BY name
     LIMIT 1000`,
    params,
    READ_SETTINGS,
  );
  return rows.map((row) => ({
    name: String(row["name"]),
    value: String(row["value"]),
    pairs: toCount(row["n"]),
    divergentPairs: toCount(row["divergent_n"]),
  }));
}

/** Orphans that concern a shadow: its own, those that lack it, and late primaries. */
export const ORPHANS_OF_SHADOW =
  "(leg = {shadow: String} OR missing_leg = {shadow: String} OR (leg = 'primary' AND missing_leg = 'primary'))";

async function readOrphanReasons(
  database: Database,
  scope: Scope,
): Promise<Record<string, number>> {
  const { fromS, toS } = wholeMinutes(scope);
  const rows = await select<{ reason: string; n: unknown }>(
    database,
    `SELECT reason, count() AS n FROM ${database.name}.orphans
     WHERE experiment = {experiment: String} AND run = {run: String} AND ${ORPHANS_OF_SHADOW}
       AND (${betweenUs("closed_at", fromS === null ? null : fromS * 1e6, toS === null ? null : toS * 1e6)})
       ${scope.route === undefined ? "" : "AND route = {route: String}"}
       ${scope.method === undefined ? "" : "AND method = {method: String}"}
     GROUP BY reason ORDER BY reason`,
    scopeCondition(scope).params,
    READ_SETTINGS,
  );
  return Object.fromEntries(rows.map(({ reason, n }) => [reason, toCount(n)]));
}

async function readDuplicates(database: Database, scope: Scope): Promise<number> {
  const { fromS, toS } = wholeMinutes(scope);
  const rows = await select<{ n: unknown }>(
    database,
    `SELECT sum(records) AS n FROM ${database.name}.duplicates
     WHERE experiment = {experiment: String} AND run = {run: String} AND leg IN ('primary', 'control', {shadow: String})
       AND (${betweenUs("at", fromS === null ? null : fromS * 1e6, toS === null ? null : toS * 1e6)})`,
    scopeCondition(scope).params,
    READ_SETTINGS,
  );
  return toCount(rows[0]?.n);
}

async function readSampled(
  database: Database,
  scope: Scope,
): Promise<Pick<SummaryFacts, "seen" | "sampled">> {
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT sum(seen) AS seen_n, sum(sampled) AS sampled_n FROM ${database.name}.ledger_newest FINAL
     WHERE experiment = {experiment: String} AND run = {run: String}`,
    scopeCondition(scope).params,
    READ_SETTINGS,
  );
  return { seen: toCount(rows[0]?.["seen_n"]), sampled: toCount(rows[0]?.["sampled_n"]) };
}

async function readPaired(database: Database, scope: Scope): Promise<number> {
  const { experiment, run, shadow } = scope;
  const { sql, params } = scopeCondition({ experiment, run, shadow });
  const rows = await select<{ n: unknown }>(
    database,
    `SELECT sum(pairs) AS n FROM ${database.name}.rollup_pairs_hour WHERE ${sql}`,
    params,
    READ_SETTINGS,
  );
  return toCount(rows[0]?.n);
}
