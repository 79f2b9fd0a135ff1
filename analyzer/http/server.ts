import swagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from "fastify";
import { packageRoot } from "../config/package-root.ts";
import type { Log } from "../log.ts";
import type { Context } from "./context.ts";
import { RequestError, sendProblem, shown } from "./problems.ts";
import { accountingRoutes } from "./routes/accounting.ts";
import { dashboardRoutes } from "./routes/dashboard.ts";
import { deadLetterRoutes } from "./routes/dead-letters.ts";
import { experimentRoutes } from "./routes/experiments.ts";
import { healthRoutes } from "./routes/health.ts";
import { metricRoutes } from "./routes/metrics.ts";
import { openApiRoutes } from "./routes/openapi.ts";
import { orphanRoutes } from "./routes/orphans.ts";
import { pairRoutes } from "./routes/pairs.ts";
import { runRoutes } from "./routes/runs.ts";
import { summaryRoutes } from "./routes/summary.ts";

export interface ServerOptions extends Context {
  readonly log: Log;
  /** Folder of the built page; null or without index.html: a line that says how to build it. */
  readonly dashboardDir: string | null;
}

/** No request has a body. */
const BODY_BYTES_MAX = 1_024;
const REQUEST_TIMEOUT_MS = 30_000;

/** Nothing but our own files and our own API; no page may frame ours. There is no CORS: other origins read nothing. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** The API and the page. Builds, does not listen. */
export function buildServer(options: ServerOptions): FastifyInstance {
  const app: FastifyInstance = fastify({
    loggerInstance: options.log as FastifyBaseLogger,
    // A line a request would drown what matters; errors are logged by sendProblem.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 128 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: "array", strict: false } },
  });

  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0] ?? "";
    sendProblem(
      new RequestError(
        "NOT_FOUND",
        `there is nothing at ${request.method} ${shown(path)}, /openapi.json lists what there is`,
      ),
      request,
      reply,
    );
  });
  app.addHook("onSend", async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    if (request.url.startsWith("/api/") || request.url.startsWith("/health")) {
      reply.header("cache-control", "no-store");
    }
  });

  void app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Shadowgraph",
        description:
          "How a shadow differs from its primary, pair by pair. Times are ISO 8601 in UTC; names that end in Us are microseconds; rates are 0 to 1. Errors are problem details (RFC 9457) with a stable code.",
        version: packageRoot().version,
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      tags: [
        { name: "experiments", description: "what is compared with what" },
        { name: "results", description: "what came out" },
        { name: "operation", description: "how the analyzer is doing" },
      ],
      servers: [{ url: "/" }],
    },
  });
  void app.register(async (routes) => {
    const typed = routes.withTypeProvider<TypeBoxTypeProvider>();
    experimentRoutes(typed, options);
    runRoutes(typed, options);
    summaryRoutes(typed, options);
    accountingRoutes(typed, options);
    pairRoutes(typed, options);
    orphanRoutes(typed, options);
    deadLetterRoutes(typed, options);
    healthRoutes(typed, options);
    metricRoutes(typed, options);
    openApiRoutes(typed);
    dashboardRoutes(typed, options.dashboardDir);
  });
  return app;
}
