import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { createLog } from "../../analyzer/log.ts";
import { connectDatabase, type Database } from "../../analyzer/storage/client.ts";
import {
  type Migration,
  readMigrations,
  renderMigration,
  splitStatements,
} from "../../analyzer/storage/migrations.ts";
import { applyRetention, migrate } from "../../analyzer/storage/migrator.ts";
import { connectStore } from "../../analyzer/storage/store.ts";
import { startClickHouse, type TestClickHouse } from "../support/clickhouse.ts";

jest.setTimeout(60_000);

const log = createLog({ LOG_LEVEL: "silent" });
let clickhouse: TestClickHouse;
const opened: Database[] = [];

beforeAll(async () => {
  clickhouse = await startClickHouse();
}, 60_000);

afterAll(async () => {
  await Promise.all(opened.map(({ client }) => client.close()));
  await clickhouse.stop();
});

function open(database: string, url = clickhouse.url): Database {
  const opening = connectDatabase({ url, database, user: "default", password: "" });
  opened.push(opening);
  return opening;
}

/** A server that says only how old it is: the one thing that cannot be had as a real one. */
async function pretend(version: string): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.end(`${JSON.stringify({ version })}\n`));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, server };
}

describe("migrating", () => {
  test("makes the schema once, and again changes nothing", async () => {
    const database = open("twice");
    const first = await migrate(database, log);
    expect(first.applied).toHaveLength(readMigrations().length);
    const tables = () =>
      clickhouse.query(
        "SELECT groupArray((name, uuid)) FROM (SELECT name, uuid FROM system.tables WHERE database = 'twice' ORDER BY name)",
      );
    const before = await tables();
    expect((await migrate(database, log)).applied).toEqual([]);
    expect(await tables()).toBe(before);
  });

  test("by several analyzers at the same time makes it once", async () => {
    await Promise.all([1, 2, 3, 4].map(() => migrate(open("together"), log)));
    const [row] = await clickhouse.rows(
      "SELECT uniqExact(number) AS migrations, uniqExact(checksum) AS checksums FROM together.schema_migrations",
    );
    const count = readMigrations().length;
    expect(row).toEqual({ migrations: count, checksums: count });
    expect((await migrate(open("together"), log)).applied).toEqual([]);
  });

  test("goes on after it was cut off in the middle", async () => {
    const database = open("cut_off");
    await migrate(database, log, readMigrations().slice(0, 3));
    const rest = await migrate(database, log);
    expect(rest.applied).toHaveLength(readMigrations().length - 3);
  });

  test("refuses an applied migration that has changed, and names it", async () => {
    const database = open("changed");
    await migrate(database, log);
    const changed = readMigrations().map(
      (migration): Migration =>
        migration.number === 4 ? { ...migration, checksum: "0".repeat(64) } : migration,
    );
    await expect(migrate(database, log, changed)).rejects.toMatchObject({
      code: "MIGRATION_CHANGED",
      message: expect.stringMatching(
        /^migration 4 \(orphans\) has the checksum 000000000000, but /,
      ),
    });
  });

  test("works with a database of a later version", async () => {
    const database = open("later");
    await migrate(database, log);
    await clickhouse.query(
      "INSERT INTO later.schema_migrations (number, name, checksum) VALUES (999, 'future', 'f')",
    );
    expect((await migrate(database, log)).applied).toEqual([]);
  });

  test("refuses a ClickHouse older than 25.3 and says which one it met", async () => {
    for (const [version, refused] of [
      ["18.16.1", true],
      ["25.2.9.1", true],
      ["gibberish", true],
      ["25.3.1.1", false],
      ["26.0.0", false],
    ] as const) {
      const { url, server } = await pretend(version);
      const store = await connectStore(
        { url, database: "shadowgraph", user: "default", password: "" },
        log,
      );
      if (refused) {
        await expect(store.ping()).rejects.toMatchObject({
          code: "CLICKHOUSE_VERSION",
          message: expect.stringContaining(version),
        });
        await expect(store.migrate()).rejects.toMatchObject({ code: "CLICKHOUSE_VERSION" });
      } else {
        await store.ping();
      }
      await store.close();
      server.close();
    }
  });

  test("every column that an insert names is one that the table has, and all are named", async () => {
    const database = open("columns");
    await migrate(database, log);
    const { toRows } = await import("../../analyzer/storage/rows.ts");
    const build = await import("../support/outcomes.ts");
    const written = toRows(
      build.outcomes("c:1", {
        pairs: [
          build.judgedPair({ number: 1, control: {}, divergences: [build.bodyDivergence()] }),
        ],
        orphans: [build.orphan({ number: 2 })],
        ledgers: [build.ledger()],
        gaps: [build.batchGap()],
        deadLetters: [build.deadLetter()],
        duplicates: [{ experiment: "e", run: "r", leg: "primary", count: 1, atUs: 1 }],
      }),
    );
    expect(written).toHaveLength(7);
    for (const { table, columns } of written) {
      const rows = await clickhouse.rows<{ name: string }>(
        `SELECT name FROM system.columns WHERE database = 'columns' AND table = '${table}'`,
      );
      expect([table, columns.map((name) => name.replaceAll("`", "")).sort()]).toEqual([
        table,
        rows.map(({ name }) => name).sort(),
      ]);
    }
  });
});

describe("retention", () => {
  test("follows the configuration, table by table, and is set only when it changes", async () => {
    const database = open("kept");
    await migrate(database, log);
    const changes: string[] = [];
    const spy = { info: (fields: { table: string }) => changes.push(fields.table) };
    const counting = Object.assign(createLog({ LOG_LEVEL: "silent" }), spy);
    await applyRetention(database, { pairsDays: 7, rollupsDays: 30 }, counting);
    const tables = await clickhouse.rows(
      "SELECT name FROM system.tables WHERE database = 'kept' AND engine NOT LIKE '%View' AND name NOT IN ('runs', 'schema_migrations')",
    );
    expect(changes).toHaveLength(tables.length);
    const ttl = (table: string) => clickhouse.query(`SHOW CREATE TABLE kept.${table}`);
    expect(await ttl("pairs")).toContain("TTL toDate(joined_at) + toIntervalDay(7)");
    expect(await ttl("rollup_pairs_hour")).toContain("TTL toDate(hour) + toIntervalDay(30)");

    changes.length = 0;
    await applyRetention(database, { pairsDays: 7, rollupsDays: 30 }, counting);
    expect(changes).toEqual([]);
    await applyRetention(database, { pairsDays: 8, rollupsDays: 30 }, counting);
    expect(changes.sort()).toEqual(["divergences", "ledger", "pairs"]);
  });
});

describe("one template", () => {
  const template = readMigrations().find(({ name }) => name === "ledger")?.template ?? "";

  test("makes plain tables for one server", () => {
    const statements = renderMigration(template, { database: "`d`", cluster: null });
    expect(statements).toHaveLength(3);
    expect(statements[1]).toContain("ENGINE = ReplacingMergeTree(number)");
    expect(statements.join()).not.toMatch(/ON CLUSTER|Replicated|\{\{/);
  });

  test("makes replicated tables on every node of a cluster", () => {
    const statements = renderMigration(template, { database: "`d`", cluster: "main" });
    expect(statements[0]).toContain("ON CLUSTER `main`");
    expect(statements[0]).toContain(
      "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')",
    );
    expect(statements[1]).toContain(
      "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', number)",
    );
    expect(statements[2]).toContain("ON CLUSTER `main` TO `d`.ledger_newest");
  });

  test("gives every table that inserts reach a window of remembered tokens", () => {
    for (const { name, template: text } of readMigrations()) {
      const tables = text.match(/CREATE TABLE/g)?.length ?? 0;
      expect([name, text.match(/SETTINGS \{\{deduplication\}\}/g)?.length]).toEqual([name, tables]);
    }
  });

  test("is split at semicolons, but not inside of quotes or comments", () => {
    expect(
      splitStatements("-- one; two\nSELECT ';\\'--' ; SELECT `a;b` -- x\n, 1;\n\n-- end"),
    ).toEqual(["SELECT ';\\'--'", "SELECT `a;b` \n, 1"]);
  });
});
