import type { Config } from "../../config.ts";
import type { HealthSnapshot } from "../../health.ts";
import type { AccountFacts } from "../../storage/queries.ts";
import { account } from "../accounting.ts";
import { type App, type Context, chooseRun, chooseShadow, findExperiment } from "../context.ts";
import { AccountingQuery, AccountingResponse, ExperimentParams } from "../schemas.ts";
import { answers } from "./common.ts";

/** Beyond the join window: time for a batch to reach the stream, and for clocks that differ a little. */
const SETTLE_MARGIN_MS = 5_000;
/** No ledger for so long and no goodbye: the worker has ended. */
const SILENT_AFTER_MS = 60_000;

const EMPTY: AccountFacts = {
  ledgers: [],
  ledgersLeftOff: false,
  paired: [],
  orphaned: [],
  primaryAlone: {},
  orphans: {},
  duplicates: 0,
  batchesLost: 0,
  deadLetters: 0,
};

export function accountingRoutes(app: App, { queries, config, health }: Context): void {
  app.get(
    "/api/v1/experiments/:experiment/accounting",
    {
      schema: {
        operationId: "getAccounting",
        summary: "Where every sampled request went: the filter's ledgers against the stored rows",
        description:
          "Always of a whole run: ledgers are cumulative. `published + ahead = received + absorbed + onTheWay + lost` on every leg; the parts of `flow` sum to `sampled + ahead`.",
        tags: ["results"],
        params: ExperimentParams,
        querystring: AccountingQuery,
        response: answers(AccountingResponse, { missing: true }),
      },
    },
    async ({ params, query }) => {
      const experiment = findExperiment(config, params.experiment);
      const { run, facts: runFacts } = await chooseRun(queries, experiment, query.run);
      const shadow = chooseShadow(experiment, runFacts, query.shadow);
      const scope = { experiment: experiment.name, run: run ?? "", shadow };
      const storedUs = storedUpTo(health.snapshot());
      const behindUs = (config.analyzer.joinWindowMs + SETTLE_MARGIN_MS) * 1000;
      const settledUs = storedUs === null ? null : Math.max(0, storedUs - behindUs);
      // In this order: a row that is stored meanwhile counts as received and not as younger than the old ledger, so a loss
      // may look smaller for a moment, never larger.
      const before =
        settledUs === null || run === null ? [] : await queries.ledgersBefore(scope, settledUs);
      const receivedAfter = await queries.receivedAfter(scope, before, storedUs ?? 0);
      const facts = run === null ? EMPTY : await queries.account(scope);
      return account({
        experiment: experiment.name,
        run,
        shadow,
        legs: legNames(experiment, facts, shadow),
        hasControl: experiment.control !== undefined,
        facts,
        settledUs,
        before,
        receivedAfter,
        nowUs: Date.now() * 1000,
        silentAfterUs: Math.max(SILENT_AFTER_MS, 3 * config.filter.ledgerIntervalMs) * 1000,
      });
    },
  );
}

/** The primary, the shadows, the control; and whatever else the run's ledgers speak of. */
function legNames(
  experiment: Config["experiments"][number],
  { ledgers, paired, orphaned }: AccountFacts,
  shadow: string,
): string[] {
  const names = new Set(["primary", shadow, ...experiment.shadows.map(({ name }) => name)]);
  for (const { legs } of ledgers) for (const { leg } of legs) names.add(leg);
  for (const { leg } of [...paired, ...orphaned]) names.add(leg);
  const control = names.delete("control") || experiment.control !== undefined;
  return [...names, ...(control ? ["control"] : [])];
}

/**
 * Stream time up to which everything is stored, µs; null when that cannot be said: a lane that somebody else reads, or none
 * yet.
 */
function storedUpTo({ lanes, waiting }: HealthSnapshot): number | null {
  if (lanes.length === 0 || lanes.some(({ owner }) => !owner)) return null;
  // A lane without any message so far has nothing to wait for.
  const marks = lanes.map(({ storedUs }) => storedUs).filter((us) => us > 0);
  if (marks.length === 0 || (marks.length < lanes.length && waiting > 0)) return null;
  return Math.min(...marks);
}
