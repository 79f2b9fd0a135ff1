import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Joiner } from "../../analyzer/join/joiner.ts";
import type { Observation } from "../../analyzer/observation/observation.ts";
import { JoinLog } from "../support/join-log.ts";
import { correlationId, observation, unanswered } from "../support/observation.ts";

// fast-check prints seed and path of a failing case; this line prints the seed of each run of the file.
const seed = Date.now() & 0x7fffffff;
const runs = { seed, numRuns: 300 };
console.log(`joiner properties: seed ${seed}`);

const WINDOW_US = 1_000;
const LEGS = { shadows: ["a", "b"], control: "control" };

function setUp(pendingCountMax = 1_000) {
  const log = new JoinLog();
  const joiner = new Joiner({ windowUs: WINDOW_US, pendingCountMax, legsOf: () => LEGS }, log);
  return { log, joiner };
}

/** The observations of one request as the filter may make them: any legs, at most one final attempt, the last. */
const requestArbitrary = fc
  .record({
    attempts: fc.integer({ min: 0, max: 3 }),
    lastIsFinal: fc.boolean(),
    answered: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    mirrored: fc.subarray(["a", "b", "control"]),
    run: fc.constantFrom("run1", "run2"),
  })
  .map(({ attempts, lastIsFinal, answered, mirrored, run }) => (n: number): Observation[] => {
    const id = correlationId(n);
    const legs = mirrored.map((leg) => observation({ correlationId: id, leg }));
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const final = lastIsFinal && attempt === attempts;
      const changes = { correlationId: id, attempt, final, run };
      legs.push(answered[attempt - 1] ? observation(changes) : unanswered(changes));
    }
    return legs;
  });

const requestsArbitrary = fc
  .array(requestArbitrary, { minLength: 1, maxLength: 8 })
  .map((requests) => requests.flatMap((request, n) => request(n)));

/** Offers all of them inside one window and lets it end. */
function join(observations: readonly Observation[], pendingCountMax?: number) {
  const { log, joiner } = setUp(pendingCountMax);
  observations.forEach((one, i) => {
    const watermarkUs = 10_000 + Math.floor((i * (WINDOW_US - 1)) / observations.length);
    joiner.offer(one, { sequence: i + 1, watermarkUs });
  });
  joiner.advance(10_000 + 3 * WINDOW_US);
  expect(joiner.waitingCount).toBe(0);
  return { log, joiner };
}

describe("order of arrival", () => {
  test("any permutation of the halves within the window gives the identical pairs and orphans", () => {
    fc.assert(
      fc.property(
        requestsArbitrary.chain((all) =>
          fc.tuple(
            fc.constant(all),
            fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
          ),
        ),
        ([inOrder, shuffled]) => {
          expect(join(shuffled).log.resultSet()).toEqual(join(inOrder).log.resultSet());
        },
      ),
      runs,
    );
  });

  test("any duplication of the halves gives the identical pairs and orphans, and each repeat is counted", () => {
    fc.assert(
      fc.property(
        requestsArbitrary.chain((all) =>
          fc.tuple(
            fc.constant(all),
            fc.subarray(all).chain((again) => {
              const more = [...all, ...again, ...again];
              return fc.shuffledSubarray(more, { minLength: more.length, maxLength: more.length });
            }),
          ),
        ),
        ([once, repeated]) => {
          const { log } = join(repeated);
          expect(log.resultSet()).toEqual(join(once).log.resultSet());
          expect(log.duplicates).toHaveLength(repeated.length - once.length);
        },
      ),
      runs,
    );
  });
});

describe("conservation", () => {
  test("each request's primary ends once for each shadow, each mirrored leg once, and nothing is lost", () => {
    fc.assert(
      fc.property(requestsArbitrary, fc.integer({ min: 1, max: 6 }), (all, pendingCountMax) => {
        const { log, joiner } = join(all, pendingCountMax);
        const inRows = new Set<Observation>();
        for (const { primary, shadow, control } of log.pairs) {
          inRows.add(primary).add(shadow);
          if (control !== null) inRows.add(control);
        }
        const evicted = joiner.counts.orphans.evicted + joiner.counts.orphans.late > 0;
        for (const orphan of log.orphans) inRows.add(orphan.observation);
        expect(inRows.size + joiner.counts.absorbed).toBe(all.length);

        if (evicted) return;
        const ids = new Set(all.map((one) => one.correlationId));
        for (const id of ids) {
          const legs = new Set(all.filter((one) => one.correlationId === id).map((one) => one.leg));
          for (const shadow of LEGS.shadows) {
            const pairs = log.pairs.filter(
              (p) => p.correlationId === id && p.shadow.leg === shadow,
            );
            const orphans = log.orphans.filter(
              (o) =>
                o.correlationId === id && (o.missingLeg === shadow || o.observation.leg === shadow),
            );
            const expected = legs.has("primary") || legs.has(shadow) ? 1 : 0;
            expect(pairs.length + orphans.length).toBe(expected);
          }
        }
      }),
      runs,
    );
  });
});

/** A stream as hostile as it may be: few ids that come again and again, any legs and attempts, holes in the numbers. */
const streamArbitrary = fc.array(
  fc.record({
    waitUs: fc.oneof(
      fc.integer({ min: 0, max: 200 }),
      fc.constantFrom(0, 1, 499, 500, 999, 1_000, 1_001, 1_999, 2_000, 2_001, 5_000),
    ),
    numberStep: fc.constantFrom(1, 1, 1, 0, -1, 2, 5),
    worker: fc.constantFrom("0000000000000001", "0000000000000002"),
    idle: fc.boolean(),
    halves: fc.array(
      fc.record({
        n: fc.integer({ min: 0, max: 6 }),
        leg: fc.constantFrom("primary", "primary", "a", "b", "control", "unknown"),
        attempt: fc.integer({ min: 1, max: 3 }),
        final: fc.boolean(),
        status: fc.constantFrom(0, 200),
      }),
      { maxLength: 4 },
    ),
  }),
  { minLength: 1, maxLength: 60 },
);

interface Message {
  readonly sequence: number;
  readonly timeUs: number;
  readonly worker: string;
  readonly number: number;
  /** Stream time moves on without a message behind it, up to here. */
  readonly idleUntilUs: number;
  readonly halves: readonly Observation[];
}

function toMessages(stream: readonly StreamStep[]): Message[] {
  let timeUs = 100_000;
  const numbers = new Map<string, number>();
  const times: number[] = [];
  for (const { waitUs } of stream) {
    timeUs += waitUs;
    times.push(timeUs);
  }
  return stream.map(({ numberStep, worker, idle, halves }, i) => {
    const number = Math.max(1, (numbers.get(worker) ?? 5) + numberStep);
    numbers.set(worker, number);
    const now = times[i] as number;
    const next = times[i + 1] ?? now + 10_000;
    return {
      sequence: i + 1,
      timeUs: now,
      worker,
      number,
      idleUntilUs: idle ? next : now,
      halves: halves.map(({ n, leg, attempt, final, status }) =>
        observation({ correlationId: correlationId(n), leg, attempt, final, status, worker }),
      ),
    };
  });
}
type StreamStep = typeof streamArbitrary extends fc.Arbitrary<(infer S)[]> ? S : never;

/** Reads the messages and answers what was found behind `cut`, gaps included. */
function readStream(
  messages: readonly Message[],
  cut: number,
  pendingCountMax: number,
): { behindCut: string[]; waitingAtCut: number; oldestAtCut: number | null } {
  const { log, joiner } = setUp(pendingCountMax);
  let atCut = 0;
  let waitingAtCut = joiner.waitingCount;
  let oldestAtCut = joiner.oldestUs;
  let watermarkUs = 0;
  for (const message of messages) {
    watermarkUs = Math.max(watermarkUs, message.timeUs);
    const position = { sequence: message.sequence, watermarkUs };
    const gap = joiner.noteBatch(
      { experiment: "fraud", worker: message.worker, partition: 0, number: message.number },
      position,
    );
    if (gap !== null) {
      log.lines.push(`gap ${gap.worker} ${gap.firstMissing}-${gap.lastMissing} ${gap.seenAtUs}`);
    }
    for (const half of message.halves) joiner.offer(half, position);
    joiner.advance(message.idleUntilUs);
    if (message.sequence <= cut) {
      atCut = log.lines.length;
      waitingAtCut = joiner.waitingCount;
      oldestAtCut = joiner.oldestUs;
    }
  }
  joiner.advance(watermarkUs + 100 * WINDOW_US);
  return { behindCut: log.lines.slice(atCut), waitingAtCut, oldestAtCut };
}

describe("replay", () => {
  test("a replay from three windows back finds exactly what the first reading found, with times, order, gaps and evictions", () => {
    fc.assert(
      fc.property(
        streamArbitrary,
        fc.nat(),
        fc.nat(),
        fc.constantFrom(1, 2, 3, 1_000),
        (stream, cutSeed, floorSeed, pendingCountMax) => {
          const messages = toMessages(stream);
          const cut = 1 + (cutSeed % messages.length);
          // Done up to here, so the state that must come back is the one at this stream time.
          const doneUs = (messages[cut - 1] as Message).idleUntilUs;
          const newest = messages.findIndex(({ timeUs }) => timeUs > doneUs - 3 * WINDOW_US);
          const floor = newest < 0 ? cut : floorSeed % (newest + 1);

          const whole = readStream(messages, cut, pendingCountMax);
          const replayed = readStream(messages.slice(floor), cut, pendingCountMax);
          expect(replayed).toEqual(whole);
        },
      ),
      { ...runs, numRuns: 2_000 },
    );
  });
});
