import type { ExperimentConfig } from "../../config.ts";
import type { RunFacts } from "../../storage/queries.ts";
import { type App, type Context, findExperiment, newestRun } from "../context.ts";
import { toInstantOrNull } from "../instants.ts";
import {
  ExperimentParams,
  ExperimentResponse,
  type ExperimentSummary,
  ExperimentsResponse,
  NoQuery,
} from "../schemas.ts";
import { answers } from "./common.ts";

export function experimentRoutes(app: App, { queries, config }: Context): void {
  app.get(
    "/api/v1/experiments",
    {
      schema: {
        operationId: "listExperiments",
        summary: "The configured experiments with the figures of their newest run",
        tags: ["experiments"],
        querystring: NoQuery,
        response: answers(ExperimentsResponse),
      },
    },
    async () => {
      const runs = await queries.runs(config.experiments.map(({ name }) => name));
      return {
        experiments: config.experiments.map((experiment) =>
          summarise(
            experiment,
            runs.filter((run) => run.experiment === experiment.name),
          ),
        ),
      };
    },
  );

  app.get(
    "/api/v1/experiments/:experiment",
    {
      schema: {
        operationId: "getExperiment",
        summary: "One experiment and its configuration",
        tags: ["experiments"],
        params: ExperimentParams,
        querystring: NoQuery,
        response: answers(ExperimentResponse, { missing: true }),
      },
    },
    async ({ params }) => {
      const experiment = findExperiment(config, params.experiment);
      const runs = await queries.runs([experiment.name]);
      const { hosts, pathPrefix, methods, header } = experiment.match;
      return {
        ...summarise(experiment, runs),
        config: {
          match: {
            hosts: [...(hosts ?? [])],
            pathPrefix: pathPrefix ?? null,
            methods: [...(methods ?? [])],
            header:
              header === undefined
                ? null
                : header.value === undefined
                  ? header.name
                  : `${header.name}: ${header.value}`,
          },
          requestBytesMax: experiment.requestBytesMax,
          segments: [...experiment.segments],
          latency: { ...experiment.latency },
          shadowTimeoutMs: experiment.shadowTimeoutMs,
          partitions: config.nats.partitions,
          joinWindowMs: config.analyzer.joinWindowMs,
        },
      };
    },
  );
}

function summarise(experiment: ExperimentConfig, runs: readonly RunFacts[]): ExperimentSummary {
  const newest = newestRun(experiment, runs);
  return {
    name: experiment.name,
    primary: experiment.primary.cluster,
    shadows: experiment.shadows.map(({ name, build }) => ({ name, build: build ?? null })),
    control: experiment.control !== undefined,
    sampleFraction: experiment.sampleFraction,
    run: newest?.run ?? null,
    runs: runs.length,
    pairs: newest?.pairs ?? 0,
    divergentPairs: newest?.divergentPairs ?? 0,
    orphans: newest?.orphans ?? 0,
    lastPairAt: toInstantOrNull(newest?.lastPairUs ?? null),
  };
}
