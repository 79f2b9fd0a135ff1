import { describe, expect, test } from "@jest/globals";
import { AnalyzerError } from "../../analyzer/errors.ts";
import {
  type Checkpoint,
  claimLane,
  decodeCheckpoint,
  encodeCheckpoint,
  type LaneLease,
  tokenOf,
} from "../../analyzer/ingest/checkpoint.ts";
import { requireVersion } from "../../analyzer/ingest/connection.ts";
import { Floor } from "../../analyzer/ingest/floor.ts";
import { BatchNumbers, EMPTY_MEMORY, MinuteReports } from "../../analyzer/ingest/memory.ts";
import { freshCheckpoint, resume } from "../../analyzer/ingest/resume.ts";
import { laneSubjects, type StreamState } from "../../analyzer/ingest/stream.ts";
import { createMetrics } from "../../analyzer/metrics.ts";
import { sleep } from "../support/wait.ts";
import { MemoryBucket, silent } from "./support.ts";

const STATE: StreamState = {
  identity: "2026-11-23T08:00:00Z",
  firstSequence: 1,
  lastSequence: 1_000,
  firstTimeUs: 1_000_000,
  serverTimeUs: 9_000_000,
};

describe("the NATS server's version", () => {
  test.each(["2.10.0", "2.15.1", "3.0.0", "2.11.0-preview.2"])("%s is enough", (version) => {
    expect(() => requireVersion(version)).not.toThrow();
  });

  test.each(["2.9.10", "1.4.1", "", "two"])(
    "%p is refused with what came and what was expected",
    (version) => {
      expect(() => requireVersion(version)).toThrow(/NATS server is .*, expected at least 2\.10/);
      expect(() => requireVersion(version)).toThrow(AnalyzerError);
    },
  );
});

describe("subjects of a lane", () => {
  test("one lane reads everything", () => {
    expect(laneSubjects(0, 1, 256)).toEqual(["shadow.v1.>"]);
  });

  test("several lanes divide all partitions that there can be, and the first has the ledgers", () => {
    const lanes = [0, 1, 2].map((lane) => laneSubjects(lane, 3, 256));
    const all = lanes.flat();
    expect(new Set(all).size).toBe(all.length);
    expect(all).toHaveLength(257);
    expect(lanes[0]).toContain("shadow.v1.*.ledger");
    expect(lanes[1]?.slice(0, 2)).toEqual(["shadow.v1.*.1", "shadow.v1.*.4"]);
  });
});

describe("the floor of a replay", () => {
  const window = 1_000;

  test("is the beginning until three windows have passed", () => {
    const floor = new Floor(window, 7);
    for (let i = 0; i < 30; i += 1) floor.note(7 + i, i * 100);
    expect(floor.sequence).toBe(7);
  });

  test("is never later than three windows before the newest message, and less than a quarter window earlier", () => {
    const floor = new Floor(window, 1);
    const times: number[] = [];
    for (let i = 0; i < 10_000; i += 1) {
      times.push(i * 7);
      floor.note(i + 1, i * 7);
      if (i > 1_000 && i % 97 !== 0) continue;
      const first = times.findIndex((time) => time > i * 7 - 3 * window);
      expect(floor.sequence).toBeLessThanOrEqual(first + 1);
      expect(i * 7 - (times[floor.sequence - 1] as number)).toBeLessThan(3.25 * window + 7);
    }
  });

  test("covers everything while the server's clock stands still or goes back", () => {
    const floor = new Floor(window, 1);
    floor.note(1, 0);
    floor.note(2, 10_000);
    // The lane's stream time does not fall: it stays at the largest.
    for (let i = 3; i < 100; i += 1) floor.note(i, 10_000);
    expect(floor.sequence).toBeLessThanOrEqual(2);
  });
});

describe("lost batches", () => {
  test("are the holes in a worker's numbers, however long it was silent", () => {
    const numbers = new BatchNumbers(EMPTY_MEMORY);
    expect(numbers.note("a", "fraud", 0, 1)).toBeNull();
    expect(numbers.note("a", "fraud", 0, 4)).toEqual({ firstMissing: 2, lastMissing: 3 });
    expect(numbers.note("a", "fraud", 1, 1)).toBeNull();
    expect(numbers.note("b", "fraud", 0, 1)).toBeNull();
  });

  test("in front of a worker's first batch count when the whole journal was read", () => {
    expect(new BatchNumbers(EMPTY_MEMORY).note("a", "fraud", 0, 3)).toEqual({
      firstMissing: 1,
      lastMissing: 2,
    });
    expect(
      new BatchNumbers({ ...EMPTY_MEMORY, complete: false }).note("a", "fraud", 0, 3),
    ).toBeNull();
  });

  test("are found as before after a restart", () => {
    const first = new BatchNumbers(EMPTY_MEMORY);
    first.note("a", "fraud", 0, 1);
    first.note("a", "fraud", 12, 5);
    const text = JSON.stringify({ ...EMPTY_MEMORY, ...first.snapshot() });
    const second = new BatchNumbers(JSON.parse(text));
    expect(second.note("a", "fraud", 0, 3)).toEqual({ firstMissing: 2, lastMissing: 2 });
    expect(second.note("a", "fraud", 12, 5)).toBe("repeat");
  });

  test("a table of workers that is full forgets the oldest and says so, and invents no losses", () => {
    const numbers = new BatchNumbers(EMPTY_MEMORY);
    for (let i = 0; i < 3_000; i += 1) numbers.note(i.toString(16), "fraud", 0, 1);
    expect(numbers.forgotten).toBe(3_000 - 2_048);
    expect(numbers.note("0", "fraud", 0, 9)).toBeNull();
    expect(JSON.stringify(numbers.snapshot()).length).toBeLessThan(1_000_000);
  });
});

describe("what is reported once a minute", () => {
  const minute = 60_000_000;

  test("comes with the number that was held back, also over a restart", () => {
    const first = new MinuteReports(EMPTY_MEMORY);
    expect(first.note("x", minute)).toBe(0);
    expect(first.note("x", minute + 1)).toBeNull();
    const second = new MinuteReports({ ...EMPTY_MEMORY, ...first.snapshot() });
    expect(second.note("x", minute + 2)).toBeNull();
    expect(second.note("x", 2 * minute)).toBe(2);
  });

  test("is bounded: names without end are reported together", () => {
    const reports = new MinuteReports(EMPTY_MEMORY);
    let said = 0;
    for (let i = 0; i < 1_000; i += 1) if (reports.note(`name-${i}`, minute) !== null) said += 1;
    expect(said).toBeLessThan(70);
  });
});

describe("where a lane goes on", () => {
  const checkpoint: Checkpoint = {
    ...freshCheckpoint(STATE, { lanes: 1, generation: 0 }),
    owner: "me",
    floor: 400,
    done: { sequence: 500, watermarkUs: 5_000_000 },
  };

  test("at its floor, when the stream is as it was", () => {
    expect(resume(checkpoint, STATE)).toEqual({ checkpoint, unread: 0, history: 0, trouble: "" });
  });

  test("behind what the limits removed, counted apart: unread is lost, history may make orphans", () => {
    expect(resume(checkpoint, { ...STATE, firstSequence: 450 })).toMatchObject({
      unread: 0,
      history: 50,
      checkpoint: { floor: 450, done: checkpoint.done },
    });
    expect(resume(checkpoint, { ...STATE, firstSequence: 601 })).toMatchObject({
      unread: 100,
      history: 101,
    });
  });

  test("at the beginning of a stream that was made anew, under other tokens", () => {
    const { checkpoint: next, trouble } = resume(checkpoint, { ...STATE, identity: "later" });
    expect(trouble).toContain("made anew");
    expect(next).toMatchObject({ stream: "later", floor: 1, done: { sequence: 0 }, owner: "me" });
    const end = { sequence: 10, watermarkUs: 1 };
    expect(tokenOf(next, 0, end)).not.toBe(tokenOf({ ...checkpoint, done: next.done }, 0, end));
  });

  test("at the beginning when a stream in memory began its numbers anew", () => {
    const { checkpoint: next } = resume(checkpoint, {
      ...STATE,
      lastSequence: 20,
      firstTimeUs: 6_000_000,
    });
    expect(next).toMatchObject({ generation: 1, floor: 1, done: { sequence: 0 } });
  });

  test("behind the last message when the server lost its newest ones, which were joined", () => {
    const { checkpoint: next } = resume(checkpoint, { ...STATE, lastSequence: 480 });
    expect(next).toMatchObject({ generation: 1, floor: 400, done: { sequence: 480 }, end: null });
  });
});

describe("a checkpoint", () => {
  test("reads back as it was written", () => {
    const checkpoint = freshCheckpoint(STATE, { lanes: 2, generation: 3 });
    expect(decodeCheckpoint(encodeCheckpoint(checkpoint))).toEqual(checkpoint);
  });

  test.each(["", "[]", "null", "{}", '{"version":2}'])(
    "%p is refused, never guessed at",
    (text) => {
      expect(() => decodeCheckpoint(text)).toThrow(AnalyzerError);
    },
  );
});

describe("a lease", () => {
  const never = new AbortController().signal;
  const first = async (): Promise<Checkpoint> =>
    freshCheckpoint(STATE, { lanes: 1, generation: 0 });

  function claim(
    bucket: MemoryBucket,
    owner: string,
    { leaseMs = 10_000, holdBackMs = 0, signal = never, lanes = 1 } = {},
  ): Promise<LaneLease | null> {
    return claimLane(
      {
        lane: 0,
        lanes,
        owner,
        leaseMs,
        holdBackMs: () => holdBackMs,
        noteAttempt: () => undefined,
      },
      { bucket, metrics: createMetrics(), log: silent, signal },
      first,
    );
  }

  async function owned(lease: Promise<LaneLease | null>): Promise<LaneLease> {
    const found = await lease;
    if (found === null) throw new Error("the lane was not claimed");
    return found;
  }

  test("goes to one of two that ask at the same time", async () => {
    const bucket = new MemoryBucket();
    const stop = new AbortController();
    const both = [
      claim(bucket, "one", { signal: stop.signal }),
      claim(bucket, "two", { signal: stop.signal }),
    ];
    const winner = await Promise.race(both);
    stop.abort();
    const leases = (await Promise.all(both)).filter((lease) => lease !== null);
    expect(leases).toEqual([winner]);
    await winner?.release();
  });

  test("that is let go is taken at once, with the checkpoint as it was", async () => {
    const bucket = new MemoryBucket();
    const one = await owned(claim(bucket, "one"));
    await one.save({ done: { sequence: 42, watermarkUs: 7 } });
    await one.release();
    const two = await owned(claim(bucket, "two"));
    expect(two.checkpoint).toMatchObject({ owner: "two", done: { sequence: 42, watermarkUs: 7 } });
    await two.release();
  });

  test("of an owner that renews it is not taken; of a silent one it is, and then the old owner can change nothing", async () => {
    const bucket = new MemoryBucket();
    let isSilent = false;
    const flaky = new MemoryBucket();
    flaky.get = (key) => bucket.get(key);
    flaky.create = (key, value) => bucket.create(key, value);
    // A process that hangs: what it sent arrives long after.
    flaky.update = async (key, value, revision) => {
      while (isSilent) await sleep(20);
      return bucket.update(key, value, revision);
    };
    const one = await owned(claim(flaky, "one", { leaseMs: 150 }));
    const claimed = claim(bucket, "two", { leaseMs: 150 });
    const early = await Promise.race([claimed, sleep(600).then(() => "still waiting")]);
    expect(early).toBe("still waiting");
    isSilent = true;
    const two = await owned(claimed);
    isSilent = false;
    expect(two.checkpoint.owner).toBe("two");
    await expect(one.save({})).rejects.toMatchObject({ code: "LEASE_LOST" });
    expect(two.lost.signal.aborted).toBe(false);
    await two.release();
  });

  test("that was lost refuses the next save of its former owner", async () => {
    const bucket = new MemoryBucket();
    const one = await owned(claim(bucket, "one"));
    const { value, revision } = (await bucket.get("lane.0")) as { value: string; revision: number };
    await bucket.update("lane.0", value.replace('"one"', '"two"'), revision);
    await expect(one.save({})).rejects.toMatchObject({ code: "LEASE_LOST" });
    expect(one.lost.signal.aborted).toBe(true);
    await expect(one.save({})).rejects.toMatchObject({ code: "LEASE_LOST" });
  });

  test("knows its own value again when the answer to a save got lost", async () => {
    const bucket = new MemoryBucket();
    const lossy = new MemoryBucket();
    let lose = false;
    lossy.get = (key) => bucket.get(key);
    lossy.create = (key, value) => bucket.create(key, value);
    lossy.update = async (key, value, revision) => {
      const answer = await bucket.update(key, value, revision);
      if (lose) throw new Error("timeout");
      return answer;
    };
    const one = await owned(claim(lossy, "one"));
    lose = true;
    await one.save({ done: { sequence: 5, watermarkUs: 5 } });
    lose = false;
    await one.save({ done: { sequence: 6, watermarkUs: 6 } });
    expect(one.checkpoint.done.sequence).toBe(6);
    expect(one.lost.signal.aborted).toBe(false);
    await one.release();
  });

  test("is left to others first by one that holds lanes already", async () => {
    const bucket = new MemoryBucket();
    const modest = claim(bucket, "has-lanes", {
      holdBackMs: 5_000,
      signal: AbortSignal.timeout(2_000),
    });
    const eager = await owned(claim(bucket, "has-none"));
    expect(await modest).toBeNull();
    await eager.release();
  });

  test("under another number of lanes is refused with both numbers", async () => {
    const bucket = new MemoryBucket();
    const one = await owned(claim(bucket, "one"));
    await one.release();
    await expect(claim(bucket, "two", { lanes: 4 })).rejects.toThrow(
      /one of 1 lanes, configured is analyzer.lanes 4/,
    );
  });
});
