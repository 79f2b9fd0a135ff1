import type { IncomingMessage, ServerResponse } from "node:http";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from "fastify";
import { didYouMean } from "../config/nearest.ts";
import type { Config, ExperimentConfig } from "../config.ts";
import type { HealthSource } from "../health.ts";
import type { Queries, RunFacts } from "../storage/queries.ts";
import { parseInstant } from "./instants.ts";
import { RequestError, shown } from "./problems.ts";

/** What routes are made of. */
export interface Context {
  readonly queries: Queries;
  readonly config: Config;
  readonly health: HealthSource;
  /** The text of /metrics, in Prometheus' format. */
  readonly metrics: () => Promise<string>;
}

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** @throws RequestError EXPERIMENT_UNKNOWN that names the known ones */
export function findExperiment(config: Config, name: string): ExperimentConfig {
  const found = config.experiments.find((experiment) => experiment.name === name);
  if (found !== undefined) return found;
  const known = config.experiments.map((experiment) => experiment.name);
  throw new RequestError(
    "EXPERIMENT_UNKNOWN",
    `there is no experiment ${shown(name)}, expected one of ${known.join(", ")}${didYouMean(name, known)}`,
    { parameter: "experiment", known },
  );
}

export interface RunChoice {
  /** Null: nothing was stored of this experiment yet. */
  readonly run: string | null;
  readonly facts: RunFacts | null;
  readonly runs: readonly RunFacts[];
}

/** The newest run: that of the present configuration when it has rows, else the one with the newest row. */
export function newestRun(
  experiment: ExperimentConfig,
  runs: readonly RunFacts[],
): RunFacts | undefined {
  return runs.find(({ run }) => run === experiment.run) ?? runs[0];
}

/** @throws RequestError NOT_FOUND when the asked run has no rows */
export async function chooseRun(
  queries: Queries,
  experiment: ExperimentConfig,
  asked: string | undefined,
): Promise<RunChoice> {
  const runs = await queries.runs([experiment.name]);
  if (asked === undefined) {
    const facts = newestRun(experiment, runs) ?? null;
    return { run: facts?.run ?? null, facts, runs };
  }
  const facts = runs.find(({ run }) => run === asked);
  if (facts !== undefined) return { run: facts.run, facts, runs };
  // The present run without rows is not wrong, it is empty.
  if (asked === experiment.run) return { run: null, facts: null, runs };
  const known = runs.map(({ run }) => run);
  const list = known.length === 0 ? "none: nothing was stored yet" : known.slice(0, 10).join(", ");
  throw new RequestError(
    "NOT_FOUND",
    `experiment ${experiment.name} has no run ${shown(asked)}, known: ${list}${didYouMean(asked, known)}`,
    { parameter: "run", known },
  );
}

/** The first configured shadow, unless one is asked for that is configured or has pairs in the run. */
export function chooseShadow(
  experiment: ExperimentConfig,
  facts: RunFacts | null,
  asked: string | undefined,
): string {
  const configured = experiment.shadows.map(({ name }) => name);
  const known = [...new Set([...configured, ...(facts?.shadows ?? [])])];
  // An older run may have had other shadows.
  const standard =
    configured.find((name) => facts === null || facts.shadows.includes(name)) ??
    (facts?.shadows[0] || configured[0]);
  const shadow = asked ?? standard;
  if (shadow !== undefined && known.includes(shadow)) return shadow;
  throw new RequestError(
    "NOT_FOUND",
    `experiment ${experiment.name} has no shadow ${shown(asked)}, expected one of ${known.join(", ")}${didYouMean(asked ?? "", known)}`,
    { parameter: "shadow", known },
  );
}

export interface Range {
  readonly fromUs: number | undefined;
  readonly toUs: number | undefined;
}

/** @throws RequestError PARAMETER_INVALID */
export function chooseRange({ from, to }: { from?: string; to?: string }): Range {
  const fromUs = from === undefined ? undefined : parseInstant(from, "from");
  const toUs = to === undefined ? undefined : parseInstant(to, "to");
  if (fromUs !== undefined && toUs !== undefined && toUs <= fromUs) {
    throw new RequestError(
      "PARAMETER_INVALID",
      `to is ${shown(to)}, expected a time after from (${from})`,
      { parameter: "to" },
    );
  }
  return { fromUs, toUs };
}
