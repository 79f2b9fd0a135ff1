import type { App, Context } from "../context.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { toInstant } from "../instants.ts";
import { DeadLettersQuery, DeadLettersResponse } from "../schemas.ts";
import { answers } from "./common.ts";

export function deadLetterRoutes(app: App, { queries }: Context): void {
  app.get(
    "/api/v1/dead-letters",
    {
      schema: {
        operationId: "listDeadLetters",
        summary: "Messages and lines that could not be used, of all experiments, the newest first",
        tags: ["operation"],
        querystring: DeadLettersQuery,
        response: answers(DeadLettersResponse),
      },
    },
    async ({ query }) => {
      const limit = query.limit ?? 50;
      const after = query.cursor === undefined ? undefined : deadLetterCursor(query.cursor);
      const found = await queries.deadLetters({ after, limit: limit + 1 });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        deadLetters: page.map(({ receivedAtUs, ...letter }) => ({
          ...letter,
          receivedAt: toInstant(receivedAtUs),
        })),
        nextCursor:
          found.length > limit && last !== undefined
            ? encodeCursor("dead-letters", [last.receivedAtUs, last.sequence, last.line])
            : null,
      };
    },
  );
}

function deadLetterCursor(cursor: string) {
  const [receivedAtUs, sequence, line] = decodeCursor(cursor, "dead-letters", [
    "number",
    "number",
    "number",
  ]);
  return {
    receivedAtUs: receivedAtUs as number,
    sequence: sequence as number,
    line: Math.min(line as number, 4_294_967_295),
  };
}
