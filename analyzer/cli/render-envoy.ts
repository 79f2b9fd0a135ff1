import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { loadConfig } from "../config.ts";
import { holdsSecret, renderEnvoy, renderFragments } from "../envoy/render.ts";
import { AnalyzerError } from "../errors.ts";
import type { Io } from "./io.ts";
import type { ConfigOptions } from "./options.ts";

export interface RenderEnvoyOptions extends ConfigOptions {
  readonly out?: string;
  readonly fragments?: boolean;
  readonly force?: boolean;
}

/** How each of our files begins (envoy/render.ts): only such a file is replaced without being asked twice. */
const OURS = /^# (Envoy for experiments? |Shadowgraph's parts )/;

export function renderEnvoyCommand(options: RenderEnvoyOptions, io: Io): void {
  const config = loadConfig(options.config, io.env);
  const { yaml } = options.fragments ? renderFragments(config) : renderEnvoy(config);
  if (!existsSync(config.envoy.wasm)) {
    io.err(
      `warning: ${config.envoy.wasm} does not exist, and Envoy refuses to start without it: build it with \`npm run build:filter\`, or set envoy.wasm\n`,
    );
  }
  if (options.out === undefined || options.out === "-") {
    io.out(yaml);
    return;
  }
  write(options.out, yaml, { force: options.force === true, secret: holdsSecret(config) });
  io.err(`wrote ${options.out}\n`);
  if (!options.fragments) io.err(`check it: envoy --mode validate -c ${options.out}\n`);
}

function write(
  file: string,
  yaml: string,
  { force, secret }: { force: boolean; secret: boolean },
): void {
  try {
    if (!force && existsSync(file) && !OURS.test(readFileSync(file, "utf8"))) {
      throw new AnalyzerError(
        "FILE_UNWRITABLE",
        `${file} exists and was not written by this command; choose another name, or --force to replace it`,
      );
    }
    writeFileSync(file, yaml, { mode: secret ? 0o600 : 0o644 });
  } catch (cause) {
    if (cause instanceof AnalyzerError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw new AnalyzerError("FILE_UNWRITABLE", `${file} cannot be written (${code})`, { cause });
  }
}
