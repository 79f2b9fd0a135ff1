import { Command, InvalidArgumentError, Option } from "commander";
import { packageRoot } from "../config/package-root.ts";
import { ENVIRONMENT } from "../config.ts";
import type { DoctorOptions } from "./doctor.ts";
import type { ExitCode, Io } from "./io.ts";
import { type ConfigOptions, configOption } from "./options.ts";
import type { RenderEnvoyOptions } from "./render-envoy.ts";
import type { UpOptions } from "./up.ts";
import { usageError } from "./usage.ts";

/** All commands. Each loads its code when it is called: `--help` must not wait for servers' libraries. */
export function createProgram(io: Io, exitWith: (code: ExitCode) => void): Command {
  const program = new Command("shadowgraph")
    .description("Is a new version of a service safe to promote? Judged from mirrored traffic.")
    .version(packageRoot().version, "-V, --version", "print the version")
    .helpCommand(false)
    .addHelpText("after", `\n${environmentHelp()}`);
  ours(program, io);

  const up = program
    .command("up")
    .description("everything on this machine: NATS, ClickHouse and the analyzer, until Ctrl-C")
    .addOption(configOption())
    .option("-d, --data <folder>", "where the servers keep their data", ".shadowgraph")
    .addHelpText(
      "after",
      examples(
        ["shadowgraph up", "listens where the configuration says that the servers are"],
        ["shadowgraph up --data /var/lib/shadowgraph", "keeps the data elsewhere"],
        [
          "CLICKHOUSE_URL=http://ch:8123 shadowgraph up",
          "uses that ClickHouse instead (NATS_URL: that NATS)",
        ],
      ),
    )
    .action(async (options: UpOptions) => (await import("./up.ts")).up(options, io));

  const analyzer = program
    .command("analyzer")
    .description("the analyzer alone: reads NATS, writes ClickHouse, serves the API and the page")
    .addOption(configOption())
    .addHelpText(
      "after",
      examples(
        ["shadowgraph analyzer", "logs JSON lines; SIGTERM ends it in good order"],
        ["LOG_LEVEL=debug shadowgraph analyzer", "says more"],
      ),
    )
    .action(async (options: ConfigOptions) =>
      (await import("./analyzer.ts")).analyzer(options, io),
    );

  const migrate = program
    .command("migrate")
    .description("brings ClickHouse's tables up to date, and nothing else")
    .addOption(configOption())
    .addHelpText(
      "after",
      examples(["shadowgraph migrate", "safe to repeat; the analyzer does the same at its start"]),
    )
    .action(async (options: ConfigOptions) => (await import("./migrate.ts")).migrate(options, io));

  const render = program
    .command("render")
    .description("writes other programs' configuration from shadowgraph.yaml")
    .helpCommand(false)
    .addHelpText(
      "after",
      examples(["shadowgraph render envoy", "Envoy's configuration on standard output"]),
    );
  const envoy = render
    .command("envoy")
    .description("a complete Envoy configuration, or the parts for one that exists")
    .addOption(configOption())
    .option("-o, --out <file>", "write to this file instead of standard output")
    .option("--fragments", "only the parts to put into your own configuration")
    .option("--force", "replace a file that was not written by this command")
    .addHelpText(
      "after",
      examples(
        ["shadowgraph render envoy --out envoy.yaml", "then: envoy -c envoy.yaml"],
        ["shadowgraph render envoy --fragments", "each part says where it belongs"],
      ),
    )
    .action(async (options: RenderEnvoyOptions) =>
      (await import("./render-envoy.ts")).renderEnvoyCommand(options, io),
    );

  const doctor = program
    .command("doctor")
    .description("looks whether everything is there and fits together, and says what to do")
    .addOption(configOption())
    .option("--json", "for programs: one JSON object")
    .addOption(
      new Option("--timeout <ms>", "longest wait for each server")
        .default(3000)
        .argParser(milliseconds),
    )
    .addHelpText(
      "after",
      examples(
        ["shadowgraph doctor", "exit code 1 when something is wrong; warnings alone give 0"],
        ["shadowgraph doctor --json", "{ ok, checks: [{ check, state, message, advice }] }"],
      ),
    )
    .action(async (options: DoctorOptions) => {
      exitWith(await (await import("./doctor.ts")).doctor(options, io));
    });

  for (const command of [up, analyzer, migrate, render, envoy, doctor]) ours(command, io);
  return program;
}

/** Errors as values in our words, and text where the caller wants it. */
function ours(command: Command, io: Io): void {
  command
    .showSuggestionAfterError(false)
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      outputError: () => {},
    })
    .exitOverride((error) => {
      throw usageError(command, error);
    });
}

function milliseconds(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 600_000) {
    throw new InvalidArgumentError("Expected a whole number from 1 to 600000.");
  }
  return number;
}

function examples(...list: readonly (readonly [command: string, remark: string])[]): string {
  const width = Math.max(...list.map(([command]) => command.length));
  const lines = list.map(([command, remark]) => `  ${command.padEnd(width)}  ${remark}`);
  return `\nExamples:\n${lines.join("\n")}\n`;
}

function environmentHelp(): string {
  const variables = Object.entries({
    ...ENVIRONMENT,
    LOG_LEVEL: "debug, info (default), warn, error",
  });
  const width = Math.max(...variables.map(([name]) => name.length));
  const lines = variables.map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`);
  return `Environment:\n${lines.join("\n")}\n\nEvery command has --help, with examples.`;
}
