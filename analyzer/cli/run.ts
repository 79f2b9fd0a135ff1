import { AnalyzerError, ERROR_CODES } from "../errors.ts";
import type { ExitCode, Io } from "./io.ts";
import { createProgram } from "./program.ts";
import { checkCommand, Shown } from "./usage.ts";

/** Runs one command; `args` are those after the program's name. Never throws: what went wrong is one message on io.err. */
export async function runCli(args: readonly string[], io: Io): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  try {
    checkCommand(program, args);
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof Shown) return error.exitCode;
    io.err(`shadowgraph: ${describe(error)}\n`);
    const { stack } = error as Error;
    if (io.env["LOG_LEVEL"] === "debug" && stack !== undefined) io.err(`${stack}\n`);
    return error instanceof AnalyzerError && error.code === "USAGE" ? 2 : 1;
  }
}

function describe(error: unknown): string {
  if (error instanceof AnalyzerError) return `${error.code}: ${error.message}`;
  const message = error instanceof Error ? error.message : String(error);
  return `INTERNAL: ${message} (${ERROR_CODES.INTERNAL}; LOG_LEVEL=debug shows where)`;
}
