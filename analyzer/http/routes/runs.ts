import { type App, type Context, findExperiment } from "../context.ts";
import { toInstantOrNull } from "../instants.ts";
import { ExperimentParams, NoQuery, RunsResponse } from "../schemas.ts";
import { answers } from "./common.ts";

export function runRoutes(app: App, { queries, config }: Context): void {
  app.get(
    "/api/v1/experiments/:experiment/runs",
    {
      schema: {
        operationId: "listRuns",
        summary: "The runs of an experiment that have rows, the newest first, at most 200",
        tags: ["experiments"],
        params: ExperimentParams,
        querystring: NoQuery,
        response: answers(RunsResponse, { missing: true }),
      },
    },
    async ({ params }) => {
      const experiment = findExperiment(config, params.experiment);
      const runs = await queries.runs([experiment.name]);
      return {
        experiment: experiment.name,
        runs: runs.map((facts) => {
          const current = facts.run === experiment.run;
          const shadows = [...experiment.shadows.map(({ name }) => name), ...facts.shadows];
          const configured = current ? experiment.shadows[0]?.build : undefined;
          const build = shadows.map((name) => facts.builds[name]).find((one) => one !== undefined);
          return {
            run: facts.run,
            firstPairAt: toInstantOrNull(facts.firstPairUs),
            lastPairAt: toInstantOrNull(facts.lastPairUs),
            pairs: facts.pairs,
            divergentPairs: facts.divergentPairs,
            build: configured ?? build ?? null,
            current,
          };
        }),
      };
    },
  );
}
