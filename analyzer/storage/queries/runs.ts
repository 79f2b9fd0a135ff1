import { type Database, select, toCount } from "../client.ts";
import { READ_SETTINGS, toUs } from "./scope.ts";

export interface RunFacts {
  readonly experiment: string;
  readonly run: string;
  readonly pairs: number;
  readonly divergentPairs: number;
  readonly orphans: number;
  readonly firstPairUs: number | null;
  readonly lastPairUs: number | null;
  /** Newest pair, orphan or ledger. */
  readonly lastUs: number;
  /** Shadows that have pairs. */
  readonly shadows: readonly string[];
  /** Shadow to the label of its build. */
  readonly builds: Readonly<Record<string, string>>;
}

/** Runs listed of one experiment. */
export const RUNS_MAX = 200;

/** Runs that have a pair, an orphan or a ledger; the newest first. Reads rollups, one row a worker, and the orphans' keys. */
export async function readRuns(
  database: Database,
  experiments: readonly string[],
): Promise<RunFacts[]> {
  const { name } = database;
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT
       experiment, run,
       sum(pair_count) AS pairs, sum(divergent_count) AS divergent, sum(orphan_count) AS orphans,
       minOrNull(first_us) AS first_pair_us, maxOrNull(last_us) AS last_pair_us, max(activity_us) AS last_activity_us,
       groupUniqArrayArray(names) AS shadow_names
     FROM
     (
       SELECT experiment, run, sum(pairs) AS pair_count, sum(divergent_pairs) AS divergent_count, 0 AS orphan_count,
         toNullable(toUnixTimestamp64Micro(min(first_joined_at))) AS first_us,
         toNullable(toUnixTimestamp64Micro(max(last_joined_at))) AS last_us,
         toUnixTimestamp64Micro(max(last_joined_at)) AS activity_us,
         groupUniqArray(16)(toString(shadow)) AS names
       FROM ${name}.rollup_pairs_hour WHERE experiment IN {experiments: Array(String)} GROUP BY experiment, run
       UNION ALL
       SELECT experiment, run, 0, 0, count(), NULL, NULL, toUnixTimestamp64Micro(max(closed_at)), []
       FROM ${name}.orphans WHERE experiment IN {experiments: Array(String)} GROUP BY experiment, run
       UNION ALL
       SELECT experiment, run, 0, 0, 0, NULL, NULL, toUnixTimestamp64Micro(max(clock_at)), []
       FROM ${name}.ledger_newest WHERE experiment IN {experiments: Array(String)} GROUP BY experiment, run
     )
     GROUP BY experiment, run
     ORDER BY experiment, last_activity_us DESC, run
     LIMIT ${RUNS_MAX} BY experiment`,
    { experiments },
    READ_SETTINGS,
  );
  const builds = await select<{
    experiment: string;
    run: string;
    builds: Record<string, string>;
  }>(
    database,
    `SELECT experiment, run, builds FROM ${name}.runs FINAL WHERE experiment IN {experiments: Array(String)} LIMIT 10000`,
    { experiments },
    READ_SETTINGS,
  );
  const key = (experiment: unknown, run: unknown): string => `${experiment}\n${run}`;
  const buildsByRun = new Map(builds.map((row) => [key(row.experiment, row.run), row.builds]));
  return rows.map((row) => ({
    experiment: String(row["experiment"]),
    run: String(row["run"]),
    pairs: toCount(row["pairs"]),
    divergentPairs: toCount(row["divergent"]),
    orphans: toCount(row["orphans"]),
    firstPairUs: toUs(row["first_pair_us"]),
    lastPairUs: toUs(row["last_pair_us"]),
    lastUs: toCount(row["last_activity_us"]),
    shadows: [...(row["shadow_names"] as string[])].sort(),
    builds: buildsByRun.get(key(row["experiment"], row["run"])) ?? {},
  }));
}
