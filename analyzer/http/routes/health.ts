import type { HealthSnapshot, ServiceHealth } from "../../health.ts";
import type { App, Context } from "../context.ts";
import { toInstant } from "../instants.ts";
import { HealthResponse, LivenessResponse, NoQuery } from "../schemas.ts";

const STATES = { starting: "connecting", up: "connected", down: "away" } as const;

export function healthRoutes(app: App, { health }: Context): void {
  app.get(
    "/health",
    {
      schema: {
        operationId: "getHealth",
        summary: "What the analyzer is connected to and how far it has read",
        tags: ["operation"],
        querystring: NoQuery,
        response: { 200: HealthResponse, 503: HealthResponse },
      },
    },
    async (_, reply) => {
      const snapshot = health.snapshot();
      reply.status(isReady(snapshot) ? 200 : 503);
      return {
        status: isReady(snapshot) ? "ok" : "degraded",
        nats: present(snapshot.nats),
        clickhouse: present(snapshot.clickhouse),
        lanes: snapshot.lanes.map(({ watermarkUs, storedUs, ...lane }) => ({
          ...lane,
          watermarkAt: watermarkUs > 0 ? toInstant(watermarkUs) : null,
          storedAt: storedUs > 0 ? toInstant(storedUs) : null,
        })),
        waiting: snapshot.waiting,
      };
    },
  );

  app.get(
    "/health/live",
    {
      schema: {
        operationId: "getLiveness",
        summary: "200 as long as the process answers",
        tags: ["operation"],
        querystring: NoQuery,
        response: { 200: LivenessResponse },
      },
    },
    async () => ({ status: "ok" }),
  );

  app.get(
    "/health/ready",
    {
      schema: {
        operationId: "getReadiness",
        summary: "200 when NATS and ClickHouse are reachable, else 503",
        tags: ["operation"],
        querystring: NoQuery,
        response: { 200: LivenessResponse, 503: LivenessResponse },
      },
    },
    async (_, reply) => {
      const ready = isReady(health.snapshot());
      reply.status(ready ? 200 : 503);
      return { status: ready ? "ok" : "degraded" };
    },
  );
}

function isReady({ nats, clickhouse }: HealthSnapshot): boolean {
  return nats.state === "up" && clickhouse.state === "up";
}

function present({ state, since, message }: ServiceHealth) {
  return { state: STATES[state], since, message };
}
