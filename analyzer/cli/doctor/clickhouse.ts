import type { Config, ExperimentConfig } from "../../config.ts";
import { AnalyzerError } from "../../errors.ts";
import { checkVersion, connectDatabase, type Database, select } from "../../storage/client.ts";
import { readMigrations } from "../../storage/migrations.ts";
import { count, type Finding, fail, messageOf, ok, warn } from "./finding.ts";

/** ClickHouse, its tables, and what is missing in them. */
export async function checkClickHouse(
  config: Config,
  { timeoutMs }: { timeoutMs: number },
): Promise<Finding[]> {
  const { url, database: name } = config.clickhouse;
  const database = connectDatabase(config.clickhouse);
  try {
    const version = await within(timeoutMs, checkVersion(database));
    const findings = [ok("ClickHouse", `${url} is ${version}`)];
    const schema = await checkSchema(database, name);
    findings.push(schema);
    if (schema.state !== "ok") return findings;
    for (const experiment of config.experiments) {
      findings.push(await checkGaps(database, experiment));
    }
    findings.push(await checkDeadLetters(database));
    return findings;
  } catch (error) {
    return [fail("ClickHouse", `${url}: ${messageOf(error)}`, adviceFor(error))];
  } finally {
    await database.client.close();
  }
}

function adviceFor(error: unknown): string {
  const code = error instanceof AnalyzerError ? error.code : "";
  if (code === "CLICKHOUSE_VERSION") return "use a newer ClickHouse";
  if (code === "CLICKHOUSE_REFUSED") {
    return "check clickhouse.user and CLICKHOUSE_PASSWORD, and what that user may do";
  }
  return "start it (`shadowgraph up` starts one of its own), or correct clickhouse.url or CLICKHOUSE_URL";
}

async function checkSchema(database: Database, name: string): Promise<Finding> {
  const [tables] = await select<{ n: number | string }>(
    database,
    "SELECT count() AS n FROM system.tables WHERE database = {name: String} AND name = 'schema_migrations'",
    { name },
  );
  const known = readMigrations();
  const applied =
    Number(tables?.n) === 0
      ? []
      : await select<{ number: number }>(
          database,
          `SELECT DISTINCT number FROM ${database.name}.schema_migrations`,
        );
  const numbers = new Set(applied.map(({ number }) => Number(number)));
  const missing = known.filter((migration) => !numbers.has(migration.number));
  return missing.length === 0
    ? ok("tables", `database ${name} is up to date`)
    : warn(
        "tables",
        `database ${name} lacks ${missing.length} of ${count(known.length, "migration")}`,
        "run `shadowgraph migrate`; the analyzer does it at its start as well",
      );
}

async function checkGaps(database: Database, experiment: ExperimentConfig): Promise<Finding> {
  const check = `gaps (${experiment.name})`;
  const [row] = await select<{ batches: number | string; workers: number | string }>(
    database,
    `SELECT sum(last_missing - first_missing + 1) AS batches, uniqExact(worker) AS workers
     FROM ${database.name}.batch_gaps
     WHERE experiment = {experiment: String} AND seen_at > now() - INTERVAL 1 DAY`,
    { experiment: experiment.name },
  );
  const batches = Number(row?.batches ?? 0);
  if (batches === 0) return ok(check, "no batch was lost in the last day");
  return warn(
    check,
    `${count(batches, "batch", "batches")} of ${count(Number(row?.workers), "worker")} never came in the last day; the page's accounting shows what that cost`,
    "look at NATS' log for `Dropping messages` and at the time of restarts of NATS",
  );
}

async function checkDeadLetters(database: Database): Promise<Finding> {
  const [row] = await select<{ n: number | string; code: string }>(
    database,
    `SELECT count() AS n, any(code) AS code FROM ${database.name}.dead_letters
     WHERE received_at > now() - INTERVAL 1 DAY`,
  );
  const letters = Number(row?.n ?? 0);
  if (letters === 0) return ok("dead letters", "none in the last day");
  return warn(
    "dead letters",
    `${count(letters, "message or line", "messages or lines")} could not be read in the last day (${row?.code})`,
    "see GET /api/v1/dead-letters; after an update, see that filter and analyzer are of one version",
  );
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new AnalyzerError("CLICKHOUSE_UNAVAILABLE", `no answer within ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
