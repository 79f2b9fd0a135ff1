import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { Outcomes } from "../../analyzer/divergence/outcomes.ts";
import type { HealthSnapshot } from "../../analyzer/health.ts";
import type { FlowItem, LegAccount } from "../../analyzer/http/schemas.ts";
import { createLog } from "../../analyzer/log.ts";
import type { Ledger } from "../../analyzer/observation/ledger.ts";
import { connectStore, type Store } from "../../analyzer/storage/store.ts";
import { healthy, testApi, testConfig } from "../support/api.ts";
import { startClickHouse, type TestClickHouse } from "../support/clickhouse.ts";
import {
  batchGap,
  correlationId,
  judgedPair,
  ledger,
  legLedger,
  observation,
  orphan,
  outcomes,
  START_US,
  WORKER,
} from "../support/outcomes.ts";

jest.setTimeout(60_000);

const log = createLog({ LOG_LEVEL: "silent" });
const config = testConfig();
const EXPERIMENT = "search";
const RUN = config.experiments[1]?.run ?? "";
const OTHER_WORKER = "00000000000000bb";
/** Well after every window of the scenarios has closed. */
const LONG_AFTER_US = START_US + 3_600_000_000;

let clickhouse: TestClickHouse;
let store: Store;
let writes = 0;

beforeAll(async () => {
  clickhouse = await startClickHouse();
  store = await connectStore(
    { url: clickhouse.url, database: "accounting", user: "default", password: "" },
    log,
  );
  await store.migrate();
}, 60_000);

afterAll(async () => {
  await store.close();
  await clickhouse.stop();
});

/** Empties every table: cheaper than a schema for each scenario. */
async function clear(): Promise<void> {
  const tables = await clickhouse.rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = 'accounting' AND engine LIKE '%MergeTree' AND name != 'schema_migrations' AND total_rows > 0",
  );
  for (const { name } of tables) await clickhouse.query(`TRUNCATE TABLE accounting.${name}`);
}

const both = { experiment: EXPERIMENT, run: RUN };

function pairs(from: number, count: number, over: Parameters<typeof judgedPair>[0] | object = {}) {
  return Array.from({ length: count }, (_, index) =>
    judgedPair({ number: from + index, both, ...over }),
  );
}

function alone(
  number: number,
  leg: "primary" | "shadow",
  reason: "shadow-missing" | "primary-missing" | "late" | "evicted",
) {
  return orphan({
    number,
    ...both,
    observation: observation({ ...both, leg, correlationId: correlationId(number) }),
    missingLeg: reason === "late" ? leg : leg === "primary" ? "shadow" : "primary",
    reason,
  });
}

type LegOver = Parameters<typeof legLedger>[0];

/** A ledger whose requests add up: nothing is left out. */
function books(over: {
  number?: number;
  worker?: string;
  clockUs?: number;
  final?: boolean;
  sampled: number;
  unreached?: number;
  fraction?: number;
  primary: LegOver;
  shadow: LegOver;
}): Ledger {
  const fraction = over.fraction ?? 0;
  return ledger({
    ...both,
    worker: over.worker ?? WORKER,
    number: over.number ?? 1,
    clockUs: over.clockUs ?? START_US + 10_000_000,
    final: over.final ?? false,
    requests: {
      seen: over.sampled + fraction,
      sampled: over.sampled,
      unreached: over.unreached ?? 0,
      unsampled: { fraction },
    },
    legs: [
      legLedger({ leg: "primary", ...over.primary }),
      legLedger({ leg: "shadow", ...over.shadow }),
    ],
    batches: { sent: 12, retried: 1, failed: 0 },
  });
}

const completed = (n: number, over: LegOver = {}): LegOver => ({
  requests: n,
  attempts: n,
  endings: { complete: n, reset: 0, "client-left": 0, "no-answer": 0, streaming: 0 },
  published: n,
  ...over,
});

/** The accounting after these outcomes were stored, with everything read up to `watermarkUs`. */
async function accounting(
  written: Partial<Outcomes>,
  {
    watermarkUs = LONG_AFTER_US,
    health,
    experiment = EXPERIMENT,
    query = "",
    consistent = true,
  }: {
    watermarkUs?: number;
    health?: HealthSnapshot;
    experiment?: string;
    query?: string;
    consistent?: boolean;
  } = {},
) {
  await clear();
  await store.write(outcomes(`accounting:${++writes}`, written));
  const lane = {
    lane: 0,
    owner: true,
    sequence: 1,
    lagMessages: 0,
    watermarkUs,
    storedUs: watermarkUs,
  };
  const api = testApi(store.queries, {
    config,
    health: () => health ?? healthy({ lanes: [lane] }),
  });
  const { status, body } = await api.get(`/api/v1/experiments/${experiment}/accounting${query}`);
  expect(status).toBe(200);
  await api.close();
  if (consistent) check(body);
  const leg = (name: string): LegAccount =>
    body.legs.find((one: LegAccount) => one.leg === name) as LegAccount;
  const flow = Object.fromEntries(
    body.flow.map(({ name, requests }: FlowItem) => [name, requests]),
  ) as Record<FlowItem["name"], number>;
  return { body, leg, flow };
}

/** What holds whatever happened. */
function check(body: {
  legs: LegAccount[];
  flow: FlowItem[];
  requests: { sampled: number };
  ahead: number;
}): void {
  for (const leg of body.legs) {
    const dropped = Object.values(leg.dropped).reduce((sum, n) => sum + n, 0);
    for (const value of Object.values(leg)) {
      if (typeof value === "number") expect(value).toBeGreaterThanOrEqual(0);
    }
    expect(leg.attempts).toBe(leg.running + leg.ended);
    expect(leg.ended).toBe(leg.published + dropped + leg.waiting);
    expect(leg.published + leg.ahead).toBe(leg.received + leg.absorbed + leg.onTheWay + leg.lost);
  }
  for (const { requests } of body.flow) expect(requests).toBeGreaterThanOrEqual(0);
  const sum = body.flow.reduce((n, { requests }) => n + requests, 0);
  expect(sum).toBe(body.requests.sampled + body.ahead);
}

describe("accounting", () => {
  test("of nothing says so", async () => {
    const { body } = await accounting({});
    expect(body).toMatchObject({
      run: null,
      balanced: true,
      unexplained: 0,
      workers: [],
      sentence: "Nothing has come yet: no filter has sent a ledger and there are no rows.",
    });
  });

  test("says where each of 100 sampled requests went, by two workers", async () => {
    // Worker a: 60 sampled: 50 paired, 4 without the shadow (2 records dropped, 2 never mirrored), 2 unreached,
    // 3 whose primary record was dropped (their shadow came), 1 evicted.
    // Worker b: 40 sampled: 38 paired, 1 evicted, 1 whose shadow came late.
    const { body, leg, flow } = await accounting({
      pairs: [...pairs(0, 50), ...pairs(100, 38, { both: { ...both, worker: OTHER_WORKER } })],
      orphans: [
        ...[50, 51, 52, 53].map((number) => alone(number, "primary", "shadow-missing")),
        ...[54, 55, 56].map((number) => alone(number, "shadow", "primary-missing")),
        alone(57, "primary", "evicted"),
        ...[138, 139].map((number) => {
          const one = alone(number, "primary", number === 138 ? "evicted" : "shadow-missing");
          return { ...one, observation: { ...one.observation, worker: OTHER_WORKER } };
        }),
        ...[139].map((number) => {
          const one = alone(number, "shadow", "late");
          return { ...one, observation: { ...one.observation, worker: OTHER_WORKER } };
        }),
      ],
      ledgers: [
        books({ number: 1, sampled: 10, primary: completed(10), shadow: completed(10) }),
        books({
          number: 2,
          final: true,
          sampled: 60,
          unreached: 2,
          fraction: 300,
          primary: completed(58, {
            published: 55,
            dropped: { "outbox-full": 3, "too-large": 0, "table-full": 0 },
          }),
          shadow: completed(55, {
            published: 53,
            dropped: { "outbox-full": 1, "too-large": 1, "table-full": 0 },
          }),
        }),
        books({
          worker: OTHER_WORKER,
          final: true,
          sampled: 40,
          fraction: 100,
          primary: completed(40),
          shadow: completed(39),
        }),
      ],
      duplicates: [{ ...both, leg: "shadow", count: 7, atUs: START_US }],
    });
    expect(body.requests).toEqual({
      seen: 500,
      sampled: 100,
      unreached: 2,
      unsampled: { fraction: 400 },
    });
    expect(leg("primary")).toMatchObject({
      attempts: 98,
      ended: 98,
      published: 95,
      received: 95,
      dropped: { "outbox-full": 3 },
      waiting: 0,
      lost: 0,
      onTheWay: 0,
      ahead: 0,
    });
    expect(leg("shadow")).toMatchObject({ attempts: 94, published: 92, received: 92, lost: 0 });
    expect(flow).toEqual({
      paired: 88,
      "shadow-missing": 5,
      late: 0,
      evicted: 2,
      unreached: 2,
      running: 0,
      dropped: 3,
      lost: 0,
      "under-way": 0,
    });
    expect(body.joined).toEqual({
      paired: 88,
      orphans: { "shadow-missing": 5, "primary-missing": 3, evicted: 2, late: 1 },
      controlMissing: 0,
      waiting: 0,
      duplicates: 7,
    });
    expect(body).toMatchObject({ balanced: true, unexplained: 0, ahead: 0 });
    expect(body.batches).toEqual({ sent: 24, retried: 2, failed: 0, lost: 0 });
    expect(body.workers.map((one: { state: string }) => one.state)).toEqual(["closed", "closed"]);
    expect(body.reasons).toEqual([expect.stringMatching(/^the filter dropped 5 records/)]);
    expect(body.sentence).toBe(
      "Of 500 requests seen, 100 were sampled: 88 paired, 5 without the shadow, 2 given up waiting, 2 that never reached the primary, 3 dropped by the filter. Everything is accounted for.",
    );
  });

  test("counts every attempt of a retried primary, and the request once", async () => {
    const { leg, flow, body } = await accounting({
      pairs: pairs(0, 10, { pair: { primaryAttempts: 3 } }),
      ledgers: [
        books({
          final: true,
          sampled: 10,
          primary: completed(30, { requests: 10 }),
          shadow: completed(10),
        }),
      ],
    });
    expect(leg("primary")).toMatchObject({ requests: 10, attempts: 30, received: 30, lost: 0 });
    expect(flow).toMatchObject({ paired: 10, "under-way": 0 });
    expect(body.balanced).toBe(true);
  });

  test("of records that NATS took and nobody stored says lost, once their window has closed", async () => {
    const written = {
      pairs: pairs(0, 90),
      ledgers: [books({ sampled: 100, primary: completed(100), shadow: completed(100) })],
    };
    const young = await accounting(written, { watermarkUs: START_US + 11_000_000 });
    expect(young.leg("primary")).toMatchObject({
      published: 100,
      received: 90,
      onTheWay: 10,
      lost: 0,
    });
    expect(young.flow).toMatchObject({ paired: 90, "under-way": 10, lost: 0 });
    expect(young.body).toMatchObject({ balanced: true, joined: { waiting: 10 } });
    expect(young.body.sentence).toContain("90 paired, 10 on their way");

    const old = await accounting(written);
    expect(old.leg("primary")).toMatchObject({ onTheWay: 0, lost: 10 });
    expect(old.flow).toMatchObject({ paired: 90, "under-way": 0, lost: 10 });
    expect(old.body).toMatchObject({ balanced: false, unexplained: 20 });
    expect(old.body.sentence).toContain("20 records cannot be explained.");

    const withGap = await accounting({
      ...written,
      gaps: [batchGap({ experiment: EXPERIMENT, firstMissing: 4, lastMissing: 6 })],
    });
    expect(withGap.body).toMatchObject({ balanced: true, unexplained: 0, batches: { lost: 3 } });
    expect(withGap.leg("primary").lost).toBe(10);
    expect(withGap.body.reasons.join("; ")).toContain("3 batches never came");
  });

  test("tells a loss while traffic flows: the old ledger is held against the rows of its time", async () => {
    // At 10 s the worker had published 100 and 4 of them are missing; since then 500 more came, of which the newest ledger
    // knows 450.
    const later = Array.from({ length: 500 }, (_, index) =>
      judgedPair({
        number: 1_000 + index,
        both: { ...both, startedAtUs: START_US + 60_000_000 + index },
        pair: { joinedAtUs: START_US + 61_000_000 + index },
      }),
    );
    const { leg, flow, body } = await accounting(
      {
        pairs: [...pairs(0, 96), ...later],
        ledgers: [
          books({ number: 1, sampled: 100, primary: completed(100), shadow: completed(100) }),
          books({
            number: 2,
            clockUs: START_US + 62_000_000,
            sampled: 550,
            primary: completed(550),
            shadow: completed(550),
          }),
        ],
      },
      { watermarkUs: START_US + 62_000_000 },
    );
    expect(leg("primary")).toMatchObject({
      published: 550,
      received: 596,
      lost: 4,
      ahead: 50,
      onTheWay: 0,
    });
    expect(flow).toMatchObject({ paired: 596, lost: 0, "under-way": 0 });
    expect(body).toMatchObject({ ahead: 46, balanced: false, unexplained: 8 });
  });

  test("rows newer than the last ledger are ahead, never a negative number", async () => {
    const { body, leg, flow } = await accounting({
      pairs: pairs(0, 30),
      ledgers: [
        books({
          sampled: 25,
          primary: completed(24, { attempts: 25, requests: 25, published: 20 }),
          shadow: completed(20),
        }),
      ],
    });
    expect(leg("primary")).toMatchObject({ running: 1, waiting: 4, received: 30, ahead: 10 });
    expect(flow).toMatchObject({ paired: 30, running: 0 });
    expect(body).toMatchObject({ ahead: 5, balanced: true });
    expect(body.sentence).toContain(
      "25 were sampled (and 5 requests newer than the filter's last report)",
    );
  });

  test("a worker without a closing ledger, or without any, is named", async () => {
    const { body } = await accounting({
      pairs: [...pairs(0, 12), ...pairs(100, 3, { both: { ...both, worker: OTHER_WORKER } })],
      ledgers: [
        books({
          sampled: 10,
          primary: completed(10, { attempts: 11, published: 9 }),
          shadow: completed(10, { published: 9 }),
        }),
      ],
    });
    expect(body.workers).toEqual([
      expect.objectContaining({ worker: WORKER, final: false, state: "silent" }),
      { worker: OTHER_WORKER, lastClockAt: null, final: false, state: "unknown" },
    ]);
    expect(body.reasons).toEqual([
      `worker ${WORKER} stopped without a closing ledger; 6 records came after its last one; what it saw afterwards is not known`,
      `worker ${OTHER_WORKER} never sent a ledger: 6 records of it came, and what it did not send is not known`,
    ]);
    expect(body.balanced).toBe(true);
  });

  test("a ledger that contradicts itself, or knows less than was stored, is not explained away", async () => {
    const closed = await accounting({
      pairs: pairs(0, 12),
      ledgers: [books({ final: true, sampled: 10, primary: completed(10), shadow: completed(10) })],
    });
    expect(closed.body).toMatchObject({ balanced: false, unexplained: 4 });
    expect(closed.body.reasons[0]).toContain("its closing ledger does not know");

    const wrong = await accounting(
      {
        pairs: pairs(0, 10),
        ledgers: [
          books({
            sampled: 8,
            primary: completed(10, { attempts: 9, published: 11 }),
            shadow: completed(10),
          }),
        ],
      },
      { consistent: false, watermarkUs: START_US },
    );
    // One more ended than began, one more was published than ended, two more began than were sampled.
    expect(wrong.body).toMatchObject({ balanced: false, unexplained: 4 });
    expect(wrong.body.reasons).toHaveLength(4);
    expect(wrong.leg("primary")).toMatchObject({ running: 0, waiting: 0 });
  });

  test("a late leg whose pair was made long ago is received once", async () => {
    const { leg, body } = await accounting({
      pairs: pairs(0, 10),
      orphans: [
        alone(3, "primary", "late"),
        alone(4, "shadow", "late"),
        alone(50, "primary", "late"),
        alone(50, "shadow", "primary-missing"),
      ],
      ledgers: [books({ final: true, sampled: 11, primary: completed(11), shadow: completed(11) })],
    });
    expect(leg("primary")).toMatchObject({ received: 11, lost: 0, ahead: 0 });
    expect(leg("shadow")).toMatchObject({ received: 11, lost: 0, ahead: 0 });
    expect(body.flow.find((one: FlowItem) => one.name === "late").requests).toBe(1);
    expect(body.balanced).toBe(true);
  });

  test("of several shadows and a control looks at one shadow, and knows controls that were not kept", async () => {
    const fraud = { experiment: "fraud", run: config.experiments[0]?.run ?? "" };
    const make = (from: number, count: number, shadowName: string, control: boolean) =>
      Array.from({ length: count }, (_, index) =>
        judgedPair({
          number: from + index,
          both: fraud,
          shadowName,
          ...(control ? { control: {} } : {}),
        }),
      );
    const missing = (number: number, shadow: string) =>
      orphan({
        number,
        ...fraud,
        observation: observation({ ...fraud, correlationId: correlationId(number) }),
        missingLeg: shadow,
      });
    const written = {
      // 20 requests: 14 paired with both, 2 with the first only, 3 with the second only, 1 with none; the control always came
      // but once (request 0), and is in no row where no pair is.
      pairs: [
        ...make(0, 1, "shadow", false),
        ...make(1, 15, "shadow", true),
        ...make(0, 1, "second", false),
        ...make(1, 13, "second", true),
        ...make(16, 3, "second", true),
      ],
      orphans: [
        ...[16, 17, 18, 19].map((number) => missing(number, "shadow")),
        ...[14, 15, 19].map((number) => missing(number, "second")),
      ],
      ledgers: [
        ledger({
          ...fraud,
          final: true,
          requests: { seen: 20, sampled: 20, unreached: 0, unsampled: {} },
          legs: [
            legLedger({ leg: "primary", ...completed(20) }),
            legLedger({ leg: "shadow", ...completed(16) }),
            legLedger({ leg: "second", ...completed(17) }),
            legLedger({ leg: "control", ...completed(19) }),
          ],
        }),
      ],
    };
    const first = await accounting(written, { experiment: "fraud" });
    expect(first.flow).toMatchObject({ paired: 16, "shadow-missing": 4 });
    expect(first.leg("primary")).toMatchObject({ received: 20 });
    expect(first.leg("second")).toMatchObject({ received: 17, lost: 0 });
    expect(first.leg("control")).toMatchObject({ received: 15, absorbed: 4, lost: 0 });
    expect(first.body.joined).toMatchObject({
      controlMissing: 1,
      orphans: { "shadow-missing": 4 },
    });
    expect(first.body).toMatchObject({ balanced: true, reasons: [] });

    const second = await accounting(written, { experiment: "fraud", query: "?shadow=second" });
    expect(second.flow).toMatchObject({ paired: 17, "shadow-missing": 3 });
    expect(second.leg("control")).toMatchObject({ received: 16, absorbed: 3, lost: 0 });
    expect(second.body.balanced).toBe(true);
  });

  test("claims no loss while it does not know how far was read", async () => {
    const written = {
      pairs: pairs(0, 90),
      ledgers: [books({ sampled: 100, primary: completed(100), shadow: completed(100) })],
    };
    const lane = {
      lane: 0,
      owner: false,
      sequence: 1,
      lagMessages: 0,
      watermarkUs: LONG_AFTER_US,
      storedUs: LONG_AFTER_US,
    };
    const standby = await accounting(written, { health: healthy({ lanes: [lane] }) });
    expect(standby.body).toMatchObject({ settledAt: null, balanced: true });
    expect(standby.leg("primary")).toMatchObject({ lost: 0, onTheWay: 10 });
    const none = await accounting(written, { health: healthy({ lanes: [] }) });
    expect(none.leg("primary")).toMatchObject({ lost: 0, onTheWay: 10 });
  });
});
