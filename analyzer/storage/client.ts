import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from "@clickhouse/client";
import type { Config } from "../config.ts";
import { AnalyzerError } from "../errors.ts";

/**
 * `cluster`: name of a ClickHouse cluster; with it every table is replicated and created on all of its nodes.
 * Without it one plain server is meant.
 */
export type ClickHouseConfig = Config["clickhouse"] & { readonly cluster?: string };

/** Oldest version with everything that the schema uses. */
export const VERSION_MIN = { major: 25, minor: 3 } as const;

/** Longest wait for one answer. A write that takes longer is tried again with the same token, so nothing doubles. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Connections to ClickHouse: a few tables of a write at once, and readers beside them. */
const CONNECTIONS_MAX = 16;

export interface Database {
  readonly client: ClickHouseClient;
  /** Quoted, for use in SQL. */
  readonly name: string;
  readonly cluster: string | null;
}

export function connectDatabase(config: ClickHouseConfig): Database {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(config.database)) {
    throw new AnalyzerError(
      "CONFIG_INVALID",
      `clickhouse.database is ${JSON.stringify(config.database)}, expected letters, digits and _`,
    );
  }
  const client = createClient({
    url: config.url,
    username: config.user,
    password: config.password,
    application: "shadowgraph",
    request_timeout: REQUEST_TIMEOUT_MS,
    max_open_connections: CONNECTIONS_MAX,
    // Says what goes wrong by throwing; a second voice on the console would not be JSON.
    log: { level: ClickHouseLogLevel.OFF },
    json: { parse: JSON.parse, stringify: stringifyWellFormed },
    // Numbers beyond 2^53 would be rounded on the way in JSON: they come as text, and toCount reads them.
    clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
  });
  return { client, name: `\`${config.database}\``, cluster: config.cluster ?? null };
}

/**
 * JSON whose text is well-formed Unicode: a lone surrogate, which ClickHouse refuses together with the whole batch,
 * becomes U+FFFD. JSON.stringify writes lone surrogates (and only them) as \udXXX.
 */
export function stringifyWellFormed(value: unknown): string {
  const text = JSON.stringify(value);
  if (!text.includes("\\ud")) return text;
  return text.replace(/(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g, "$1\ufffd");
}

/** A count that ClickHouse wrote as a number or as text. Beyond 2^53 - 1 it stays there rather than being rounded. */
export function toCount(value: unknown): number {
  const number = Number(value ?? 0);
  return Number.isFinite(number) ? Math.min(number, Number.MAX_SAFE_INTEGER) : 0;
}

export type Params = Readonly<Record<string, unknown>>;

/** Rows of a SELECT, each an object by column. The text holds no values: they travel in `params`. */
export async function select<Row>(
  { client }: Database,
  query: string,
  params: Params = {},
  settings: ClickHouseSettings = {},
): Promise<Row[]> {
  try {
    const result = await client.query({
      query,
      query_params: params,
      format: "JSONEachRow",
      clickhouse_settings: settings,
    });
    return await result.json<Row>();
  } catch (cause) {
    throw toAnalyzerError(cause);
  }
}

export async function command({ client }: Database, query: string): Promise<void> {
  try {
    // The answer to a long DDL comes only at its end; without headers meanwhile a proxy might close the connection.
    await client.command({ query, clickhouse_settings: { wait_end_of_query: 1 } });
  } catch (cause) {
    throw toAnalyzerError(cause);
  }
}

/**
 * Refuses a server that is too old.
 * @throws AnalyzerError CLICKHOUSE_VERSION
 */
export async function checkVersion(database: Database): Promise<string> {
  const rows = await select<{ version: string }>(database, "SELECT version() AS version");
  const version = rows[0]?.version ?? "";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const { major: majorMin, minor: minorMin } = VERSION_MIN;
  if (!(major > majorMin || (major === majorMin && minor >= minorMin))) {
    throw new AnalyzerError(
      "CLICKHOUSE_VERSION",
      `ClickHouse is ${version || "of an unknown version"}, expected ${majorMin}.${minorMin} or newer`,
    );
  }
  return version;
}

/**
 * ClickHouse's own error codes that pass by themselves: no schema yet, busy, out of memory or space for now, read-only,
 * replicas or Keeper away. Everything else that it answers is about the request and stays wrong however often it is repeated.
 */
const PASSING_CODES = new Set([
  "60", // UNKNOWN_TABLE: the schema is about to be made, or somebody has to run the migrations
  "81", // UNKNOWN_DATABASE
  "159", // TIMEOUT_EXCEEDED
  "202", // TOO_MANY_SIMULTANEOUS_QUERIES
  "203", // NO_FREE_CONNECTION
  "209", // SOCKET_TIMEOUT
  "210", // NETWORK_ERROR
  "225", // NO_ZOOKEEPER
  "236", // ABORTED
  "241", // MEMORY_LIMIT_EXCEEDED
  "242", // TABLE_IS_READ_ONLY
  "243", // NOT_ENOUGH_SPACE
  "252", // TOO_MANY_PARTS
  "254", // NO_ACTIVE_REPLICAS
  "279", // ALL_CONNECTION_TRIES_FAILED
  "285", // TOO_FEW_LIVE_REPLICAS
  "286", // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
  "319", // UNKNOWN_STATUS_OF_INSERT
  "394", // QUERY_WAS_CANCELLED
  "439", // CANNOT_SCHEDULE_TASK
  "745", // SERVER_OVERLOADED
  "999", // KEEPER_EXCEPTION
]);

/** Sorted once, here: away for now (retry helps) or refused (it does not). */
export function toAnalyzerError(cause: unknown): AnalyzerError {
  if (cause instanceof AnalyzerError) return cause;
  if (cause instanceof ClickHouseError) {
    const message = firstLine(cause.message);
    const name = cause.type === undefined ? cause.code : `${cause.code} ${cause.type}`;
    return PASSING_CODES.has(cause.code)
      ? new AnalyzerError(
          "CLICKHOUSE_UNAVAILABLE",
          `clickhouse cannot do it now (${name}): ${message}`,
          {
            cause,
          },
        )
      : new AnalyzerError("CLICKHOUSE_REFUSED", `clickhouse refused (${name}): ${message}`, {
          cause,
        });
  }
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as NodeJS.ErrnoException | null)?.code;
  const what = [code, firstLine(message)].filter((part) => part !== undefined && part !== "");
  return new AnalyzerError(
    "CLICKHOUSE_UNAVAILABLE",
    `clickhouse cannot be reached: ${what.join(": ")}`,
    { cause },
  );
}

/** At most 300 characters, without the query that ClickHouse likes to repeat. */
function firstLine(message: string): string {
  return (message.split("\n", 1)[0] ?? "").slice(0, 300).trim();
}
