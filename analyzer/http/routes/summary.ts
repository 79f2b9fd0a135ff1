import type { Figures, Quantiles, SummaryFacts } from "../../storage/queries.ts";
import {
  type App,
  type Context,
  chooseRange,
  chooseRun,
  chooseShadow,
  findExperiment,
} from "../context.ts";
import { toInstant } from "../instants.ts";
import {
  ExperimentParams,
  type RuleCount,
  type StatusCount,
  SummaryQuery,
  SummaryResponse,
} from "../schemas.ts";
import { answers } from "./common.ts";

export function summaryRoutes(app: App, { queries, config }: Context): void {
  app.get(
    "/api/v1/experiments/:experiment/summary",
    {
      schema: {
        operationId: "getSummary",
        summary: "How a shadow differs from the primary: by rule, route, status, latency and time",
        description:
          "From rollups: `from` is taken down and `to` up to a whole minute; the answer says which ones it used.",
        tags: ["results"],
        params: ExperimentParams,
        querystring: SummaryQuery,
        response: answers(SummaryResponse, { missing: true }),
      },
    },
    async ({ params, query }) => {
      const experiment = findExperiment(config, params.experiment);
      const { fromUs, toUs } = chooseRange(query);
      const { run, facts } = await chooseRun(queries, experiment, query.run);
      const shadow = chooseShadow(experiment, facts, query.shadow);
      const found = await queries.summary({
        experiment: experiment.name,
        // No run has an empty name, so this finds nothing, which is what there is.
        run: run ?? "",
        shadow,
        fromUs,
        toUs,
        route: query.route,
        method: query.method,
      });
      const minuteUs = 60e6;
      return {
        experiment: experiment.name,
        run,
        shadow,
        from: fromUs === undefined ? null : toInstant(Math.floor(fromUs / minuteUs) * minuteUs),
        to: toUs === undefined ? null : toInstant(Math.ceil(toUs / minuteUs) * minuteUs),
        ...presentFigures(found.total),
        rules: presentRules(found, null, found.total),
        statuses: presentStatuses(found, null),
        orphans: { ...found.orphans },
        duplicates: found.duplicates,
        routes: found.routes.map((one) => ({
          route: one.route,
          method: one.method,
          ...presentFigures(one),
          rules: presentRules(found, one, one),
          statuses: presentStatuses(found, one),
        })),
        routesLeftOff: found.routesLeftOff,
        coverage: {
          seen: found.seen,
          sampled: found.sampled,
          sampledPerSeen: share(found.sampled, found.seen),
          paired: found.pairedInRun,
          pairsPerSampled: share(found.pairedInRun, found.sampled),
        },
        minutes: found.minutes.map(({ atS, pairs, divergentPairs }) => ({
          minute: toInstant(atS * 1e6),
          pairs,
          divergentPairs,
        })),
        stepMinutes: found.stepMinutes,
        segments: [...found.segments],
      };
    },
  );
}

function presentFigures(figures: Figures) {
  const { controlPairs } = figures;
  const ratio = (quantiles: Quantiles, n: number) => ({ ...quantiles, n });
  return {
    pairs: figures.pairs,
    divergentPairs: figures.divergentPairs,
    divergenceRate: share(figures.divergentPairs, figures.pairs),
    bytesEqualPairs: figures.bytesEqualPairs,
    controlPairs,
    latencyRatio: ratio(figures.latencyRatio, figures.ratioPairs),
    controlLatencyRatio:
      controlPairs === 0 ? null : ratio(figures.controlLatencyRatio, figures.controlRatioPairs),
    primaryUs: { ...figures.primaryUs },
    shadowUs: { ...figures.shadowUs },
    controlUs: controlPairs === 0 ? null : { ...figures.controlUs },
  };
}

type Key = { readonly route: string | null; readonly method: string | null };

const ALL_ROUTES: Key = { route: null, method: null };

function isOf(key: Key | null): (one: Key) => boolean {
  const { route, method } = key ?? ALL_ROUTES;
  return (one) => one.route === route && one.method === method;
}

function presentRules(found: SummaryFacts, key: Key | null, figures: Figures): RuleCount[] {
  const { pairs, controlPairs } = figures;
  return found.rules.filter(isOf(key)).map((one) => ({
    rule: one.rule,
    grade: one.grade,
    pairs: one.pairs,
    // Each rule finds at most one thing in a pair.
    rate: shareOfEarlier(one.pairs, pairs) ?? 0,
    noisePairs: controlPairs === 0 ? null : one.noisePairs,
    noiseRate: shareOfEarlier(one.noisePairs, controlPairs),
  }));
}

function presentStatuses(found: SummaryFacts, key: Key | null): StatusCount[] {
  return found.statuses
    .filter(isOf(key))
    .map(({ primary, shadow, pairs }) => ({ primary, shadow, pairs }));
}

/** The whole was read from another table, perhaps a write earlier than the part: then a rule that always speaks is at 1. */
function shareOfEarlier(part: number, whole: number): number | null {
  const found = share(part, whole);
  return found === null ? null : Math.min(1, found);
}

/** Null without a whole. Not above 1 but for pairsPerSampled, whose two figures are of two moments. */
function share(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
