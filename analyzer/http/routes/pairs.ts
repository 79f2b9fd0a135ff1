import {
  type App,
  type Context,
  chooseRange,
  chooseRun,
  chooseShadow,
  findExperiment,
} from "../context.ts";
import { decodeCursor, encodeCursor, UUID } from "../cursor.ts";
import { presentPair } from "../present.ts";
import { RequestError, shown } from "../problems.ts";
import {
  ExperimentParams,
  PairParams,
  PairQuery,
  PairResponse,
  PairsQuery,
  PairsResponse,
} from "../schemas.ts";
import { answers } from "./common.ts";

export function pairRoutes(app: App, { queries, config }: Context): void {
  app.get(
    "/api/v1/experiments/:experiment/pairs",
    {
      schema: {
        operationId: "listPairs",
        summary: "Pairs, the newest first",
        tags: ["results"],
        params: ExperimentParams,
        querystring: PairsQuery,
        response: answers(PairsResponse, { missing: true }),
      },
    },
    async ({ params, query }) => {
      const experiment = findExperiment(config, params.experiment);
      const range = chooseRange(query);
      const after = query.cursor === undefined ? undefined : pairCursor(query.cursor);
      const { run, facts } = await chooseRun(queries, experiment, query.run);
      const shadow = chooseShadow(experiment, facts, query.shadow);
      const limit = query.limit ?? 50;
      const scope = { experiment: experiment.name, run, shadow };
      if (run === null) return { ...scope, pairs: [], nextCursor: null };
      const found = await queries.pairs({
        ...scope,
        run,
        ...range,
        route: query.route,
        method: query.method,
        divergent: query.divergent,
        rule: query.rule,
        after,
        // One more says whether there is a next page.
        limit: limit + 1,
      });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        ...scope,
        pairs: page.map(presentPair),
        nextCursor:
          found.length > limit && last !== undefined
            ? encodeCursor("pairs", [last.joinedUs, last.correlationId])
            : null,
      };
    },
  );

  app.get(
    "/api/v1/experiments/:experiment/pairs/:correlationId",
    {
      schema: {
        operationId: "getPair",
        summary: "One pair with everything that is known of it",
        tags: ["results"],
        params: PairParams,
        querystring: PairQuery,
        response: answers(PairResponse, { missing: true }),
      },
    },
    async ({ params, query }) => {
      const experiment = findExperiment(config, params.experiment);
      const correlationId = params.correlationId.toLowerCase();
      if (!UUID.test(correlationId)) {
        throw new RequestError(
          "PARAMETER_INVALID",
          `correlationId is ${shown(params.correlationId)}, expected a UUID`,
          { parameter: "correlationId" },
        );
      }
      const found = await queries.pair({ experiment: experiment.name, correlationId });
      const first = experiment.shadows.map(({ name }) => name);
      const pair =
        query.shadow === undefined
          ? (found.find(({ shadowName }) => shadowName === first[0]) ?? found[0])
          : found.find(({ shadowName }) => shadowName === query.shadow);
      if (pair === undefined) {
        const shadows = [...new Set(found.map(({ shadowName }) => shadowName))];
        throw new RequestError(
          "NOT_FOUND",
          shadows.length === 0
            ? `experiment ${experiment.name} has no pair ${correlationId}: it may be an orphan, not joined yet, or older than ${config.retention.pairsDays} days`
            : `pair ${correlationId} has no shadow ${shown(query.shadow)}, expected one of ${shadows.join(", ")}`,
          shadows.length === 0
            ? { parameter: "correlationId" }
            : { parameter: "shadow", known: shadows },
        );
      }
      return {
        experiment: experiment.name,
        ...presentPair(pair),
        params: [...pair.params],
        worker: pair.worker,
        requestContentType: pair.requestContentType,
        bytesEqualControl: pair.controlBytesEqual,
        requestBytesEqual: pair.requestBytesEqual,
        noise: pair.control === null ? null : [...pair.noise],
        chunks: {
          primary: pair.primary.chunks,
          shadow: pair.shadow.chunks,
          primaryGapUsMax: pair.primary.chunkGapMaxUs,
          shadowGapUsMax: pair.shadow.chunkGapMaxUs,
        },
        cut: [...pair.cut],
      };
    },
  );
}

function pairCursor(cursor: string) {
  const [joinedUs, correlationId] = decodeCursor(cursor, "pairs", ["number", "uuid"]);
  return { joinedUs: joinedUs as number, correlationId: correlationId as string };
}
