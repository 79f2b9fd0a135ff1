import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createLog } from "../../analyzer/log.ts";
import { connectStore, type Store } from "../../analyzer/storage/store.ts";
import { startClickHouse, type TestClickHouse } from "../support/clickhouse.ts";
import {
  batchGap,
  bodyDivergence,
  correlationId,
  deadLetter,
  EXPERIMENT,
  judgedPair,
  ledger,
  legLedger,
  observation,
  orphan,
  outcomes,
  RUN,
  START_US,
  statusDivergence,
} from "../support/outcomes.ts";
import { freePorts } from "../support/ports.ts";
import { tempDir } from "../support/temp-dir.ts";

const log = createLog({ LOG_LEVEL: "silent" });
const dir = tempDir("store");
const retention = { pairsDays: 3650, rollupsDays: 3650 };

let clickhouse: TestClickHouse;
let ports: number[];
let store: Store;

beforeAll(async () => {
  ports = await freePorts(2);
  clickhouse = await start();
  store = await connect("shadowgraph");
  await store.migrate({ retention });
}, 60_000);

afterAll(async () => {
  await store.close();
  await clickhouse.stop();
  dir.remove();
});

function start(): Promise<TestClickHouse> {
  const [httpPort = 0, tcpPort = 0] = ports;
  return startClickHouse({ dir: dir.path, httpPort, tcpPort });
}

function connect(database: string): Promise<Store> {
  return connectStore({ url: clickhouse.url, database, user: "default", password: "" }, log);
}

/** A database of its own for a test that counts everything. */
async function ownStore(database: string): Promise<Store> {
  const own = await connect(database);
  await own.migrate({ retention });
  return own;
}

/** Everything that is stored, sketches as their answers: equal texts mean equal tables. */
async function content(database: string): Promise<Record<string, string>> {
  const tables = await clickhouse.rows<{ name: string; engine: string }>(
    `SELECT name, engine FROM system.tables WHERE database = '${database}' AND engine NOT LIKE '%View' AND name NOT IN ('schema_migrations', 'runs') ORDER BY name`,
  );
  const texts: Record<string, string> = {};
  for (const { name } of tables) {
    const columns = await clickhouse.rows<{ name: string; type: string }>(
      `SELECT name, type FROM system.columns WHERE database = '${database}' AND table = '${name}' ORDER BY position`,
    );
    const list = columns.map(({ name: column, type }) =>
      type.startsWith("AggregateFunction(quantilesDD")
        ? `finalizeAggregation(\`${column}\`)`
        : `\`${column}\``,
    );
    const rows = await clickhouse.rows<Record<string, unknown>>(
      `SELECT ${list.join(", ")} FROM ${database}.${name}${name === "ledger_newest" ? " FINAL" : ""}`,
    );
    texts[name] = rows
      .map((row) => JSON.stringify(row))
      .sort()
      .join("\n");
  }
  return texts;
}

/** 60 pairs over two minutes, two days, two routes, with every other table filled. */
function everything(token: string) {
  const pairs = Array.from({ length: 60 }, (_, index) =>
    judgedPair({
      number: index,
      both: {
        route: index % 3 === 0 ? "/score/{…}" : "/health",
        segments: { "x-country": index % 2 === 0 ? "de" : "fr" },
      },
      shadow: { totalUs: 1_000 + 100 * index, status: index % 10 === 0 ? 500 : 200 },
      ...(index % 2 === 0 ? { control: { totalUs: 1_100 } } : {}),
      pair: { joinedAtUs: START_US + index * 2_000_000 + (index > 50 ? 86_400_000_000 : 0) },
      divergences: index % 10 === 0 ? [statusDivergence(200, 500), bodyDivergence()] : [],
      ...(index % 4 === 0 ? { noise: [bodyDivergence()] } : {}),
    }),
  );
  return outcomes(token, {
    pairs,
    orphans: [
      orphan({ number: 100 }),
      orphan({
        number: 101,
        observation: observation({ correlationId: correlationId(101), leg: "shadow" }),
        missingLeg: "primary",
        reason: "primary-missing",
        batchLost: true,
      }),
    ],
    ledgers: [
      ledger({ number: 1 }),
      ledger({
        number: 2,
        requests: { seen: 70, sampled: 62, unreached: 0, unsampled: { fraction: 8 } },
        legs: [
          legLedger({ leg: "primary", attempts: 61, published: 61 }),
          legLedger({ leg: "shadow", attempts: 61, published: 60 }),
        ],
      }),
    ],
    gaps: [batchGap()],
    deadLetters: [deadLetter()],
    duplicates: [{ experiment: EXPERIMENT, run: RUN, leg: "primary", count: 3, atUs: START_US }],
  });
}

describe("a repeated write", () => {
  test("changes no table and no rollup, from the same or another process", async () => {
    const own = await ownStore("repeat");
    await own.write(everything("0:1"));
    const before = await content("repeat");
    expect(before["pairs"]?.split("\n")).toHaveLength(60);

    await own.write(everything("0:1"));
    const another = await connect("repeat");
    await another.write(everything("0:1"));
    expect(await content("repeat")).toEqual(before);
    await Promise.all([own.close(), another.close()]);
  }, 60_000);

  test("changes nothing after ClickHouse was killed and started again", async () => {
    const own = await ownStore("restart");
    await own.write(everything("0:1"));
    const before = await content("restart");
    await clickhouse.kill();
    clickhouse = await start();
    await own.write(everything("0:1"));
    expect(await content("restart")).toEqual(before);
    await own.close();
  }, 60_000);

  test("completes one that was cut off between two tables", async () => {
    const whole = await ownStore("cut_whole");
    await whole.write(everything("0:1"));
    const own = await ownStore("cut_part");
    // The pairs came through, the rest did not: the same token, so the repeat adds what lacks and nothing else.
    await own.write({ ...outcomes("0:1"), pairs: everything("0:1").pairs.map((judged) => judged) });
    await clickhouse.query("TRUNCATE TABLE cut_part.divergences");
    await clickhouse.query("TRUNCATE TABLE cut_part.rollup_divergences_minute");
    const afterCut = await content("cut_part");
    expect(afterCut["orphans"]).toBe("");
    await own.write(everything("0:1"));
    const complete = await content("cut_part");
    for (const table of ["pairs", "orphans", "ledger", "rollup_pairs_minute", "rollup_legs_hour"]) {
      expect([table, complete[table]]).toEqual([table, (await content("cut_whole"))[table]]);
    }
    await Promise.all([whole.close(), own.close()]);
  }, 60_000);

  test("with another token is another write, even of the same rows", async () => {
    const own = await ownStore("other_token");
    await own.write(everything("0:1"));
    await own.write(everything("0:2"));
    const [row] = await clickhouse.rows<{ n: number; rollup: number }>(
      "SELECT (SELECT count() FROM other_token.pairs) AS n, (SELECT sum(pairs) FROM other_token.rollup_pairs_hour) AS rollup",
    );
    expect(row).toEqual({ n: 120, rollup: 120 });
    await own.close();
  }, 60_000);
});

describe("values", () => {
  test("times are exact to the microsecond, from 1970 to 2100", async () => {
    const own = await connect("times");
    // Without a retention: rows of 1970 would be too old for any.
    await own.migrate();
    const instants = [0, 1, 999_999, 1_760_000_000, 1_760_000_000_123, START_US, START_US + 1];
    await own.write(
      outcomes("t:1", {
        pairs: instants.map((joinedAtUs, number) =>
          judgedPair({ number, pair: { joinedAtUs }, both: { startedAtUs: joinedAtUs } }),
        ),
      }),
    );
    const rows = await clickhouse.rows<{ j: number; s: number }>(
      "SELECT toUnixTimestamp64Micro(joined_at) AS j, toUnixTimestamp64Micro(started_at) AS s FROM times.pairs ORDER BY joined_at",
    );
    expect(rows.map(({ j }) => j)).toEqual(instants);
    expect(rows.map(({ s }) => s)).toEqual(instants);
    await own.close();
  }, 60_000);

  test("numbers keep all their digits up to 2^53 - 1, and one out of range holds nothing up", async () => {
    const own = await ownStore("numbers");
    const big = Number.MAX_SAFE_INTEGER;
    await own.write(
      outcomes("n:1", {
        pairs: [
          judgedPair({
            number: 1,
            primary: { responseBytes: big, totalUs: big, grpcStatus: -7, status: 70_000 },
            shadow: { startedAtUs: big },
          }),
        ],
      }),
    );
    const [pair] = await own.queries.pair({
      experiment: EXPERIMENT,
      correlationId: correlationId(1),
    });
    expect(pair?.primary).toMatchObject({
      bytes: big,
      totalUs: big,
      grpcStatus: -7,
      status: 65_535,
    });
    await own.close();
  }, 60_000);

  test("hostile strings come back as they were, lone surrogates as U+FFFD", async () => {
    const own = await ownStore("hostile");
    const strings = [
      "'; DROP TABLE pairs; --",
      "back\\slash \\' \\\\",
      'quotes " and `',
      "line\nfeed\r\ttab",
      "nul\u0000byte",
      "\u2028\u2029\u0085",
      "{{database}} $x {x: String}",
      "😀 żółw 漢字",
      "\\ud800 written out",
      "{…}",
      "x".repeat(20_000),
      "__proto__",
    ];
    const lone = "lone \ud800 and \udc00, pair 😀, escaped \\\ud800";
    await own.write(
      outcomes("h:1", {
        pairs: [...strings, lone].map((text, number) =>
          judgedPair({
            number,
            both: { route: text, failure: text, segments: { "x-country": text } },
            divergences: [{ ...statusDivergence(1, 2), primary: text, sentence: text }],
          }),
        ),
      }),
    );
    const expected = [...strings, "lone \ufffd and \ufffd, pair 😀, escaped \\\ufffd"];
    for (const [number, text] of expected.entries()) {
      const [pair] = await own.queries.pair({
        experiment: EXPERIMENT,
        correlationId: correlationId(number),
      });
      expect(pair?.route).toBe(text);
      expect(pair?.primary.failure).toBe(text);
      expect(pair?.segments).toEqual({ "x-country": text });
      expect(pair?.divergences[0]).toMatchObject({ primary: text, sentence: text });
      const listed = await own.queries.pairs({
        experiment: EXPERIMENT,
        run: RUN,
        shadow: "shadow",
        route: text,
        limit: 10,
      });
      expect(listed.map((one) => one.correlationId)).toEqual([correlationId(number)]);
    }
    await own.close();
  }, 60_000);

  test("a latency ratio exists only where both legs were answered completely", async () => {
    const own = await ownStore("ratios");
    await own.write(
      outcomes("r:1", {
        pairs: [
          judgedPair({ number: 1, primary: { totalUs: 1_000 }, shadow: { totalUs: 2_500 } }),
          judgedPair({ number: 2, shadow: { ending: "no-answer", status: 0, totalUs: 10 } }),
          judgedPair({ number: 3, primary: { totalUs: 0 } }),
        ],
      }),
    );
    const pairs = await own.queries.pairs({
      experiment: EXPERIMENT,
      run: RUN,
      shadow: "shadow",
      limit: 10,
    });
    expect(pairs.map(({ latencyRatio }) => latencyRatio)).toEqual([
      null,
      null,
      expect.closeTo(2.5, 10),
    ]);
    expect(pairs.map(({ bytesEqual }) => bytesEqual)).toEqual([true, false, true]);
    await own.close();
  }, 60_000);
});

describe("rollups", () => {
  test("say what the raw rows say", async () => {
    const own = await ownStore("rollups");
    await own.write(everything("0:1"));
    for (const rollup of ["rollup_pairs_minute", "rollup_pairs_hour"]) {
      const unit = rollup.endsWith("minute") ? "toStartOfMinute" : "toStartOfHour";
      const raw = await clickhouse.rows(
        `SELECT ${unit}(joined_at) AS at, route, count() AS n, sum(divergent) AS d, sum(bytes_equal) AS e, sum(has_control) AS c,
           countIf(latency_log_ratio IS NOT NULL) AS r, toString(min(joined_at)) AS first, toString(max(joined_at)) AS last
         FROM rollups.pairs GROUP BY at, route ORDER BY at, route`,
      );
      const rolled = await clickhouse.rows(
        `SELECT ${rollup.endsWith("minute") ? "minute" : "hour"} AS at, route, sum(pairs) AS n, sum(divergent_pairs) AS d,
           sum(bytes_equal_pairs) AS e, sum(control_pairs) AS c, sum(ratio_pairs) AS r,
           toString(min(first_joined_at)) AS first, toString(max(last_joined_at)) AS last
         FROM rollups.${rollup} GROUP BY at, route ORDER BY at, route`,
      );
      expect(rolled).toEqual(raw);
    }
    const divergences = await clickhouse.rows(
      "SELECT side, rule, count() AS n FROM rollups.divergences GROUP BY side, rule ORDER BY side, rule",
    );
    expect(divergences).toEqual(
      await clickhouse.rows(
        "SELECT side, rule, sum(pairs) AS n FROM rollups.rollup_divergences_minute GROUP BY side, rule ORDER BY side, rule",
      ),
    );
    expect(
      await clickhouse.rows(
        "SELECT value, sum(pairs) AS n, sum(divergent_pairs) AS d FROM rollups.rollup_segments_minute GROUP BY value ORDER BY value",
      ),
    ).toEqual(
      await clickhouse.rows(
        "SELECT segments['x-country'] AS value, count() AS n, sum(divergent) AS d FROM rollups.pairs GROUP BY value ORDER BY value",
      ),
    );
    await own.close();
  }, 60_000);

  test("quantiles of durations and of ratios are within 1 % of the exact ones", async () => {
    const own = await ownStore("quantiles");
    const pairs = Array.from({ length: 2_000 }, (_, number) =>
      judgedPair({
        number,
        primary: { totalUs: 500 + ((number * 7919) % 2_000) },
        shadow: { totalUs: 700 + ((number * 104_729) % 5_000) },
        control: { totalUs: 600 + ((number * 1_299_709) % 2_000) },
        pair: { joinedAtUs: START_US + number * 10_000_000 },
      }),
    );
    await own.write(outcomes("q:1", { pairs }));
    // Between neighbouring pairs any value is a fair quantile: what counts is 1 % around that stretch.
    const exact = async (expression: string): Promise<[number, number][]> => {
      const at = (shift: number): string =>
        `quantilesExact(${[0.5, 0.9, 0.95, 0.99].map((level) => level + shift).join(", ")})(${expression})`;
      const [row] = await clickhouse.rows<{ low: number[]; high: number[] }>(
        `SELECT ${at(-0.001)} AS low, ${at(0.001)} AS high FROM quantiles.pairs`,
      );
      return (row?.low ?? []).map((low, index) => [low, row?.high[index] ?? 0]);
    };
    const { total } = await own.queries.summary({
      experiment: EXPERIMENT,
      run: RUN,
      shadow: "shadow",
    });
    const close = (actual: object, wanted: [number, number][]): void => {
      expect(wanted).toHaveLength(4);
      for (const [index, [low, high]] of wanted.entries()) {
        const value = Object.values(actual)[index] as number;
        expect(value).toBeGreaterThan(low * 0.99);
        expect(value).toBeLessThan(high * 1.01);
      }
    };
    close(total.primaryUs, await exact("primary_total_us"));
    close(total.shadowUs, await exact("shadow_total_us"));
    close(total.controlUs, await exact("control_total_us"));
    close(total.latencyRatio, await exact("shadow_total_us / primary_total_us"));
    close(total.controlLatencyRatio, await exact("control_total_us / primary_total_us"));
    await own.close();
  }, 60_000);

  test("a range is exact to the minute, whether hours or minutes cover it", async () => {
    const own = await ownStore("ranges");
    const pairs = Array.from({ length: 600 }, (_, number) =>
      judgedPair({ number, pair: { joinedAtUs: START_US + number * 30_000_000 } }),
    );
    await own.write(outcomes("g:1", { pairs }));
    for (const [from, to] of [
      [0, 600],
      [1, 3],
      [100, 500],
      [37, 122],
      [113, 114],
      [599, 600],
    ] as const) {
      const fromUs = Math.floor((START_US + from * 30_000_000) / 60e6) * 60e6;
      const toUs = Math.floor((START_US + to * 30_000_000) / 60e6) * 60e6;
      const expected = pairs.filter(
        ({ pair }) => pair.joinedAtUs >= fromUs && pair.joinedAtUs < toUs,
      ).length;
      const facts = await own.queries.summary({
        experiment: EXPERIMENT,
        run: RUN,
        shadow: "shadow",
        fromUs,
        toUs,
      });
      expect([from, to, facts.total.pairs]).toEqual([from, to, expected]);
      const inMinutes = facts.minutes.reduce((sum, minute) => sum + minute.pairs, 0);
      expect([from, to, inMinutes]).toEqual([from, to, expected]);
    }
    await own.close();
  }, 60_000);
});

test("every table says in the database its grain, its key and what a replay does", async () => {
  const tables = await clickhouse.rows<{ name: string; comment: string }>(
    "SELECT name, comment FROM system.tables WHERE database = 'shadowgraph' AND engine NOT LIKE '%View' AND name != 'schema_migrations'",
  );
  expect(tables.length).toBeGreaterThanOrEqual(15);
  for (const { name, comment } of tables) {
    expect([name, comment]).toEqual([name, expect.stringMatching(/\. (Key: |Fed by )/)]);
    expect([name, comment]).toEqual([name, expect.stringMatching(/repla(y|ces)/)]);
  }
});

test("a wrong password is refused with a code, an absent server is a reason to wait", async () => {
  const refused = await connectStore(
    { url: clickhouse.url, database: "shadowgraph", user: "nobody", password: "wrong" },
    log,
  );
  await expect(refused.ping()).rejects.toMatchObject({ code: "CLICKHOUSE_REFUSED" });
  const [nobody = 0] = await freePorts(1);
  const away = await connectStore(
    {
      url: `http://127.0.0.1:${nobody}`,
      database: "shadowgraph",
      user: "default",
      password: "",
    },
    log,
  );
  await expect(away.ping()).rejects.toMatchObject({ code: "CLICKHOUSE_UNAVAILABLE" });
  await expect(away.write(everything("0:1"))).rejects.toMatchObject({
    code: "CLICKHOUSE_UNAVAILABLE",
  });
  await Promise.all([refused.close(), away.close()]);
});
