import { describe, expect, test } from "@jest/globals";
import { Joiner, type JoinerOptions } from "../../analyzer/join/joiner.ts";
import type { Observation } from "../../analyzer/observation/observation.ts";
import { JoinLog } from "../support/join-log.ts";
import { correlationId, observation, unanswered } from "../support/observation.ts";

const WINDOW_US = 30_000_000;

function setUp(
  legs: { shadows: string[]; control: string | null } = { shadows: ["shadow"], control: null },
  options: Partial<JoinerOptions> = {},
) {
  const log = new JoinLog();
  const joiner = new Joiner(
    {
      windowUs: WINDOW_US,
      pendingCountMax: 1_000,
      legsOf: (experiment) => (experiment === "fraud" ? legs : null),
      ...options,
    },
    log,
  );
  let sequence = 0;
  /** Offers one observation at a stream time in seconds. */
  const at = (seconds: number, changes: Partial<Observation>): void => {
    sequence += 1;
    joiner.offer(observation(changes), { sequence, watermarkUs: seconds * 1e6 });
  };
  return { joiner, log, at };
}

describe("pairs", () => {
  test("a primary and its shadow make a pair as soon as the second of them is in, in either order", () => {
    const { joiner, log, at } = setUp();
    at(1, { leg: "primary" });
    expect(log.pairs).toHaveLength(0);
    at(2, { leg: "shadow" });
    at(3, { leg: "shadow", correlationId: correlationId(2) });
    at(4, { leg: "primary", correlationId: correlationId(2) });

    expect(log.pairs.map(({ joinedAtUs }) => joinedAtUs)).toEqual([2e6, 4e6]);
    expect(log.pairs.map(({ primary, shadow }) => [primary.leg, shadow.leg])).toEqual([
      ["primary", "shadow"],
      ["primary", "shadow"],
    ]);
    expect(joiner.waitingCount).toBe(0);
    expect(joiner.oldestUs).toBeNull();
  });

  test("with a control the pair waits for it and is a triple", () => {
    const { log, at } = setUp({ shadows: ["shadow"], control: "control" });
    at(1, { leg: "primary" });
    at(2, { leg: "shadow" });
    expect(log.pairs).toHaveLength(0);
    at(3, { leg: "control" });
    expect(log.pairs.map(({ control }) => control?.leg)).toEqual(["control"]);
  });

  test("a control that never comes costs the pair nothing but the wait", () => {
    const { joiner, log, at } = setUp({ shadows: ["shadow"], control: "control" });
    at(1, { leg: "primary" });
    at(2, { leg: "shadow" });
    joiner.advance(31e6);
    expect(log.pairs).toMatchObject([{ control: null, joinedAtUs: 31e6 }]);
    expect(log.orphans).toEqual([]);
  });

  test("each shadow makes a pair of its own with the one primary, and does not wait for the other shadow", () => {
    const { joiner, log, at } = setUp({ shadows: ["a", "b"], control: null });
    at(1, { leg: "primary" });
    at(2, { leg: "b" });
    expect(log.pairs.map(({ shadow }) => shadow.leg)).toEqual(["b"]);
    expect(joiner.waitingCount).toBe(1);
    at(3, { leg: "a" });
    expect(log.pairs.map(({ shadow }) => shadow.leg)).toEqual(["b", "a"]);
    expect(joiner.waitingCount).toBe(0);
  });

  test("a retried primary makes one pair, of its final attempt, and says how many it took", () => {
    const { log, at } = setUp();
    at(1, { leg: "primary", attempt: 1, final: false, status: 503 });
    at(1, { leg: "shadow" });
    expect(log.pairs).toHaveLength(0);
    at(2, { leg: "primary", attempt: 2, final: true, status: 200 });
    expect(log.pairs).toMatchObject([{ primary: { attempt: 2 }, primaryAttempts: 2 }]);
    expect(log.duplicates).toEqual([]);
  });

  test("an attempt that comes after the pair of the final one is neither late nor a duplicate", () => {
    const { joiner, log, at } = setUp();
    at(1, { leg: "primary", attempt: 2, final: true });
    at(1, { leg: "shadow" });
    at(2, { leg: "primary", attempt: 1, final: false });
    joiner.advance(100e6);
    expect(log.pairs).toMatchObject([{ primaryAttempts: 2 }]);
    expect(log.orphans).toEqual([]);
    expect(log.duplicates).toEqual([]);
    expect(joiner.counts.absorbed).toBe(1);
  });

  test("without a final attempt the highest one with an answer counts when the window ends, else the highest", () => {
    const { joiner, log, at } = setUp();
    const noAnswer = unanswered({ final: false });
    at(1, { leg: "primary", attempt: 1, final: false, status: 503 });
    at(1, { ...noAnswer, leg: "primary", attempt: 2 });
    at(1, { leg: "shadow" });
    at(1, { ...noAnswer, leg: "primary", attempt: 1, correlationId: correlationId(2) });
    at(1, { ...noAnswer, leg: "primary", attempt: 2, correlationId: correlationId(2) });
    at(1, { leg: "shadow", correlationId: correlationId(2) });
    expect(log.pairs).toEqual([]);
    joiner.advance(31e6);
    expect(log.pairs).toMatchObject([
      { primary: { attempt: 1, status: 503 }, primaryAttempts: 2 },
      { primary: { attempt: 2, status: 0 }, primaryAttempts: 2 },
    ]);
  });

  test("when the configuration changed between the halves, the pair belongs to the primary's run", () => {
    const { log, at } = setUp();
    at(1, { leg: "shadow", run: "newer" });
    at(1, { leg: "primary", run: "older" });
    expect(log.pairs).toMatchObject([{ run: "older", shadow: { run: "newer" } }]);
  });
});

describe("orphans", () => {
  test("a primary without a shadow is an orphan for each shadow that lacks, when the window ends", () => {
    const { joiner, log, at } = setUp({ shadows: ["a", "b", "c"], control: "control" });
    at(1, { leg: "primary" });
    at(1, { leg: "b" });
    joiner.advance(31e6 - 1);
    expect(log.orphans).toEqual([]);
    joiner.advance(31e6);
    expect(log.orphans).toMatchObject([
      {
        missingLeg: "a",
        reason: "shadow-missing",
        closedAtUs: 31e6,
        observation: { leg: "primary" },
      },
      {
        missingLeg: "c",
        reason: "shadow-missing",
        closedAtUs: 31e6,
        observation: { leg: "primary" },
      },
    ]);
    expect(log.pairs).toHaveLength(1);
  });

  test("mirrored legs without a primary are orphans, each of its own, the control too", () => {
    const { joiner, log, at } = setUp({ shadows: ["shadow"], control: "control" });
    at(1, { leg: "control" });
    at(2, { leg: "shadow" });
    joiner.advance(60e6);
    expect(log.orphans).toMatchObject([
      { missingLeg: "primary", reason: "primary-missing", observation: { leg: "shadow" } },
      { missingLeg: "primary", reason: "primary-missing", observation: { leg: "control" } },
    ]);
  });

  test("a shadow that arrives after the window is counted as late, not paired", () => {
    const { log, at } = setUp();
    at(1, { leg: "primary" });
    at(31, { leg: "shadow" });
    expect(log.pairs).toEqual([]);
    expect(log.orphans).toMatchObject([
      { reason: "shadow-missing", missingLeg: "shadow", closedAtUs: 31e6 },
      { reason: "late", missingLeg: "shadow", closedAtUs: 31e6, observation: { leg: "shadow" } },
    ]);
  });

  test("a shadow that arrives in the window's last microsecond is paired", () => {
    const { joiner, log } = setUp();
    joiner.offer(observation({ leg: "primary" }), { sequence: 1, watermarkUs: 1_000_000 });
    joiner.offer(observation({ leg: "shadow" }), { sequence: 2, watermarkUs: 30_999_999 });
    expect(log.pairs).toHaveLength(1);
  });

  test("a window closes as messages of other requests move stream time on, not with any clock", () => {
    const { joiner, log, at } = setUp();
    at(1, { leg: "primary" });
    at(31, { leg: "primary", correlationId: correlationId(2) });
    expect(log.orphans).toMatchObject([{ reason: "shadow-missing", closedAtUs: 31e6 }]);
    expect(joiner.oldestUs).toBe(31e6);
  });

  test("a full table closes the oldest request as evicted, and its partner is late", () => {
    const { joiner, log, at } = setUp(undefined, { pendingCountMax: 2 });
    at(1, { leg: "primary", correlationId: correlationId(1) });
    at(2, { leg: "shadow", correlationId: correlationId(2) });
    at(3, { leg: "primary", correlationId: correlationId(3) });
    at(4, { leg: "shadow", correlationId: correlationId(1) });
    expect(joiner.waitingCount).toBe(2);
    expect(log.orphans).toMatchObject([
      { reason: "evicted", missingLeg: "shadow", correlationId: correlationId(1), closedAtUs: 3e6 },
      { reason: "late", missingLeg: "shadow", correlationId: correlationId(1) },
    ]);
    expect(joiner.counts.orphans).toMatchObject({ evicted: 1, late: 1 });
  });

  test("what an evicted request had together is still a pair", () => {
    const { log, at } = setUp({ shadows: ["a", "b"], control: "control" }, { pendingCountMax: 1 });
    at(1, { leg: "primary" });
    at(1, { leg: "a" });
    at(2, { leg: "primary", correlationId: correlationId(2) });
    expect(log.pairs).toMatchObject([{ shadow: { leg: "a" }, control: null }]);
    expect(log.orphans).toMatchObject([{ missingLeg: "b", reason: "evicted" }]);
  });

  test("an orphan says when a batch of its worker was lost while it waited or just before", () => {
    const { joiner, log, at } = setUp();
    const batch = { experiment: "fraud", worker: "8899aabbccddeeff", partition: 3 };
    const note = (seconds: number, number: number, worker = batch.worker) =>
      joiner.noteBatch({ ...batch, worker, number }, { sequence: 0, watermarkUs: seconds * 1e6 });
    note(1, 1);
    at(1, { leg: "primary", correlationId: correlationId(1) });
    expect(note(2, 4)).toMatchObject({ firstMissing: 2, lastMissing: 3, seenAtUs: 2e6 });
    at(10, { leg: "primary", correlationId: correlationId(2) });
    at(10, { leg: "primary", correlationId: correlationId(3), worker: "0000000000000001" });
    at(17, { leg: "primary", correlationId: correlationId(4) });
    joiner.advance(100e6);
    expect(log.orphans.map((orphan) => orphan.batchLost)).toEqual([true, true, false, false]);
  });
});

describe("repeats", () => {
  test("the same leg and attempt again is a duplicate: before the pair, after it, and after the window", () => {
    const { joiner, log, at } = setUp();
    at(1, { leg: "primary" });
    at(2, { leg: "primary" });
    at(3, { leg: "shadow" });
    at(4, { leg: "shadow" });
    at(61, { leg: "primary" });
    expect(log.pairs).toHaveLength(1);
    expect(log.duplicates.map(({ leg }) => leg)).toEqual(["primary", "shadow", "primary"]);
    joiner.advance(1_000e6);
    expect(log.orphans).toEqual([]);
  });

  test("what comes two windows after the last of its request is a new request", () => {
    const { joiner, log, at } = setUp();
    at(1, { leg: "primary" });
    at(2, { leg: "shadow" });
    at(62, { leg: "primary" });
    expect(joiner.waitingCount).toBe(1);
    expect(log.duplicates).toEqual([]);
  });

  test("requests with an outcome are forgotten after two windows", () => {
    const { joiner, at } = setUp();
    for (let n = 0; n < 100; n += 1) {
      at(n, { leg: "primary", correlationId: correlationId(n) });
      at(n, { leg: "shadow", correlationId: correlationId(n) });
    }
    expect(joiner.rememberedCount).toBeLessThanOrEqual(61);
    expect(joiner.forgottenCount).toBe(0);
  });

  test("the table of requests with an outcome is bounded, and what it forgot is counted", () => {
    const { joiner, at } = setUp(undefined, { rememberedCountMax: 10 });
    for (let n = 0; n < 100; n += 1) {
      at(1, { leg: "primary", correlationId: correlationId(n) });
      at(1, { leg: "shadow", correlationId: correlationId(n) });
    }
    expect(joiner.rememberedCount).toBe(10);
    expect(joiner.forgottenCount).toBe(90);
  });
});

describe("what the configuration does not know", () => {
  test("an unknown experiment or leg is given back and waits for nothing", () => {
    const { joiner, log, at } = setUp();
    at(1, { experiment: "other" });
    at(1, { leg: "renamed" });
    at(1, { leg: "control" });
    expect(log.unexpectedOnes.map(({ reason }) => reason)).toEqual(["experiment", "leg", "leg"]);
    expect(joiner.waitingCount).toBe(0);
  });
});
