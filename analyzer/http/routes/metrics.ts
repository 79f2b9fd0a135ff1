import type { App, Context } from "../context.ts";
import { NoQuery } from "../schemas.ts";
import { textAnswer } from "./common.ts";

const PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8";

export function metricRoutes(app: App, { metrics }: Context): void {
  app.get(
    "/metrics",
    {
      schema: {
        operationId: "getMetrics",
        summary: "The analyzer's metrics for Prometheus",
        tags: ["operation"],
        querystring: NoQuery,
        response: { 200: textAnswer("Prometheus text format", "text/plain") },
      },
    },
    async (_, reply) => {
      const text = await metrics();
      return reply.type(PROMETHEUS_TEXT).serializer(String).send(text);
    },
  );
}
