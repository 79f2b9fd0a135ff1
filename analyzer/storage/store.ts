import type { Config } from "../config.ts";
import type { Outcomes } from "../divergence/outcomes.ts";
import type { Log } from "../log.ts";
import {
  type ClickHouseConfig,
  checkVersion,
  connectDatabase,
  type Database,
  toAnalyzerError,
} from "./client.ts";
import { applyRetention, type MigrationReport, migrate } from "./migrator.ts";
import { createQueries, type Queries } from "./queries.ts";
import { type TableRows, toRows } from "./rows.ts";

export interface Store {
  /**
   * Brings the schema up to date, sets the retention, and notes the configured runs when they are given. Safe to repeat.
   * @throws AnalyzerError CLICKHOUSE_VERSION, MIGRATION_CHANGED, CLICKHOUSE_UNAVAILABLE (try again), CLICKHOUSE_REFUSED
   */
  migrate(config?: Partial<Pick<Config, "retention" | "experiments">>): Promise<MigrationReport>;
  /**
   * One insert a table. After it failed it may be repeated as a whole, by any process, even after ClickHouse was killed in
   * between: the token makes the repeat leave every table and rollup as they are.
   * @throws AnalyzerError CLICKHOUSE_UNAVAILABLE (try again), CLICKHOUSE_REFUSED
   */
  write(outcomes: Outcomes): Promise<void>;
  /** Throws as write does when ClickHouse does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
  readonly queries: Queries;
}

/**
 * One block an insert, however many rows: a token belongs to a block. Larger than any write (config: flushRowsMax is at most
 * 1,000,000, and a pair has fewer than 4 findings a side and shadow).
 */
const BLOCK_ROWS_MAX = 16_000_000;

/** Opens no connection yet: the API is to answer, with 503, while ClickHouse is away. */
export async function connectStore(config: ClickHouseConfig, log: Log): Promise<Store> {
  const database = connectDatabase(config);
  return {
    migrate: async (wanted = {}) => {
      const report = await migrate(database, log);
      if (wanted.retention !== undefined) await applyRetention(database, wanted.retention, log);
      if (wanted.experiments !== undefined) await recordRuns(database, wanted.experiments);
      return report;
    },
    write: (outcomes) => write(database, outcomes),
    ping: async () => {
      await checkVersion(database);
    },
    close: () => database.client.close(),
    queries: createQueries(database),
  };
}

async function write(database: Database, outcomes: Outcomes): Promise<void> {
  const tables = toRows(outcomes);
  // All of them end before this does, also when one fails: a repeat must not overtake its predecessor.
  const results = await Promise.allSettled(
    tables.map((rows) => insert(database, rows, `${outcomes.token}:${rows.table}`)),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function insert(
  { client, name }: Database,
  { table, columns, rows }: TableRows,
  token: string,
): Promise<void> {
  try {
    await client.insert({
      table: `${name}.${table}`,
      columns: columns as [string, ...string[]],
      values: rows as unknown[][],
      format: "JSONCompactEachRow",
      clickhouse_settings: {
        insert_deduplicate: 1,
        insert_deduplication_token: token,
        deduplicate_blocks_in_dependent_materialized_views: 1,
        async_insert: 0,
        input_format_skip_unknown_fields: 0,
        // A wrong type is an error, never quietly another value.
        input_format_null_as_default: 0,
        input_format_parallel_parsing: 0,
        max_insert_block_size: String(BLOCK_ROWS_MAX),
        min_insert_block_size_rows: String(BLOCK_ROWS_MAX),
        min_insert_block_size_bytes: "0",
        // A worker whose clock is wrong may spread a batch over many days.
        max_partitions_per_insert_block: "0",
        wait_end_of_query: 1,
      },
    });
  } catch (cause) {
    throw toAnalyzerError(cause);
  }
}

async function recordRuns(
  { client, name }: Database,
  experiments: Config["experiments"],
): Promise<void> {
  const recordedAtUs = Date.now() * 1000;
  try {
    await client.insert({
      table: `${name}.runs`,
      columns: ["experiment", "run", "recorded_at", "builds", "sample_fraction", "has_control"],
      values: experiments.map((experiment) => [
        experiment.name,
        experiment.run,
        recordedAtUs,
        Object.fromEntries(
          experiment.shadows.flatMap((shadow) =>
            shadow.build === undefined ? [] : [[shadow.name, shadow.build]],
          ),
        ),
        experiment.sampleFraction,
        experiment.control === undefined ? 0 : 1,
      ]),
      format: "JSONCompactEachRow",
      clickhouse_settings: {
        async_insert: 0,
        insert_deduplication_token: `runs:${recordedAtUs}:${experiments.map(({ run }) => run).join(":")}`,
      },
    });
  } catch (cause) {
    throw toAnalyzerError(cause);
  }
}
