import { Type } from "typebox";
import type { App } from "../context.ts";
import { NoQuery } from "../schemas.ts";

export function openApiRoutes(app: App): void {
  app.get(
    "/openapi.json",
    {
      schema: {
        operationId: "getOpenApi",
        summary: "This description, OpenAPI 3.1",
        tags: ["operation"],
        querystring: NoQuery,
        response: { 200: Type.Object({}, { additionalProperties: true }) },
      },
    },
    async (_, reply) =>
      reply.type("application/json; charset=utf-8").serializer(JSON.stringify).send(app.swagger()),
  );
}
