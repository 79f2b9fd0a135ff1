import type { Config } from "../../analyzer/config.ts";
import { parseConfig } from "../../analyzer/config.ts";
import type { JudgedPair, Outcomes } from "../../analyzer/divergence/outcomes.ts";
import { AnalyzerError } from "../../analyzer/errors.ts";
import { type CheckpointBucket, StaleRevision } from "../../analyzer/ingest/checkpoint.ts";
import type { OutcomesStore } from "../../analyzer/ingest/lane.ts";
import type { Pair } from "../../analyzer/join/pair.ts";
import { createLog } from "../../analyzer/log.ts";

export const silent = createLog({ LOG_LEVEL: process.env["TEST_LOG_LEVEL"] ?? "silent" });

/** Every pair whose statuses differ has one finding. */
export function judge(pair: Pair): JudgedPair {
  const { primary, shadow } = pair;
  return {
    pair,
    divergences:
      primary.status === shadow.status
        ? []
        : [
            {
              rule: "status",
              grade: "high",
              primary: String(primary.status),
              shadow: String(shadow.status),
              sentence: "the statuses differ",
            },
          ],
    noise: null,
  };
}

/** A configuration with one experiment, fraud, whose only shadow is shadow. Tests may go below the ranges of the file. */
export function testConfig(
  natsUrl: string,
  analyzer: Partial<Config["analyzer"]> = {},
  stream: Partial<Config["nats"]["stream"]> = {},
): Config {
  const text = `experiments:
  - name: fraud
    shadowTimeoutMs: 100
    primary: { cluster: fraud-primary, address: 127.0.0.1:9001 }
    shadows: [ { name: shadow, cluster: fraud-shadow, address: 127.0.0.1:9002 } ]
nats: { servers: ["${natsUrl}"] }
`;
  const config = parseConfig(text, { path: "shadowgraph.yaml", env: {} });
  return {
    ...config,
    analyzer: { ...config.analyzer, ...analyzer },
    nats: { ...config.nats, stream: { ...config.nats.stream, maxBytes: 268_435_456, ...stream } },
  };
}

/** Row keys of an outcome, so that two histories can be compared as sets. */
export function rowsOf(outcomes: Outcomes): string[] {
  const { pairs, orphans, ledgers, gaps, deadLetters, duplicates } = outcomes;
  return [
    ...pairs.map(
      ({ pair, divergences }) =>
        `pair ${pair.correlationId} ${pair.shadow.leg} ${pair.joinedAtUs} ${pair.primaryAttempts} ${divergences.length}`,
    ),
    ...orphans.map(
      (orphan) =>
        `orphan ${orphan.correlationId} ${orphan.observation.leg} ${orphan.missingLeg} ${orphan.reason} ${orphan.batchLost} ${orphan.closedAtUs}`,
    ),
    ...ledgers.map((ledger) => `ledger ${ledger.worker} ${ledger.number}`),
    ...gaps.map(
      (gap) => `gap ${gap.worker} ${gap.partition} ${gap.firstMissing}-${gap.lastMissing}`,
    ),
    ...deadLetters.map(
      (letter) => `dead ${letter.code} ${letter.sequence}:${letter.line} ${letter.message}`,
    ),
    ...duplicates.map(({ leg, count, atUs }) => `duplicate ${leg} ${count} ${atUs}`),
  ];
}

/**
 * Keeps what is written, as ClickHouse does: a token that is already there changes nothing. That the repeat would have
 * held the same rows is checked, not assumed.
 */
export class RecordingStore implements OutcomesStore {
  readonly writes: Outcomes[] = [];
  readonly contradictions: string[] = [];
  repeats = 0;
  attempts = 0;
  /** Set to be away. */
  isAway = false;
  /** Set to answer late, ms. */
  delayMs = 0;
  readonly #rows = new Map<string, string>();

  async write(outcomes: Outcomes): Promise<void> {
    this.attempts += 1;
    await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    if (this.isAway) throw new AnalyzerError("CLICKHOUSE_UNAVAILABLE", "the store is away");
    const rows = rowsOf(outcomes).join("\n");
    const before = this.#rows.get(outcomes.token);
    if (before === undefined) {
      this.#rows.set(outcomes.token, rows);
      this.writes.push(outcomes);
      return;
    }
    this.repeats += 1;
    if (before !== rows) {
      this.contradictions.push(`${outcomes.token}\nfirst:\n${before}\nthen:\n${rows}`);
    }
  }

  /** All rows, sorted. */
  get rows(): string[] {
    return this.writes.flatMap(rowsOf).sort();
  }

  get pairCount(): number {
    return this.writes.reduce((sum, { pairs }) => sum + pairs.length, 0);
  }

  get orphanCount(): number {
    return this.writes.reduce((sum, { orphans }) => sum + orphans.length, 0);
  }
}

/** A bucket in memory with the revisions of a real one. */
export class MemoryBucket implements CheckpointBucket {
  readonly values = new Map<string, { value: string; revision: number }>();
  #revision = 0;

  async get(key: string): Promise<{ value: string; revision: number } | null> {
    return this.values.get(key) ?? null;
  }

  async create(key: string, value: string): Promise<number> {
    if (this.values.has(key)) throw new StaleRevision("key exists");
    return this.#put(key, value);
  }

  async update(key: string, value: string, revision: number): Promise<number> {
    if (this.values.get(key)?.revision !== revision) throw new StaleRevision("wrong revision");
    return this.#put(key, value);
  }

  #put(key: string, value: string): number {
    this.#revision += 1;
    this.values.set(key, { value, revision: this.#revision });
    return this.#revision;
  }
}

/**
 * A process that dies at its `dieAt`-th step. Each call that leaves the process is two steps: before it takes effect and
 * after. From then on nothing that it does has an effect, and no answer reaches it, as after SIGKILL.
 */
export class Mortal {
  steps = 0;
  isDead = false;
  /** At which call it died. */
  epitaph = "";
  readonly died: Promise<void>;
  readonly #buried: Promise<never>;
  #die: () => void = () => undefined;
  #bury: (error: Error) => void = () => undefined;

  constructor(readonly dieAt: number) {
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
    this.#buried = new Promise((_, reject) => {
      this.#bury = reject;
    });
    this.#buried.catch(() => undefined);
  }

  /** Ends what waits for answers, so that the test can end; the calls still have no effect. */
  bury(): void {
    this.isDead = true;
    this.#bury(new Error("the process is dead"));
  }

  async call<T>(name: string, effect: () => Promise<T>): Promise<T> {
    await this.#step(`before ${name}`);
    const answer = await effect();
    await this.#step(`after ${name}`);
    return answer;
  }

  async #step(name: string): Promise<void> {
    if (!this.isDead && this.steps === this.dieAt) {
      this.isDead = true;
      this.epitaph = name;
      this.#die();
    }
    this.steps += 1;
    if (this.isDead) await this.#buried;
  }

  bucket(bucket: CheckpointBucket): CheckpointBucket {
    return {
      get: (key) => (this.isDead ? this.#buried : bucket.get(key)),
      create: (key, value) => this.call("create", () => bucket.create(key, value)),
      update: (key, value, revision) =>
        this.call(nameOf(value), () => bucket.update(key, value, revision)),
    };
  }

  store(store: OutcomesStore): OutcomesStore {
    return { write: (outcomes) => this.call("write", () => store.write(outcomes)) };
  }
}

function nameOf(value: string): string {
  return (JSON.parse(value) as { end: unknown }).end === null ? "done" : "intent";
}
