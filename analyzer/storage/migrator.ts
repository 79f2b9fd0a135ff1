import type { Config } from "../config.ts";
import { AnalyzerError } from "../errors.ts";
import type { Log } from "../log.ts";
import { checkVersion, command, type Database, select } from "./client.ts";
import { engine, type Migration, readMigrations, renderMigration } from "./migrations.ts";

export interface MigrationReport {
  readonly version: string;
  /** Names of the migrations that were applied now. */
  readonly applied: readonly string[];
}

/**
 * Brings the database to the schema of this version. Harmless to repeat and to run twice at once: every statement says
 * IF NOT EXISTS, and two records of one migration with the same checksum are one.
 * @throws AnalyzerError CLICKHOUSE_VERSION, MIGRATION_CHANGED, CLICKHOUSE_UNAVAILABLE, CLICKHOUSE_REFUSED
 */
export async function migrate(
  database: Database,
  log: Log,
  migrations: readonly Migration[] = readMigrations(),
): Promise<MigrationReport> {
  const version = await checkVersion(database);
  await createDatabase(database);
  await again(() => command(database, recordsTable(database)));
  const applied = await appliedChecksums(database);
  const done: string[] = [];
  for (const migration of migrations) {
    const checksums = applied.get(migration.number);
    if (checksums === undefined) {
      await apply(database, migration);
      done.push(migration.name);
      log.info({ migration: migration.number, table: migration.name }, "migration applied");
    } else if (!checksums.includes(migration.checksum)) {
      throw new AnalyzerError(
        "MIGRATION_CHANGED",
        `migration ${migration.number} (${migration.name}) has the checksum ${migration.checksum.slice(0, 12)}, ` +
          `but ${checksums.map((one) => one.slice(0, 12)).join(" and ")} was applied to ${database.name}: ` +
          "expected applied migrations to stay as they were, and changes in a new file",
      );
    }
  }
  const later = [...applied.keys()].filter((number) => number > migrations.length);
  if (later.length > 0) {
    log.warn({ migrations: later }, "the database has migrations of a later version");
  }
  return { version, applied: done };
}

async function createDatabase(database: Database): Promise<void> {
  // Asked first, so that a user without the right to create one can use one that is there.
  const rows = await select<{ n: number }>(
    database,
    "SELECT count() AS n FROM system.databases WHERE name = {name: String}",
    { name: database.name.slice(1, -1) },
  );
  if (Number(rows[0]?.n) > 0) return;
  const onCluster = database.cluster === null ? "" : `ON CLUSTER \`${database.cluster}\``;
  await again(() =>
    command(
      database,
      `CREATE DATABASE IF NOT EXISTS ${database.name} ${onCluster} ENGINE = Atomic`,
    ),
  );
}

function recordsTable({ name, cluster }: Database): string {
  return `CREATE TABLE IF NOT EXISTS ${name}.schema_migrations
    ${cluster === null ? "" : `ON CLUSTER \`${cluster}\``}
    (
      number UInt16 COMMENT 'of the file',
      name String,
      checksum String COMMENT 'SHA-256 of the statements',
      applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
    )
    ENGINE = ${engine("MergeTree", "", cluster)}
    ORDER BY number
    COMMENT 'One row per applied migration; two when two analyzers applied it at the same time. Key: number, checksum.'`;
}

async function appliedChecksums(database: Database): Promise<Map<number, string[]>> {
  const rows = await select<{ number: number; checksums: string[] }>(
    database,
    `SELECT number, groupUniqArray(checksum) AS checksums FROM ${database.name}.schema_migrations GROUP BY number`,
    {},
    { select_sequential_consistency: "1" },
  );
  return new Map(rows.map(({ number, checksums }) => [Number(number), checksums]));
}

async function apply(database: Database, migration: Migration): Promise<void> {
  const target = { database: database.name, cluster: database.cluster };
  for (const statement of renderMigration(migration.template, target)) {
    await again(() => command(database, statement));
  }
  await insertRecord(database, migration);
}

async function insertRecord(database: Database, migration: Migration): Promise<void> {
  // Values are ours: a number, a name of letters and _, hexadecimal digits.
  await command(
    database,
    `INSERT INTO ${database.name}.schema_migrations (number, name, checksum)
     VALUES (${migration.number}, '${migration.name}', '${migration.checksum}')`,
  );
}

/** Somebody else created the same thing in this moment: what IF NOT EXISTS does not always cover. */
async function again(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const { cause } = error as AnalyzerError;
    const code = (cause as { code?: string } | undefined)?.code;
    // 57 TABLE_ALREADY_EXISTS, 82 DATABASE_ALREADY_EXISTS
    if (code !== "57" && code !== "82") throw error;
    await action();
  }
}

/** What is kept for how long; the column is the time that counts. */
const RETENTION: readonly {
  table: string;
  column: string;
  days: keyof Config["retention"];
}[] = [
  { table: "pairs", column: "joined_at", days: "pairsDays" },
  { table: "divergences", column: "joined_at", days: "pairsDays" },
  { table: "ledger", column: "clock_at", days: "pairsDays" },
  { table: "ledger_newest", column: "clock_at", days: "rollupsDays" },
  { table: "orphans", column: "closed_at", days: "rollupsDays" },
  { table: "batch_gaps", column: "seen_at", days: "rollupsDays" },
  { table: "dead_letters", column: "received_at", days: "rollupsDays" },
  { table: "duplicates", column: "at", days: "rollupsDays" },
  { table: "rollup_pairs_minute", column: "minute", days: "rollupsDays" },
  { table: "rollup_pairs_hour", column: "hour", days: "rollupsDays" },
  { table: "rollup_divergences_minute", column: "minute", days: "rollupsDays" },
  { table: "rollup_statuses_minute", column: "minute", days: "rollupsDays" },
  { table: "rollup_segments_minute", column: "minute", days: "rollupsDays" },
  { table: "rollup_legs_hour", column: "hour", days: "rollupsDays" },
];

/** Sets each table's time to live where it is another one. Not part of the migrations: it follows the configuration. */
export async function applyRetention(
  database: Database,
  retention: Config["retention"],
  log: Log,
): Promise<void> {
  const tables = await select<{ name: string; definition: string }>(
    database,
    "SELECT name, create_table_query AS definition FROM system.tables WHERE database = {name: String}",
    { name: database.name.slice(1, -1) },
  );
  const definitions = new Map(tables.map(({ name, definition }) => [name, definition]));
  for (const { table, column, days } of RETENTION) {
    const wanted = `toDate(${column}) + toIntervalDay(${retention[days]})`;
    if (definitions.get(table)?.includes(`TTL ${wanted}`) === true) continue;
    const onCluster = database.cluster === null ? "" : `ON CLUSTER \`${database.cluster}\``;
    await command(
      database,
      `ALTER TABLE ${database.name}.${table} ${onCluster} MODIFY TTL ${wanted}`,
    );
    log.info({ table, days: retention[days] }, "retention set");
  }
}
