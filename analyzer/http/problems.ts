import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { didYouMean } from "../config/nearest.ts";
import { AnalyzerError, ERROR_CODES, type ErrorCode } from "../errors.ts";
import type { Problem } from "./schemas.ts";

export const PROBLEM_TYPE = "application/problem+json";

/** An error that knows more than its message: which parameter, and what would have been right. */
export class RequestError extends AnalyzerError {
  readonly parameter: string | undefined;
  readonly known: readonly string[] | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    { parameter, known }: { parameter?: string; known?: readonly string[] } = {},
  ) {
    super(code, message);
    this.parameter = parameter;
    this.known = known;
  }
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  PARAMETER_INVALID: 400,
  NOT_FOUND: 404,
  EXPERIMENT_UNKNOWN: 404,
  CLICKHOUSE_REFUSED: 502,
  CLICKHOUSE_UNAVAILABLE: 503,
  CLICKHOUSE_VERSION: 503,
};

/** After so many seconds it is worth asking again. */
const RETRY_AFTER_S = 5;
/** Names told to somebody who got one wrong. */
const KNOWN_MAX = 50;

export function sendProblem(
  error: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const problem = toProblem(error, request);
  if (problem.status >= 500) {
    request.log.error({ err: error, code: problem.code, path: problem.instance }, problem.detail);
  }
  if (problem.status === 503) reply.header("retry-after", String(RETRY_AFTER_S));
  // Text, because no response schema may cut an error down.
  reply.status(problem.status).type(PROBLEM_TYPE).serializer(JSON.stringify).send(problem);
}

function toProblem(error: FastifyError | Error, request: FastifyRequest): Problem {
  const known = asAnalyzerError(error, request);
  const status = STATUS[known.code] ?? 500;
  const instance = request.url.split("?", 1)[0] ?? "";
  const extra = known instanceof RequestError ? known : undefined;
  return {
    type: "about:blank",
    title: ERROR_CODES[known.code],
    status,
    code: known.code,
    // A defect's message may hold anything; it is in the log.
    detail: known.code === "INTERNAL" ? "a defect in Shadowgraph: the log has it" : known.message,
    instance: instance.slice(0, 512),
    ...(extra?.parameter === undefined ? {} : { parameter: extra.parameter }),
    ...(extra?.known === undefined ? {} : { known: extra.known.slice(0, KNOWN_MAX) }),
  };
}

function asAnalyzerError(error: FastifyError | Error, request: FastifyRequest): AnalyzerError {
  if (error instanceof AnalyzerError) return error;
  if ("validation" in error && error.validation !== undefined) {
    return validationError(error, request);
  }
  if ("statusCode" in error && typeof error.statusCode === "number" && error.statusCode < 500) {
    return new RequestError("PARAMETER_INVALID", lowerFirst(error.message));
  }
  return new AnalyzerError("INTERNAL", error.message, { cause: error });
}

/** What ajv found, in the words of somebody who wants to repair it. */
function validationError(error: FastifyError, request: FastifyRequest): RequestError {
  const [first] = error.validation ?? [];
  const inPath = error.validationContext === "params";
  const known = inPath ? [] : knownParameters(request);
  if (first?.keyword === "additionalProperties") {
    const name = String(first.params["additionalProperty"]);
    const list = known.length === 0 ? "no parameters" : `one of ${known.join(", ")}`;
    return new RequestError(
      "PARAMETER_INVALID",
      `unknown parameter ${shown(name)}, expected ${list}${didYouMean(name, known)}`,
      { parameter: name, known },
    );
  }
  const name = (first?.instancePath ?? "").split("/")[1] ?? "";
  const source = (inPath ? request.params : request.query) as Record<string, unknown>;
  const came = shown(source[name]);
  const allowed = first?.params["allowedValues"];
  const expected = Array.isArray(allowed)
    ? `one of ${allowed.join(", ")}`
    : (first?.message ?? "another value").replace(/^must (be|NOT) /, (_, verb: string) =>
        verb === "be" ? "" : "that it does not ",
      );
  return new RequestError("PARAMETER_INVALID", `${name} is ${came}, expected ${expected}`, {
    parameter: name,
    ...(Array.isArray(allowed) ? { known: allowed.map(String) } : {}),
  });
}

function knownParameters(request: FastifyRequest): string[] {
  const schema = request.routeOptions.schema?.querystring as
    | { properties?: Record<string, unknown> }
    | undefined;
  return Object.keys(schema?.properties ?? {});
}

/** Input of a stranger, cut to what fits a message. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 80 ? `${text.slice(0, 77)}…"` : text;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
