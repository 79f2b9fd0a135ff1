import type { Divergence } from "../../divergence/outcomes.ts";
import { type Database, select, toCount } from "../client.ts";
import { betweenUs, instantSql, READ_SETTINGS, type Scope, scopeCondition, toUs } from "./scope.ts";

export interface LegFacts {
  readonly status: number;
  readonly grpcStatus: number | null;
  readonly bytes: number;
  readonly contentType: string | null;
  readonly contentEncoding: string | null;
  readonly firstByteUs: number | null;
  readonly totalUs: number;
  readonly ending: string;
  readonly failure: string;
  readonly attempts: number;
  readonly chunks: number;
  readonly chunkGapMaxUs: number;
}

/** A finding as it is stored: the rule may be one of a later version. */
export type StoredDivergence = Omit<Divergence, "rule" | "grade"> & {
  readonly rule: string;
  readonly grade: string;
};

export interface PairFacts {
  readonly correlationId: string;
  readonly run: string;
  readonly shadowName: string;
  readonly startedUs: number;
  readonly joinedUs: number;
  readonly method: string;
  readonly route: string;
  readonly params: readonly string[];
  readonly segments: Readonly<Record<string, string>>;
  readonly worker: string;
  readonly requestBytes: number;
  readonly requestContentType: string | null;
  readonly requestBytesEqual: boolean;
  readonly divergent: boolean;
  readonly bytesEqual: boolean;
  readonly controlBytesEqual: boolean | null;
  readonly latencyRatio: number | null;
  readonly controlLatencyRatio: number | null;
  readonly primary: LegFacts;
  readonly shadow: LegFacts;
  readonly control: LegFacts | null;
  readonly cut: readonly string[];
  readonly divergences: readonly StoredDivergence[];
  readonly noise: readonly StoredDivergence[];
}

/** Where a list goes on: after this pair, which is older or equal in time. */
export interface PairCursor {
  readonly joinedUs: number;
  readonly correlationId: string;
}

export interface PairFilter extends Scope {
  readonly divergent?: boolean | undefined;
  readonly rule?: string | undefined;
  readonly after?: PairCursor | undefined;
  readonly limit: number;
}

const legColumns = (side: string): string =>
  [
    "status",
    "grpc_status",
    "bytes",
    "content_type",
    "content_encoding",
    "first_byte_us",
    "total_us",
    "ending",
    "failure",
    "attempts",
    "chunks",
    "chunk_gap_max_us",
  ]
    .map((column) => `${side}_${column}`)
    .join(", ");

const PAIR_COLUMNS = `
  toString(correlation_id) AS id, run, shadow,
  toUnixTimestamp64Micro(started_at) AS started_us, toUnixTimestamp64Micro(joined_at) AS joined_us,
  method, route, params, segments, worker, request_bytes, request_content_type, request_bytes_equal,
  divergent, bytes_equal, control_bytes_equal, latency_log_ratio, control_latency_log_ratio, has_control, cut,
  ${legColumns("primary")}, ${legColumns("shadow")}, ${legColumns("control")}`;

/** Any: the text does not use it then. */
export const NO_ID = "00000000-0000-0000-0000-000000000000";

/**
 * Newest first, at most `limit`. Ordered by the table's own key, so that only its end is read, backwards (of 3 million rows
 * 165,000 for 50 that are one in 200; ordered by anything else, 2.7 million).
 */
export async function readPairs(database: Database, filter: PairFilter): Promise<PairFacts[]> {
  const { sql, params } = scopeCondition(filter);
  const { after } = filter;
  const where = [
    sql,
    betweenUs("joined_at", filter.fromUs, filter.toUs),
    ...(filter.divergent === undefined ? [] : [`divergent = ${filter.divergent ? 1 : 0}`]),
    ...(filter.rule === undefined ? [] : ["has(rules, {rule: String})"]),
    ...(after === undefined
      ? []
      : [
          // The first half is for the primary key, the second decides among pairs of the same microsecond.
          `joined_at <= ${instantSql(after.joinedUs)}`,
          `(joined_at < ${instantSql(after.joinedUs)} OR correlation_id < {afterId: UUID})`,
        ]),
  ].join(" AND ");
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT ${PAIR_COLUMNS}
     FROM ${database.name}.pairs
     WHERE ${where}
     ORDER BY joined_at DESC, correlation_id DESC
     LIMIT ${limitOf(filter.limit)}`,
    { ...params, rule: filter.rule ?? "", afterId: after?.correlationId ?? NO_ID },
    READ_SETTINGS,
  );
  return withFindings(database, filter.experiment, rows);
}

/** Rows of one correlation id, one for each run and shadow, the newest first. */
export async function readPair(
  database: Database,
  { experiment, correlationId }: { experiment: string; correlationId: string },
): Promise<PairFacts[]> {
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT ${PAIR_COLUMNS}
     FROM ${database.name}.pairs
     WHERE experiment = {experiment: String} AND correlation_id = {id: UUID}
     ORDER BY joined_at DESC, run, shadow
     LIMIT 64`,
    { experiment, id: correlationId },
    READ_SETTINGS,
  );
  return withFindings(database, experiment, rows);
}

async function withFindings(
  database: Database,
  experiment: string,
  rows: readonly Record<string, unknown>[],
): Promise<PairFacts[]> {
  if (rows.length === 0) return [];
  const times = rows.map((row) => toCount(row["joined_us"]));
  const findings = await select<Record<string, unknown>>(
    database,
    `SELECT toString(correlation_id) AS id, run, shadow, side, rule, grade, primary_value, other_value, sentence
     FROM ${database.name}.divergences
     WHERE experiment = {experiment: String} AND run IN {runs: Array(String)} AND shadow IN {shadows: Array(String)}
       AND joined_at >= ${instantSql(Math.min(...times))} AND joined_at <= ${instantSql(Math.max(...times))}
       AND correlation_id IN (SELECT toUUID(arrayJoin({ids: Array(String)})))
     ORDER BY indexOf(['high', 'medium', 'low'], grade), rule
     LIMIT ${64 * rows.length}`,
    {
      experiment,
      runs: [...new Set(rows.map((row) => String(row["run"])))],
      shadows: [...new Set(rows.map((row) => String(row["shadow"])))],
      ids: rows.map((row) => String(row["id"])),
    },
    READ_SETTINGS,
  );
  const found = new Map<string, StoredDivergence[]>();
  for (const row of findings) {
    const key = `${row["id"]}\n${row["run"]}\n${row["shadow"]}\n${row["side"]}`;
    const list = found.get(key) ?? [];
    list.push({
      rule: String(row["rule"]),
      grade: String(row["grade"]),
      primary: String(row["primary_value"]),
      shadow: String(row["other_value"]),
      sentence: String(row["sentence"]),
    });
    found.set(key, list);
  }
  return rows.map((row) => {
    const key = `${row["id"]}\n${row["run"]}\n${row["shadow"]}`;
    return toPair(row, found.get(`${key}\nshadow`) ?? [], found.get(`${key}\ncontrol`) ?? []);
  });
}

function toPair(
  row: Record<string, unknown>,
  divergences: readonly StoredDivergence[],
  noise: readonly StoredDivergence[],
): PairFacts {
  return {
    correlationId: String(row["id"]),
    run: String(row["run"]),
    shadowName: String(row["shadow"]),
    startedUs: toCount(row["started_us"]),
    joinedUs: toCount(row["joined_us"]),
    method: String(row["method"]),
    route: String(row["route"]),
    params: row["params"] as string[],
    segments: row["segments"] as Record<string, string>,
    worker: String(row["worker"]),
    requestBytes: toCount(row["request_bytes"]),
    requestContentType: textOrNull(row["request_content_type"]),
    requestBytesEqual: toCount(row["request_bytes_equal"]) === 1,
    divergent: toCount(row["divergent"]) === 1,
    bytesEqual: toCount(row["bytes_equal"]) === 1,
    controlBytesEqual:
      row["control_bytes_equal"] === null ? null : toCount(row["control_bytes_equal"]) === 1,
    latencyRatio: ratio(row["latency_log_ratio"]),
    controlLatencyRatio: ratio(row["control_latency_log_ratio"]),
    primary: toLeg(row, "primary"),
    shadow: toLeg(row, "shadow"),
    control: toCount(row["has_control"]) === 1 ? toLeg(row, "control") : null,
    cut: row["cut"] as string[],
    divergences,
    noise,
  };
}

function toLeg(row: Record<string, unknown>, side: string): LegFacts {
  const at = (column: string): unknown => row[`${side}_${column}`];
  const grpc = at("grpc_status");
  return {
    status: toCount(at("status")),
    grpcStatus: grpc === null ? null : Number(grpc),
    bytes: toCount(at("bytes")),
    contentType: textOrNull(at("content_type")),
    contentEncoding: textOrNull(at("content_encoding")),
    firstByteUs: toUs(at("first_byte_us")),
    totalUs: toCount(at("total_us")),
    ending: String(at("ending")),
    failure: String(at("failure")),
    attempts: toCount(at("attempts")),
    chunks: toCount(at("chunks")),
    chunkGapMaxUs: toCount(at("chunk_gap_max_us")),
  };
}

const textOrNull = (value: unknown): string | null => (value === "" ? null : String(value));
const ratio = (value: unknown): number | null =>
  typeof value === "number" ? Math.exp(value) : null;

export function limitOf(limit: number): number {
  return Math.max(1, Math.min(Math.trunc(limit), 1_000));
}
