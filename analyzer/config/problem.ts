import { AnalyzerError } from "../errors.ts";

/** A key's place in the file: names and indexes from the top. */
export type KeyPath = readonly (string | number)[];

/** One thing that is wrong with the configuration. */
export interface Problem {
  readonly path: KeyPath;
  /** What came and what was expected, in lower case. */
  readonly message: string;
  /** The key itself is wrong, not its value. */
  readonly atKey: boolean;
}

/** As people write it: `experiments[0].primary.cluster`. */
export function keyText(path: KeyPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return text;
}

/** Everything that is wrong, one line each, with the place. */
export class ConfigError extends AnalyzerError {
  constructor(
    readonly file: string,
    readonly problems: readonly string[],
  ) {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super("CONFIG_INVALID", `${file} has ${count}:\n  ${problems.join("\n  ")}`);
    this.name = "ConfigError";
  }
}
