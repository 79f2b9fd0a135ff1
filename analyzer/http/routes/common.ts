import { type TSchema, Type } from "typebox";
import { PROBLEM_TYPE } from "../problems.ts";
import { Problem } from "../schemas.ts";

const problem = (description: string) => ({
  description,
  content: { [PROBLEM_TYPE]: { schema: Problem } },
});

/** A GET's answers: the good one, and what else must be expected. */
export function answers(ok: TSchema, { missing = false }: { missing?: boolean } = {}) {
  return {
    200: ok,
    400: problem("a parameter is wrong: PARAMETER_INVALID"),
    ...(missing ? { 404: problem("there is no such thing: EXPERIMENT_UNKNOWN, NOT_FOUND") } : {}),
    502: problem("ClickHouse refused the question: CLICKHOUSE_REFUSED"),
    503: problem("ClickHouse is away, ask again: CLICKHOUSE_UNAVAILABLE, CLICKHOUSE_VERSION"),
  };
}

/** Text that is not JSON. */
export function textAnswer(description: string, type: string) {
  return { description, content: { [type]: { schema: Type.String() } } };
}
