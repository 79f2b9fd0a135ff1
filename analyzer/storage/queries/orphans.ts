import { type Database, select, toCount } from "../client.ts";
import { limitOf, NO_ID } from "./pairs.ts";
import { betweenUs, instantSql, READ_SETTINGS } from "./scope.ts";

export interface OrphanFacts {
  readonly correlationId: string;
  readonly run: string;
  readonly reason: string;
  readonly leg: string;
  readonly missingLeg: string;
  readonly attempt: number;
  readonly batchLost: boolean;
  readonly startedUs: number;
  readonly closedUs: number;
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly totalUs: number;
  readonly ending: string;
  readonly failure: string;
  readonly segments: Readonly<Record<string, string>>;
}

/** The key of the last orphan of a page. */
export type OrphanCursor = Pick<
  OrphanFacts,
  "closedUs" | "correlationId" | "leg" | "missingLeg" | "reason" | "attempt"
>;

export interface OrphanFilter {
  readonly experiment: string;
  readonly run: string;
  readonly fromUs?: number | undefined;
  readonly toUs?: number | undefined;
  readonly route?: string | undefined;
  readonly method?: string | undefined;
  readonly leg?: string | undefined;
  readonly reason?: string | undefined;
  readonly after?: OrphanCursor | undefined;
  readonly limit: number;
}

/** Newest first, at most `limit`. */
export async function readOrphans(
  database: Database,
  filter: OrphanFilter,
): Promise<OrphanFacts[]> {
  const { after } = filter;
  const equal = (column: "route" | "method" | "leg" | "reason"): string[] =>
    filter[column] === undefined ? [] : [`${column} = {${column}: String}`];
  const key = "(correlation_id, toString(leg), toString(missing_leg), toString(reason), attempt)";
  const where = [
    "experiment = {experiment: String}",
    "run = {run: String}",
    betweenUs("closed_at", filter.fromUs, filter.toUs),
    ...equal("route"),
    ...equal("method"),
    ...equal("leg"),
    ...equal("reason"),
    ...(after === undefined
      ? []
      : [
          `closed_at <= ${instantSql(after.closedUs)}`,
          `(closed_at < ${instantSql(after.closedUs)} OR
            ${key} < ({afterId: UUID}, {afterLeg: String}, {afterMissing: String}, {afterReason: String}, {afterAttempt: UInt16}))`,
        ]),
  ].join(" AND ");
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT
       toString(correlation_id) AS id, run, reason, leg, missing_leg, attempt, batch_lost,
       toUnixTimestamp64Micro(started_at) AS started_us, toUnixTimestamp64Micro(closed_at) AS closed_us,
       method, route, status, total_us, ending, failure, segments
     FROM ${database.name}.orphans
     WHERE ${where}
     ORDER BY closed_at DESC, correlation_id DESC, leg DESC, missing_leg DESC, reason DESC, attempt DESC
     LIMIT ${limitOf(filter.limit)}`,
    {
      experiment: filter.experiment,
      run: filter.run,
      route: filter.route ?? "",
      method: filter.method ?? "",
      leg: filter.leg ?? "",
      reason: filter.reason ?? "",
      afterId: after?.correlationId ?? NO_ID,
      afterLeg: after?.leg ?? "",
      afterMissing: after?.missingLeg ?? "",
      afterReason: after?.reason ?? "",
      afterAttempt: after?.attempt ?? 0,
    },
    READ_SETTINGS,
  );
  return rows.map((row) => ({
    correlationId: String(row["id"]),
    run: String(row["run"]),
    reason: String(row["reason"]),
    leg: String(row["leg"]),
    missingLeg: String(row["missing_leg"]),
    attempt: toCount(row["attempt"]),
    batchLost: toCount(row["batch_lost"]) === 1,
    startedUs: toCount(row["started_us"]),
    closedUs: toCount(row["closed_us"]),
    method: String(row["method"]),
    route: String(row["route"]),
    status: toCount(row["status"]),
    totalUs: toCount(row["total_us"]),
    ending: String(row["ending"]),
    failure: String(row["failure"]),
    segments: row["segments"] as Record<string, string>,
  }));
}
