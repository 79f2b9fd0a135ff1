import type { ExitCode } from "../../analyzer/cli/io.ts";
import { runCli } from "../../analyzer/cli/run.ts";

export interface CliResult {
  readonly exitCode: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of `shadowgraph` in this process. */
export async function cli(
  args: readonly string[],
  env: Record<string, string> = {},
  stop: AbortSignal = new AbortController().signal,
): Promise<CliResult> {
  let out = "";
  let err = "";
  const exitCode = await runCli(args, {
    env,
    stop,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { exitCode, out, err };
}
