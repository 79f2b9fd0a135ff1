import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
} from "yaml";
import { checkMeaning } from "./config/check-meaning.ts";
import { checkSchema, fillDefaults } from "./config/check-schema.ts";
import { packageRoot } from "./config/package-root.ts";
import { ConfigError, keyText, type Problem } from "./config/problem.ts";
import { runHash } from "./config/run-hash.ts";
import type { File } from "./config/schema.ts";
import { AnalyzerError } from "./errors.ts";

export { ConfigError } from "./config/problem.ts";

/** The file that commands read unless told otherwise. */
export const CONFIG_FILE_DEFAULT = "shadowgraph.yaml";

/** A configuration is a page or two; more is a mistake. */
const FILE_BYTES_MAX = 1_048_576;

/**
 * What the environment adds: secrets, which never stand in the file, and addresses, which differ from machine to machine.
 * An empty variable counts as not set.
 */
export const ENVIRONMENT = {
  /** Wins over clickhouse.url; may hold user and password. */
  CLICKHOUSE_URL: "address of ClickHouse's HTTP interface, for example http://127.0.0.1:8123",
  /** Wins over clickhouse.user. */
  CLICKHOUSE_USER: "user for ClickHouse",
  CLICKHOUSE_PASSWORD: "password for ClickHouse",
  /** Wins over nats.servers; may hold user and password, or a token. */
  NATS_URL: "servers of NATS, separated by commas, for example nats://127.0.0.1:4222",
  SHADOWGRAPH_NATS_PASSWORD: "password for nats.user",
  SHADOWGRAPH_NATS_TOKEN: "token for NATS, instead of user and password",
} as const;

export type Environment = Readonly<Record<string, string | undefined>>;

export type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

type FileExperiment = File["experiments"][number];

/** An experiment of shadowgraph.yaml (keys, ranges and defaults: config/schema.ts) and its run. */
export type ExperimentConfig = DeepReadonly<FileExperiment> & {
  /** 12 hexadecimal digits: this configuration and no other (config/run-hash.ts). */
  readonly run: string;
};

/** shadowgraph.yaml with its defaults filled in and the environment applied. Frozen. */
export type Config = DeepReadonly<Omit<File, "experiments" | "nats" | "clickhouse" | "envoy">> & {
  /** Absolute path of the file that was read. */
  readonly file: string;
  readonly experiments: readonly ExperimentConfig[];
  readonly nats: DeepReadonly<File["nats"]> & {
    /** Empty without one. */
    readonly password: string;
    /** Empty without one. */
    readonly token: string;
  };
  readonly clickhouse: DeepReadonly<File["clickhouse"]> & {
    /** Empty without one. */
    readonly password: string;
  };
  readonly envoy: DeepReadonly<File["envoy"]> & {
    /** Absolute. */
    readonly wasm: string;
  };
};

/**
 * Reads and checks a configuration, everything at once.
 * @throws AnalyzerError CONFIG_FILE when the file cannot be read or is not YAML
 * @throws ConfigError CONFIG_INVALID with one line for each problem: file, line, column, key, what came, what was expected
 */
export function loadConfig(path: string, env: Environment): Config {
  const file = resolve(path);
  return parseConfig(read(path), { path, file, env });
}

/** As loadConfig, for text that is already in memory; `path` is what messages call it. */
export function parseConfig(
  text: string,
  { path, file = resolve(path), env }: { path: string; file?: string; env: Environment },
): Config {
  const lines = new LineCounter();
  const document = parseYaml(text, path, lines);
  const place = (problem: Problem): string =>
    `${path}:${position(document, lines, problem)} ${keyText(problem.path)}${problem.path.length > 0 ? " " : ""}${problem.message}`;

  const fromFile: unknown = document.toJS({ maxAliasCount: 100 }) ?? {};
  const filled = fillDefaults(fromFile);
  const problems = checkSchema(filled);
  if (problems.length > 0)
    throw new ConfigError(path, sortedByPlace(document, problems).map(place));

  const { merged, secrets, variables } = withEnvironment(filled as File, env);
  const fromVariable = (problem: Problem): string | undefined =>
    variables.get(problem.path.slice(0, 2).join("."));
  // The file itself was sound, so whatever is wrong now came from the environment.
  const wrongVariables = checkSchema(merged).map(
    (problem) => `${fromVariable(problem) ?? keyText(problem.path)} ${problem.message}`,
  );
  const meaning = sortedByPlace(document, checkMeaning(merged)).map(place);
  const all = [...wrongVariables, ...meaning];
  if (secrets.natsToken !== "" && (merged.nats.user !== "" || secrets.natsPassword !== "")) {
    all.push("NATS has a token and a user or password: expected one of the two");
  }
  if (all.length > 0) throw new ConfigError(path, all);
  return freeze(finish(merged, secrets, file));
}

function read(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) {
      throw new AnalyzerError(
        "CONFIG_FILE",
        `${path} is ${size} bytes, expected at most ${FILE_BYTES_MAX}`,
      );
    }
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof AnalyzerError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const reason =
      code === "ENOENT"
        ? "does not exist, expected a configuration there (deploy/shadowgraph.yaml shows one)"
        : `cannot be read (${code})`;
    throw new AnalyzerError("CONFIG_FILE", `${path} ${reason}`, { cause });
  }
}

function parseYaml(text: string, path: string, lineCounter: LineCounter): Document {
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  if (document.errors.length > 0) {
    const errors = document.errors.map((error) => {
      const { line, col } = lineCounter.linePos(error.pos[0]);
      const message = error.message.charAt(0).toLowerCase() + error.message.slice(1);
      return `${path}:${line}:${col} ${message}`;
    });
    throw new AnalyzerError("CONFIG_FILE", `${path} is not YAML:\n  ${errors.join("\n  ")}`);
  }
  return document;
}

/** Line and column of the key (or of the nearest parent that the file has), from 1. */
function position(document: Document, lines: LineCounter, problem: Problem): string {
  const { line, col } = lines.linePos(offset(document, problem));
  return `${Math.max(line, 1)}:${Math.max(col, 1)}`;
}

function offset(document: Document, problem: Problem): number {
  let node: unknown = document.contents;
  let at = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const part of problem.path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const item = node.items.find((one) => isScalar(one.key) && String(one.key.value) === part);
      if (item === undefined) return at;
      if (isNode(item.key)) at = item.key.range?.[0] ?? at;
      node = item.value;
    } else if (isSeq(node) && typeof part === "number") {
      node = node.items[part];
      if (isNode(node)) at = node.range?.[0] ?? at;
    } else return at;
  }
  return at;
}

function sortedByPlace(document: Document, problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => offset(document, a) - offset(document, b));
}

interface Secrets {
  readonly natsPassword: string;
  readonly natsToken: string;
  readonly clickhousePassword: string;
}

/** Credentials inside an address are taken out of it, so that the address can be logged. */
function withEnvironment(file: File, env: Environment) {
  const merged = structuredClone(file);
  /** Which variable a key's value came from. */
  const variables = new Map<string, string>();
  let natsPassword = env["SHADOWGRAPH_NATS_PASSWORD"] ?? "";
  let natsToken = env["SHADOWGRAPH_NATS_TOKEN"] ?? "";
  let clickhousePassword = env["CLICKHOUSE_PASSWORD"] ?? "";

  if (env["CLICKHOUSE_USER"]) {
    merged.clickhouse.user = env["CLICKHOUSE_USER"];
    variables.set("clickhouse.user", "CLICKHOUSE_USER");
  }
  if (env["CLICKHOUSE_URL"]) {
    const { address, user, password } = credentials(env["CLICKHOUSE_URL"]);
    merged.clickhouse.url = address;
    variables.set("clickhouse.url", "CLICKHOUSE_URL");
    if (user !== "") merged.clickhouse.user = user;
    if (password !== "") clickhousePassword = password;
  }
  if (env["NATS_URL"]) {
    const servers = env["NATS_URL"].split(",").map((server) => credentials(server.trim()));
    merged.nats.servers = servers.map((server) => server.address);
    variables.set("nats.servers", "NATS_URL");
    const login = servers.find((server) => server.user !== "");
    if (login !== undefined && login.password !== "") {
      merged.nats.user = login.user;
      natsPassword = login.password;
    } else if (login !== undefined) {
      natsToken = login.user;
    }
  }
  const secrets: Secrets = { natsPassword, natsToken, clickhousePassword };
  return { merged, secrets, variables };
}

/** `scheme://user:password@rest` in its parts; user and password are percent-decoded. */
function credentials(url: string): { address: string; user: string; password: string } {
  const parts = /^([a-z]+:\/\/)([^/@:]*)(?::([^/@]*))?@(.*)$/.exec(url);
  const decode = (text: string | undefined): string => {
    try {
      return decodeURIComponent(text ?? "");
    } catch {
      return text ?? "";
    }
  };
  if (parts === null) return { address: url, user: "", password: "" };
  return {
    address: `${parts[1]}${parts[4]}`,
    user: decode(parts[2]),
    password: decode(parts[3]),
  };
}

function finish(merged: File, secrets: Secrets, file: string): Config {
  return {
    ...merged,
    file,
    experiments: merged.experiments.map((experiment) => ({
      ...experiment,
      run: runHash(experiment),
    })),
    nats: { ...merged.nats, password: secrets.natsPassword, token: secrets.natsToken },
    clickhouse: { ...merged.clickhouse, password: secrets.clickhousePassword },
    envoy: { ...merged.envoy, wasm: wasmPath(merged.envoy.wasm, file) },
  };
}

function wasmPath(configured: string | undefined, file: string): string {
  if (configured !== undefined) return resolve(dirname(file), configured);
  const own = join(packageRoot().path, "build", "shadowgraph.wasm");
  const beside = resolve(dirname(file), "build", "shadowgraph.wasm");
  return !existsSync(own) && existsSync(beside) ? beside : own;
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const one of Object.values(value)) freeze(one);
  }
  return value;
}
