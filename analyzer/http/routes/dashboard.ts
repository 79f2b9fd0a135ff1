import { existsSync } from "node:fs";
import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import type { App } from "../context.ts";

const NOT_BUILT = `<!doctype html><meta charset="utf-8"><title>Shadowgraph</title>
<p>The page is not built: run <code>npm run build:dashboard</code>, then start the analyzer again.
<p>The API works without it: <a href="api/v1/experiments">/api/v1/experiments</a>, <a href="openapi.json">/openapi.json</a>.
`;

/** The built page at /. Its files change with each build, so browsers ask whether theirs are still right. */
export function dashboardRoutes(app: App, dashboardDir: string | null): void {
  if (dashboardDir === null || !existsSync(join(dashboardDir, "index.html"))) {
    app.get("/", { schema: { hide: true } }, async (_, reply) =>
      reply.type("text/html; charset=utf-8").send(NOT_BUILT),
    );
    return;
  }
  void app.register(fastifyStatic, {
    root: dashboardDir,
    cacheControl: true,
    maxAge: 0,
    schemaHide: true,
  });
}
