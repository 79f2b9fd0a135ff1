import { type Database, select, toCount } from "../client.ts";
import { betweenUs, instantSql, READ_SETTINGS } from "./scope.ts";
import { ORPHANS_OF_SHADOW } from "./summary.ts";

export interface AccountScope {
  readonly experiment: string;
  readonly run: string;
  readonly shadow: string;
}

export interface LedgerLegFacts {
  readonly leg: string;
  readonly requests: number;
  readonly attempts: number;
  readonly endings: Readonly<Record<string, number>>;
  readonly published: number;
  readonly dropped: Readonly<Record<string, number>>;
}

/** The newest ledger of a worker. */
export interface LedgerFacts {
  readonly worker: string;
  readonly clockUs: number;
  readonly final: boolean;
  readonly seen: number;
  readonly sampled: number;
  readonly unreached: number;
  readonly unsampled: Readonly<Record<string, number>>;
  readonly batches: { readonly sent: number; readonly retried: number; readonly failed: number };
  readonly legs: readonly LedgerLegFacts[];
}

/** Records of a leg by one worker that are in a stored row. */
export interface ReceivedFacts {
  readonly leg: string;
  readonly worker: string;
  readonly requests: number;
  readonly records: number;
}

export interface AccountFacts {
  readonly ledgers: readonly LedgerFacts[];
  /** There are more workers than WORKERS_MAX: the ledgers are not all here. */
  readonly ledgersLeftOff: boolean;
  /** In pairs: primary and control by the scope's shadow, every shadow by its own pairs. */
  readonly paired: readonly ReceivedFacts[];
  /** In orphans, a request and leg counted once; none of them is in a pair too. */
  readonly orphaned: readonly ReceivedFacts[];
  /** Requests seen on the primary that have no pair with the scope's shadow, by reason. */
  readonly primaryAlone: Readonly<Record<string, number>>;
  /** Rows by reason, of the scope's shadow. */
  readonly orphans: Readonly<Record<string, number>>;
  readonly duplicates: number;
  readonly batchesLost: number;
  readonly deadLetters: number;
}

/** Workers read; a restart makes a new one. */
export const WORKERS_MAX = 5_000;

export async function readAccount(database: Database, scope: AccountScope): Promise<AccountFacts> {
  const [ledgers, paired, orphaned, orphans, duplicates, deadLetters] = await Promise.all([
    readLedgers(database, scope),
    readPaired(database, scope),
    readOrphaned(database, scope),
    readOrphanRows(database, scope),
    readOne(
      database,
      `SELECT sum(records) AS n FROM ${database.name}.duplicates WHERE ${RUN}
         AND leg IN ('primary', 'control', {shadow: String})`,
      scope,
    ),
    readOne(
      database,
      `SELECT count() AS n FROM ${database.name}.dead_letters WHERE experiment = {experiment: String}`,
      scope,
    ),
  ]);
  return {
    ledgers: ledgers.slice(0, WORKERS_MAX),
    ledgersLeftOff: ledgers.length > WORKERS_MAX,
    paired,
    ...orphaned,
    orphans,
    duplicates,
    batchesLost: await readBatchesLost(database, scope, ledgers),
    deadLetters,
  };
}

const RUN = "experiment = {experiment: String} AND run = {run: String}";

const params = ({ experiment, run, shadow }: AccountScope) => ({ experiment, run, shadow });

async function readOne(database: Database, query: string, scope: AccountScope): Promise<number> {
  const rows = await select<{ n: unknown }>(database, query, params(scope), READ_SETTINGS);
  return toCount(rows[0]?.n);
}

const LEDGER_COLUMNS = `worker, toUnixTimestamp64Micro(clock_at) AS clock_us, final, seen, sampled, unreached, unsampled,
  batches_sent, batches_retried, batches_failed,
  legs.leg AS leg_names, legs.requests AS leg_requests, legs.attempts AS leg_attempts, legs.endings AS leg_endings,
  legs.published AS leg_published, legs.dropped AS leg_dropped`;

async function readLedgers(database: Database, scope: AccountScope): Promise<LedgerFacts[]> {
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT ${LEDGER_COLUMNS} FROM ${database.name}.ledger_newest FINAL
     WHERE ${RUN} ORDER BY clock_at DESC, worker LIMIT ${WORKERS_MAX + 1}`,
    params(scope),
    READ_SETTINGS,
  );
  return rows.map(toLedger);
}

/** Each worker's newest ledger whose clock is not after `clockUs` and at most an hour before it. */
export async function readLedgersBefore(
  database: Database,
  scope: AccountScope,
  clockUs: number,
): Promise<LedgerFacts[]> {
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT ${LEDGER_COLUMNS} FROM ${database.name}.ledger
     WHERE ${RUN}
       AND clock_at <= ${instantSql(clockUs)} AND clock_at > ${instantSql(clockUs - 3_600_000_000)}
     ORDER BY number DESC
     LIMIT 1 BY worker
     LIMIT ${WORKERS_MAX}`,
    params(scope),
    READ_SETTINGS,
  );
  return rows.map(toLedger);
}

function toLedger(row: Record<string, unknown>): LedgerFacts {
  const list = (column: string): unknown[] => (row[column] as unknown[] | undefined) ?? [];
  return {
    worker: String(row["worker"]),
    clockUs: toCount(row["clock_us"]),
    final: toCount(row["final"]) === 1,
    seen: toCount(row["seen"]),
    sampled: toCount(row["sampled"]),
    unreached: toCount(row["unreached"]),
    unsampled: counts(row["unsampled"]),
    batches: {
      sent: toCount(row["batches_sent"]),
      retried: toCount(row["batches_retried"]),
      failed: toCount(row["batches_failed"]),
    },
    legs: list("leg_names").map((leg, index) => ({
      leg: String(leg),
      requests: toCount(list("leg_requests")[index]),
      attempts: toCount(list("leg_attempts")[index]),
      endings: counts(list("leg_endings")[index]),
      published: toCount(list("leg_published")[index]),
      dropped: counts(list("leg_dropped")[index]),
    })),
  };
}

function counts(value: unknown): Record<string, number> {
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, count]) => [name, toCount(count)]));
}

async function readPaired(database: Database, scope: AccountScope): Promise<ReceivedFacts[]> {
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT leg, worker, sum(requests) AS requests_n, sum(records) AS records_n
     FROM ${database.name}.rollup_legs_hour
     WHERE ${RUN} AND (shadow = {shadow: String} OR leg = shadow)
     GROUP BY leg, worker
     LIMIT ${10 * WORKERS_MAX}`,
    params(scope),
    READ_SETTINGS,
  );
  return rows.map(toReceived);
}

function toReceived(row: Record<string, unknown>): ReceivedFacts {
  return {
    leg: String(row["leg"]),
    worker: String(row["worker"]),
    requests: toCount(row["requests_n"]),
    records: toCount(row["records_n"]),
  };
}

async function readOrphaned(
  database: Database,
  scope: AccountScope,
): Promise<Pick<AccountFacts, "orphaned" | "primaryAlone">> {
  const { name } = database;
  const lateCount = await readOne(
    database,
    `SELECT count() AS n FROM ${name}.orphans WHERE ${RUN} AND reason = 'late'`,
    scope,
  );
  // A leg that comes again long after its pair was made counts as late: it is in the pair already.
  const pairsOfLate = (columns: string, more: string): string =>
    `SELECT ${columns} FROM ${name}.pairs WHERE ${RUN} AND ${more}
       AND correlation_id IN (SELECT correlation_id FROM ${name}.orphans WHERE ${RUN} AND reason = 'late')`;
  const notInPairs =
    lateCount === 0
      ? "true"
      : `NOT (reason = 'late' AND leg = 'primary' AND correlation_id IN (${pairsOfLate("correlation_id", "shadow = {shadow: String}")}))
         AND NOT (reason = 'late' AND leg = 'control' AND correlation_id IN (${pairsOfLate("correlation_id", "shadow = {shadow: String} AND has_control = 1")}))
         AND NOT (reason = 'late' AND (toString(leg), correlation_id) IN (${pairsOfLate("toString(shadow), correlation_id", "true")}))`;
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT leg, worker, why, count() AS requests_n, sum(attempts) AS records_n
     FROM
     (
       SELECT leg, correlation_id, any(worker) AS worker, max(attempt) AS attempts,
         multiIf(countIf(reason = 'shadow-missing') > 0, 'shadow-missing', countIf(reason = 'evicted') > 0, 'evicted', any(reason)) AS why
       FROM ${name}.orphans
       WHERE ${RUN} AND (leg != 'primary' OR missing_leg IN ({shadow: String}, 'primary')) AND ${notInPairs}
       GROUP BY leg, correlation_id
     )
     GROUP BY leg, worker, why
     LIMIT ${10 * WORKERS_MAX}`,
    params(scope),
    READ_SETTINGS,
  );
  const primaryAlone: Record<string, number> = {};
  for (const row of rows) {
    if (row["leg"] !== "primary") continue;
    const why = String(row["why"]);
    primaryAlone[why] = (primaryAlone[why] ?? 0) + toCount(row["requests_n"]);
  }
  // A mirrored leg is sent once and makes one record, whatever its number.
  const orphaned = rows
    .map(toReceived)
    .map((one) => (one.leg === "primary" ? one : { ...one, records: one.requests }));
  return { orphaned, primaryAlone };
}

async function readOrphanRows(
  database: Database,
  scope: AccountScope,
): Promise<Record<string, number>> {
  const rows = await select<{ reason: string; n: unknown }>(
    database,
    `SELECT reason, count() AS n FROM ${database.name}.orphans WHERE ${RUN} AND ${ORPHANS_OF_SHADOW}
     GROUP BY reason ORDER BY reason`,
    params(scope),
    READ_SETTINGS,
  );
  return Object.fromEntries(rows.map(({ reason, n }) => [reason, toCount(n)]));
}

/** Gaps name no run: those of the run's workers count, since the run's first ledger where that is still stored. */
async function readBatchesLost(
  database: Database,
  scope: AccountScope,
  ledgers: readonly LedgerFacts[],
): Promise<number> {
  if (ledgers.length === 0) return 0;
  const rows = await select<{ n: unknown }>(
    database,
    `SELECT sum(last_missing - first_missing + 1) AS n FROM ${database.name}.batch_gaps
     WHERE experiment = {experiment: String} AND worker IN {workers: Array(String)}`,
    { ...params(scope), workers: ledgers.slice(0, WORKERS_MAX).map(({ worker }) => worker) },
    READ_SETTINGS,
  );
  return toCount(rows[0]?.n);
}

/** Rows may be stored under a stream time so much before the worker's clock. */
const CLOCK_SKEW_US = 300_000_000;

/**
 * Records in rows whose leg ended after the given instant of its worker's own clock: what that worker's ledger of that
 * instant cannot have counted as published. Only rows up to stream time `storedUs`: a write in progress shows its pairs a
 * moment before their rollup, so younger rows may be in no other figure yet.
 */
export async function readReceivedAfter(
  database: Database,
  scope: AccountScope,
  clocks: readonly { readonly worker: string; readonly clockUs: number }[],
  storedUs: number,
): Promise<ReceivedFacts[]> {
  if (clocks.length === 0) return [];
  const sinceUs = Math.min(...clocks.map(({ clockUs }) => clockUs)) - CLOCK_SKEW_US;
  const limits =
    "transform(one.2, {workers: Array(String)}, {clocks: Array(UInt64)}, toUInt64(18446744073709551615))";
  const end = (started: string, total: string): string =>
    `toUInt64(toUnixTimestamp64Micro(${started})) + ${total}`;
  const { name } = database;
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT one.1 AS leg, one.2 AS worker, count() AS requests_n, sum(one.3) AS records_n
     FROM
     (
       SELECT arrayJoin(arrayFilter(leg -> leg.3 > 0, [
         ('primary', toString(worker), if(shadow = {shadow: String}, toUInt64(primary_attempts), 0), ${end("started_at", "primary_total_us")}),
         (toString(shadow), toString(shadow_worker), toUInt64(1), ${end("shadow_started_at", "shadow_total_us")}),
         ('control', toString(control_worker), if(shadow = {shadow: String}, toUInt64(has_control), 0),
           ${end("ifNull(control_started_at, started_at)", "ifNull(control_total_us, 0)")})
       ])) AS one
       FROM ${name}.pairs WHERE ${RUN} AND (${betweenUs("joined_at", sinceUs, storedUs)})
       UNION ALL
       SELECT (toString(leg), toString(worker), toUInt64(if(leg = 'primary', attempt, 1)), ${end("started_at", "total_us")}) AS one
       FROM ${name}.orphans
       WHERE ${RUN} AND (${betweenUs("closed_at", sinceUs, storedUs)})
         AND (leg != 'primary' OR missing_leg IN ({shadow: String}, 'primary'))
     )
     WHERE one.4 > ${limits}
     GROUP BY leg, worker
     LIMIT ${10 * WORKERS_MAX}`,
    {
      ...params(scope),
      workers: clocks.map(({ worker }) => worker),
      clocks: clocks.map(({ clockUs }) => clockUs),
    },
    READ_SETTINGS,
  );
  return rows.map(toReceived);
}
