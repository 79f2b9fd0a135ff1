import type { Command, CommanderError } from "commander";
import { didYouMean } from "../config/nearest.ts";
import { AnalyzerError } from "../errors.ts";

/** Thrown instead of commander's own exit, after help or the version was printed. */
export class Shown extends Error {
  constructor(readonly exitCode: 0 | 2) {
    super();
  }
}

/**
 * Finds a misspelt command before commander complains about the options that follow it.
 * @throws AnalyzerError USAGE
 */
export function checkCommand(program: Command, args: readonly string[]): void {
  let command = program;
  for (const typed of args) {
    if (typed.startsWith("-") || command.commands.length === 0) return;
    const next = command.commands.find((one) => one.name() === typed);
    if (next === undefined) {
      const names = command.commands.map((one) => one.name());
      const hint = didYouMean(typed, names) || `; there are ${names.join(", ")}`;
      throw usage(command, `unknown command ${typed}${hint}`);
    }
    command = next;
  }
}

/** Commander's error in our words: what was typed, the nearest right name, where to read on. */
export function usageError(command: Command, error: CommanderError): AnalyzerError | Shown {
  switch (error.code) {
    case "commander.helpDisplayed":
    case "commander.version":
      return new Shown(0);
    // Help instead of an error: a command that only has commands of its own was called without one.
    case "commander.help":
      return new Shown(2);
    case "commander.unknownOption": {
      const typed = /'([^']*)'/.exec(error.message)?.[1] ?? "";
      const known = command.createHelp().visibleOptions(command);
      const names = known.flatMap(({ long, short }) => [long, short].filter(isText));
      // `--confg=x` is about `--confg`.
      const [name = ""] = typed.split("=");
      return usage(command, `unknown option ${name}${didYouMean(name, names)}`);
    }
    default:
      return usage(command, error.message.replace(/^error: /, ""));
  }
}

function usage(command: Command, message: string): AnalyzerError {
  return new AnalyzerError("USAGE", `${message} (see ${fullName(command)} --help)`);
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

function isText(text: string | undefined): text is string {
  return text !== undefined;
}
