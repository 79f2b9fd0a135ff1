import type { AccountFacts, LedgerFacts, ReceivedFacts } from "../storage/queries.ts";
import { toInstant, toInstantOrNull } from "./instants.ts";
import type {
  AccountingResponse,
  FLOW_NAMES,
  FlowItem,
  LegAccount,
  WorkerAccount,
} from "./schemas.ts";

/**
 * Where every sampled request went, from two sides that know nothing of each other: the filter's ledgers (cumulative, a few
 * seconds old) and the stored rows (complete up to the join window). What both say must fit:
 *
 * - a leg's attempts = running + ended; ended = published + dropped + waiting (all by one ledger, so exact)
 * - published + ahead = received + absorbed + onTheWay + lost
 * - sampled + ahead = the parts of `flow`
 *
 * The second one compares two moments. A difference is **lost** only when it is certain: when a ledger is so old that the
 * window of all that it counted has closed, and rows of that time still lack. Anything younger is **on the way**, and rows
 * that are newer than the ledger are **ahead** of it. So `lost` is never too high, and exact once traffic rests.
 */
export interface AccountInput {
  readonly experiment: string;
  readonly run: string | null;
  readonly shadow: string;
  /** All legs of the experiment in order: primary, shadows, control. */
  readonly legs: readonly string[];
  readonly hasControl: boolean;
  readonly facts: AccountFacts;
  /** Null: this analyzer does not know up to when windows are closed. */
  readonly settledUs: number | null;
  /** For workers whose newest ledger is not settled: their newest one that is. */
  readonly before: readonly LedgerFacts[];
  /** Records in rows that ended after the clock of that ledger in `before`. */
  readonly receivedAfter: readonly ReceivedFacts[];
  readonly nowUs: number;
  /** A worker without a ledger for so long has ended. */
  readonly silentAfterUs: number;
}

/** Workers shown. */
const WORKERS_SHOWN_MAX = 500;

interface WorkerLeg {
  requests: number;
  attempts: number;
  ended: number;
  endings: Readonly<Record<string, number>>;
  published: number;
  dropped: Readonly<Record<string, number>>;
  droppedCount: number;
}

const NO_LEG: WorkerLeg = {
  requests: 0,
  attempts: 0,
  ended: 0,
  endings: {},
  published: 0,
  dropped: {},
  droppedCount: 0,
};

export function account(input: AccountInput): AccountingResponse {
  const { facts, shadow } = input;
  const { ledgers } = facts;
  const books = new Books(input);
  const legs = input.legs.map((leg) => books.leg(leg));

  const requests = {
    seen: sum(ledgers, ({ seen }) => seen),
    sampled: sum(ledgers, ({ sampled }) => sampled),
    unreached: sum(ledgers, ({ unreached }) => unreached),
    unsampled: addUp(ledgers.map(({ unsampled }) => unsampled)),
  };
  for (const { worker, seen, sampled, unsampled } of ledgers) {
    const difference = Math.abs(seen - sampled - total(unsampled));
    if (difference > 0) {
      books.explainNot(
        difference,
        `the ledger of worker ${worker} does not add up: it saw ${count(seen)} requests, sampled ${count(sampled)} and left out ${count(total(unsampled))}`,
      );
    }
  }

  const flow = books.flow(legs, requests);
  const primaryLeg = legs[0] as LegAccount;
  const shadowLeg = legs.find(({ leg }) => leg === shadow);
  const paired = books.pairedRequests(shadow);
  const controlPaired = books.pairedRequests("control");
  const waiting = flow.items
    .filter(({ name }) => name === "running" || name === "under-way")
    .reduce((n, item) => n + item.requests, 0);

  const lost = legs.reduce((n, leg) => n + leg.lost, 0);
  if (lost > 0) books.judgeLost(lost);
  if (facts.ledgersLeftOff) {
    books.remark(
      "there are more workers than are read: the oldest ledgers are not in these figures",
    );
  }
  books.remarkWorkers();
  const droppedCount = total(primaryLeg.dropped) + total(shadowLeg?.dropped ?? {});
  if (droppedCount > 0) {
    books.remark(
      `the filter dropped ${plural(droppedCount, "record")} of the primary and this shadow: its outbox or its tables were full, or a record was too large`,
    );
  }
  if (facts.batchesLost > 0) {
    books.remark(
      `${plural(facts.batchesLost, "batch", "batches")} never came, although NATS took them or the filter gave them up`,
    );
  }
  const failed = sum(ledgers, ({ batches }) => batches.failed);
  if (failed > 0) {
    books.remark(`the filter gave up ${plural(failed, "batch", "batches")} that NATS did not take`);
  }
  if (facts.deadLetters > 0) {
    books.remark(
      `${plural(facts.deadLetters, "message or line", "messages or lines")} of this experiment could not be read: see the dead letters`,
    );
  }

  return {
    experiment: input.experiment,
    run: input.run,
    shadow,
    ledgerAt: toInstantOrNull(
      ledgers.length === 0 ? null : Math.max(...ledgers.map(({ clockUs }) => clockUs)),
    ),
    settledAt: toInstantOrNull(input.settledUs),
    requests,
    legs,
    joined: {
      paired,
      orphans: { ...facts.orphans },
      controlMissing: input.hasControl ? Math.max(0, paired - controlPaired) : 0,
      waiting,
      duplicates: facts.duplicates,
    },
    flow: flow.items,
    ahead: flow.ahead,
    batches: {
      sent: sum(ledgers, ({ batches }) => batches.sent),
      retried: sum(ledgers, ({ batches }) => batches.retried),
      failed,
      lost: facts.batchesLost,
    },
    deadLetters: facts.deadLetters,
    workers: books.workers().slice(0, WORKERS_SHOWN_MAX),
    balanced: books.unexplained === 0,
    unexplained: books.unexplained,
    reasons: books.reasons,
    sentence: sentence({ requests, paired, flow, unexplained: books.unexplained, input }),
  };
}

class Books {
  unexplained = 0;
  readonly reasons: string[] = [];
  readonly #input: AccountInput;
  readonly #ledgers: ReadonlyMap<string, LedgerFacts>;
  readonly #before: ReadonlyMap<string, LedgerFacts>;
  readonly #workers: readonly string[];
  /** By leg and worker. */
  readonly #received = new Map<string, ReceivedFacts>();
  readonly #receivedAfter: ReadonlyMap<string, ReceivedFacts>;
  /** Controls that may have come beside a primary without its shadow, still to be given to workers. */
  #absorbable: number;

  constructor(input: AccountInput) {
    this.#input = input;
    const { facts } = input;
    this.#ledgers = new Map(facts.ledgers.map((ledger) => [ledger.worker, ledger]));
    this.#before = new Map(input.before.map((ledger) => [ledger.worker, ledger]));
    this.#receivedAfter = new Map(
      input.receivedAfter.map((one) => [key(one.leg, one.worker), one]),
    );
    for (const one of [...facts.paired, ...facts.orphaned]) {
      const at = key(one.leg, one.worker);
      const held = this.#received.get(at);
      this.#received.set(at, {
        ...one,
        requests: one.requests + (held?.requests ?? 0),
        records: one.records + (held?.records ?? 0),
      });
    }
    this.#workers = [
      ...new Set([
        ...facts.ledgers.map(({ worker }) => worker),
        ...[...this.#received.values()].map(({ worker }) => worker),
      ]),
    ];
    this.#absorbable = total(facts.primaryAlone);
  }

  remark(reason: string): void {
    this.reasons.push(reason);
  }

  explainNot(records: number, reason: string): void {
    this.unexplained += records;
    this.reasons.push(reason);
  }

  leg(leg: string): LegAccount {
    const sums = {
      requests: 0,
      attempts: 0,
      running: 0,
      ended: 0,
      published: 0,
      waiting: 0,
      received: 0,
      absorbed: 0,
      onTheWay: 0,
      ahead: 0,
      lost: 0,
    };
    const endings: Readonly<Record<string, number>>[] = [];
    const dropped: Readonly<Record<string, number>>[] = [];
    for (const worker of this.#workers) {
      const ledger = this.#ledgers.get(worker);
      const own = workerLeg(ledger, leg);
      const received = this.#received.get(key(leg, worker))?.records ?? 0;
      const running = this.#residue(
        own.attempts - own.ended,
        worker,
        `more ${leg} legs ended than began`,
      );
      const waiting = this.#residue(
        own.ended - own.published - own.droppedCount,
        worker,
        `more ${leg} records were published and dropped than legs ended`,
      );
      const absorbed = this.#absorb(leg, own.published - received);
      const lost = this.#lost(leg, worker, received + absorbed);
      const balance = own.published - received - absorbed - lost;
      const ahead = Math.max(0, -balance);
      if (ledger?.final === true && ahead > running + waiting) {
        this.explainNot(
          ahead - running - waiting,
          `${plural(ahead - running - waiting, `${leg} record`)} of worker ${worker} came that its closing ledger does not know`,
        );
      }
      endings.push(own.endings);
      dropped.push(own.dropped);
      sums.requests += own.requests;
      sums.attempts += own.attempts;
      sums.running += running;
      sums.ended += own.ended;
      sums.published += own.published;
      sums.waiting += waiting;
      sums.received += received;
      sums.absorbed += absorbed;
      sums.onTheWay += Math.max(0, balance);
      sums.ahead += ahead;
      sums.lost += lost;
    }
    return { leg, ...sums, endings: addUp(endings), dropped: addUp(dropped) };
  }

  /** What is left over must not be negative: within one ledger nothing can overtake. */
  #residue(value: number, worker: string, what: string): number {
    if (value >= 0) return value;
    this.explainNot(
      -value,
      `the ledger of worker ${worker} does not add up: ${what} (by ${count(-value)})`,
    );
    return 0;
  }

  #absorb(leg: string, missing: number): number {
    if (leg !== "control") return 0;
    const absorbed = Math.max(0, Math.min(missing, this.#absorbable));
    this.#absorbable -= absorbed;
    return absorbed;
  }

  #lost(leg: string, worker: string, received: number): number {
    const { settledUs } = this.#input;
    const newest = this.#ledgers.get(worker);
    if (settledUs === null || newest === undefined) return 0;
    if (newest.clockUs <= settledUs) {
      return Math.max(0, workerLeg(newest, leg).published - received);
    }
    const before = this.#before.get(worker);
    if (before === undefined) return 0;
    const after = this.#receivedAfter.get(key(leg, worker))?.records ?? 0;
    return Math.max(0, workerLeg(before, leg).published - Math.max(0, received - after));
  }

  pairedRequests(leg: string): number {
    return this.#input.facts.paired
      .filter((one) => one.leg === leg)
      .reduce((n, { requests }) => n + requests, 0);
  }

  /** Requests in place of records. The primary decides: what became of it became of the request. */
  flow(
    legs: readonly LegAccount[],
    requests: AccountingResponse["requests"],
  ): { items: FlowItem[]; ahead: number } {
    const { facts, shadow } = this.#input;
    const primary = legs[0] as LegAccount;
    const alone = (reason: string): number => facts.primaryAlone[reason] ?? 0;
    const paired = this.pairedRequests(shadow);
    const known = paired + total(facts.primaryAlone);
    const begun = requests.sampled - requests.unreached - primary.requests;
    if (begun < 0) {
      this.explainNot(
        -begun,
        `the ledgers know ${plural(-begun, "primary request")} more than were sampled and reached`,
      );
    }
    // What has no row is filled up with the reasons that are known, the certain ones first.
    let left = primary.requests - known;
    const ahead = Math.max(0, -left) + Math.max(0, -begun);
    left = Math.max(0, left);
    const take = (most: number): number => {
      const taken = Math.min(left, most);
      left -= taken;
      return taken;
    };
    const dropped = take(total(primary.dropped));
    const lost = take(primary.lost);
    const running = Math.max(0, begun) + take(primary.running);
    const other = total(facts.primaryAlone) - alone("shadow-missing") - alone("evicted");
    const item = (name: (typeof FLOW_NAMES)[number], n: number, text: string): FlowItem => ({
      name,
      requests: n,
      sentence: text,
    });
    return {
      ahead,
      items: [
        item("paired", paired, "seen on the primary and on the shadow"),
        item(
          "shadow-missing",
          alone("shadow-missing"),
          "seen on the primary only: the shadow refused it, it was never mirrored, or the shadow's record was dropped or lost",
        ),
        item("late", other, "its primary came after the window had closed"),
        item("evicted", alone("evicted"), "given up because too many requests were waiting"),
        item("unreached", requests.unreached, "ended before the primary was reached"),
        item("running", running, "had not ended when the filter last reported"),
        item("dropped", dropped, "its primary record was given up by the filter"),
        item("lost", lost, "its primary record was sent and never came"),
        item("under-way", left, "in the filter, in the stream or inside the join window"),
      ],
    };
  }

  judgeLost(records: number): void {
    const { batchesLost, deadLetters } = this.#input.facts;
    const text = `${plural(records, "record")} that NATS took ${records === 1 ? "is" : "are"} in no row`;
    if (batchesLost > 0) this.remark(`${text}: they may have been in the batches that never came`);
    else if (deadLetters > 0) this.remark(`${text}: they may be among the dead letters`);
    else this.explainNot(records, `${text}, and no gap in the batches' numbers says why`);
  }

  remarkWorkers(): void {
    for (const { worker, state } of this.workers()) {
      if (state !== "silent" && state !== "unknown") continue;
      const ledger = this.#ledgers.get(worker);
      let after = 0;
      let open = 0;
      for (const leg of this.#input.legs) {
        const own = workerLeg(ledger, leg);
        const received = this.#received.get(key(leg, worker))?.records ?? 0;
        after += Math.max(0, received - own.published);
        open += Math.max(0, own.attempts - own.droppedCount - Math.max(own.published, received));
      }
      if (this.reasons.length >= WORKERS_SHOWN_MAX) return;
      const known = after === 0 ? "" : `; ${plural(after, "record")} came after its last one`;
      const maybe = open === 0 ? "" : `; up to ${plural(open, "record")} ended with it`;
      this.remark(
        state === "unknown"
          ? `worker ${worker} never sent a ledger: ${plural(after, "record")} of it came, and what it did not send is not known`
          : `worker ${worker} stopped without a closing ledger${known}${maybe}; what it saw afterwards is not known`,
      );
    }
  }

  workers(): WorkerAccount[] {
    const { nowUs, silentAfterUs } = this.#input;
    return this.#workers.map((worker) => {
      const ledger = this.#ledgers.get(worker);
      if (ledger === undefined) {
        return { worker, lastClockAt: null, final: false, state: "unknown" };
      }
      const silent = nowUs - ledger.clockUs > silentAfterUs;
      return {
        worker,
        lastClockAt: toInstant(ledger.clockUs),
        final: ledger.final,
        state: ledger.final ? "closed" : silent ? "silent" : "live",
      };
    });
  }
}

function sentence({
  requests,
  paired,
  flow,
  unexplained,
  input,
}: {
  requests: AccountingResponse["requests"];
  paired: number;
  flow: { items: readonly FlowItem[]; ahead: number };
  unexplained: number;
  input: AccountInput;
}): string {
  const { ledgers } = input.facts;
  const rows = paired + total(input.facts.orphans);
  if (ledgers.length === 0) {
    return rows === 0
      ? "Nothing has come yet: no filter has sent a ledger and there are no rows."
      : `${plural(paired, "request")} paired, but no filter has sent a ledger yet: how many were sampled is not known.`;
  }
  if (requests.seen === 0)
    return "The filter runs and has not seen a request of this experiment yet.";
  const parts = flow.items
    .filter((item) => item.requests > 0)
    .map((item) => `${count(item.requests)} ${WORDS[item.name] ?? item.name}`);
  const where = parts.length === 0 ? "none went anywhere" : parts.join(", ");
  const newer =
    flow.ahead === 0
      ? ""
      : ` (and ${plural(flow.ahead, "request")} newer than the filter's last report)`;
  const end =
    unexplained === 0
      ? "Everything is accounted for."
      : `${plural(unexplained, "record")} cannot be explained.`;
  return `Of ${plural(requests.seen, "request")} seen, ${count(requests.sampled)} ${requests.sampled === 1 ? "was" : "were"} sampled${newer}: ${where}. ${end}`;
}

const WORDS: Readonly<Record<string, string>> = {
  paired: "paired",
  "shadow-missing": "without the shadow",
  late: "with a late primary",
  evicted: "given up waiting",
  unreached: "that never reached the primary",
  running: "still running",
  dropped: "dropped by the filter",
  lost: "lost on the way",
  "under-way": "on their way",
};

const key = (leg: string, worker: string): string => `${leg}\n${worker}`;

function workerLeg(ledger: LedgerFacts | undefined, leg: string): WorkerLeg {
  const found = ledger?.legs.find((one) => one.leg === leg);
  if (found === undefined) return NO_LEG;
  return { ...found, ended: total(found.endings), droppedCount: total(found.dropped) };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((n, item) => n + of(item), 0);
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((n, one) => n + one, 0);
}

function addUp(list: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const counts of list) {
    for (const [name, n] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + n;
  }
  return sums;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
