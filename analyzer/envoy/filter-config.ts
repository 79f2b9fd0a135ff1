import { LEG_CONTROL, LEG_PRIMARY } from "../../wire/format.ts";
import type { Config, ExperimentConfig } from "../config.ts";

export type Role = "tagger" | "observer";

/** Envoy's cluster for NATS; the filter calls it by this name. */
export const NATS_CLUSTER = "shadowgraph_nats";

/** What the filter reads at load (filter/config.ts). Both roles get the same but for `role`. */
export function filterConfig(config: Config, role: Role) {
  return {
    role,
    experiments: config.experiments.map((experiment) => ({
      name: experiment.name,
      run: experiment.run,
      match: experiment.match,
      sampleFraction: experiment.sampleFraction,
      requestBytesMax: experiment.requestBytesMax,
      // A mirrored leg that ends at this time was cut by Envoy's limit, not by its server.
      shadowTimeoutMs: experiment.shadowTimeoutMs,
      partitions: config.nats.partitions,
      legs: legsByCluster(experiment),
      segments: experiment.segments,
    })),
    nats: {
      cluster: NATS_CLUSTER,
      user: config.nats.user,
      password: config.nats.password,
      token: config.nats.token,
      timeoutMs: config.filter.natsTimeoutMs,
    },
    tickMs: config.filter.tickMs,
    ledgerIntervalMs: config.filter.ledgerIntervalMs,
    outboxBytes: config.filter.outboxBytes,
  };
}

function legsByCluster(experiment: ExperimentConfig): Record<string, string> {
  const legs: Record<string, string> = { [experiment.primary.cluster]: LEG_PRIMARY };
  for (const shadow of experiment.shadows) legs[shadow.cluster] = shadow.name;
  if (experiment.control) legs[experiment.control.cluster] = LEG_CONTROL;
  return legs;
}
