import { existsSync } from "node:fs";
import { type Config, ConfigError, loadConfig } from "../config.ts";
import { AnalyzerError } from "../errors.ts";
import { checkAnalyzer } from "./doctor/analyzer.ts";
import { checkClickHouse } from "./doctor/clickhouse.ts";
import { type Finding, fail, ok, warn } from "./doctor/finding.ts";
import { checkNats } from "./doctor/nats.ts";
import type { ExitCode, Io } from "./io.ts";
import type { ConfigOptions } from "./options.ts";

export interface DoctorOptions extends ConfigOptions {
  readonly json?: boolean;
  /** ms. */
  readonly timeout: number;
}

/** Looks at everything, whatever fails on the way. 1 when anything is wrong; warnings alone are 0. */
export async function doctor(options: DoctorOptions, io: Io): Promise<ExitCode> {
  const findings: Finding[] = [];
  const show = (more: readonly Finding[]): void => {
    findings.push(...more);
    if (!options.json) for (const finding of more) io.out(line(finding));
  };
  const config = checkConfig(options, io, show);
  if (config !== null) {
    const { timeout: timeoutMs } = options;
    show([checkFilter(config)]);
    const checks = [
      checkNats(config, { timeoutMs, now: Date.now() }),
      checkClickHouse(config, { timeoutMs }),
      checkAnalyzer(config, { timeoutMs }),
    ];
    for (const check of checks) show(await check);
  }
  const fine = findings.every(({ state }) => state !== "fail");
  if (options.json) io.out(`${JSON.stringify({ ok: fine, checks: findings }, null, 2)}\n`);
  return fine ? 0 : 1;
}

function checkConfig(
  options: ConfigOptions,
  io: Io,
  show: (findings: readonly Finding[]) => void,
): Config | null {
  try {
    const config = loadConfig(options.config, io.env);
    const experiments = config.experiments.map(({ name, run }) => `${name} (run ${run})`);
    show([ok("configuration", `${options.config}: ${experiments.join(", ")}`)]);
    return config;
  } catch (error) {
    if (!(error instanceof AnalyzerError)) throw error;
    const problems = error instanceof ConfigError ? error.problems : [error.message];
    show(problems.map((problem) => fail("configuration", problem, "correct it")));
    return null;
  }
}

function checkFilter(config: Config): Finding {
  const { wasm } = config.envoy;
  return existsSync(wasm)
    ? ok("filter file", wasm)
    : warn(
        "filter file",
        `${wasm} does not exist here`,
        "build it with `npm run build:filter`, or set envoy.wasm; fine if Envoy runs elsewhere",
      );
}

function line({ check, state, message, advice }: Finding): string {
  const text = `${state.padEnd(4)}  ${check.padEnd(18)}  ${message}\n`;
  return advice === "" ? text : `${text}${" ".repeat(26)}→ ${advice}\n`;
}
