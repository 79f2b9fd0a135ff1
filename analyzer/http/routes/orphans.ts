import type { OrphanCursor } from "../../storage/queries.ts";
import { type App, type Context, chooseRange, chooseRun, findExperiment } from "../context.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { toInstant } from "../instants.ts";
import { ExperimentParams, OrphansQuery, OrphansResponse } from "../schemas.ts";
import { answers } from "./common.ts";

export function orphanRoutes(app: App, { queries, config }: Context): void {
  app.get(
    "/api/v1/experiments/:experiment/orphans",
    {
      schema: {
        operationId: "listOrphans",
        summary: "Legs without their partner, the newest first",
        tags: ["results"],
        params: ExperimentParams,
        querystring: OrphansQuery,
        response: answers(OrphansResponse, { missing: true }),
      },
    },
    async ({ params, query }) => {
      const experiment = findExperiment(config, params.experiment);
      const range = chooseRange(query);
      const after = query.cursor === undefined ? undefined : orphanCursor(query.cursor);
      const { run } = await chooseRun(queries, experiment, query.run);
      const scope = { experiment: experiment.name, run };
      if (run === null) return { ...scope, orphans: [], nextCursor: null };
      const limit = query.limit ?? 50;
      const found = await queries.orphans({
        ...scope,
        run,
        ...range,
        route: query.route,
        method: query.method,
        leg: query.leg,
        reason: query.reason,
        after,
        limit: limit + 1,
      });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        ...scope,
        orphans: page.map(({ startedUs, closedUs, attempt: _, ...orphan }) => ({
          ...orphan,
          segments: { ...orphan.segments },
          startedAt: toInstant(startedUs),
          closedAt: toInstant(closedUs),
        })),
        nextCursor:
          found.length > limit && last !== undefined
            ? encodeCursor("orphans", [
                last.closedUs,
                last.correlationId,
                last.leg,
                last.missingLeg,
                last.reason,
                last.attempt,
              ])
            : null,
      };
    },
  );
}

function orphanCursor(cursor: string): OrphanCursor {
  const key = decodeCursor(cursor, "orphans", [
    "number",
    "uuid",
    "string",
    "string",
    "string",
    "number",
  ]);
  const [closedUs, correlationId, leg, missingLeg, reason, attempt] = key;
  return {
    closedUs: closedUs as number,
    correlationId: correlationId as string,
    leg: leg as string,
    missingLeg: missingLeg as string,
    reason: reason as string,
    attempt: Math.min(attempt as number, 65_535),
  };
}
