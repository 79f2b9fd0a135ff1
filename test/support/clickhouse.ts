import { join } from "node:path";
import {
  type ClickHouseOptions,
  type ClickHouseServer,
  startClickHouse as startEmbedded,
} from "../../analyzer/embedded/clickhouse.ts";
import { tempDir } from "./temp-dir.ts";

export interface TestClickHouse extends ClickHouseServer {
  /** Runs SQL as the default user; the answer's text without the last line end. Throws ClickHouse's own message. */
  query(sql: string): Promise<string>;
  /** Rows of a SELECT, as objects; 64-bit integers as numbers. */
  rows<T = Record<string, unknown>>(sql: string): Promise<T[]>;
}

/** A real ClickHouse; in a folder of its own, which stop() removes, when no `dir` is given. */
export async function startClickHouse(
  options: Partial<ClickHouseOptions> = {},
): Promise<TestClickHouse> {
  const dir = options.dir === undefined ? tempDir("clickhouse") : undefined;
  const server = await startEmbedded({
    ...options,
    dir: options.dir ?? join(dir?.path ?? "", "clickhouse"),
  });
  const query = async (sql: string): Promise<string> => {
    const url = `${server.url}/?output_format_json_quote_64bit_integers=0`;
    const response = await fetch(url, { method: "POST", body: sql });
    const text = (await response.text()).replace(/\n$/, "");
    if (!response.ok) throw new Error(`ClickHouse refused "${sql.slice(0, 200)}": ${text}`);
    return text;
  };
  return {
    ...server,
    query,
    async rows<T>(sql: string) {
      const text = await query(`${sql} FORMAT JSONEachRow`);
      return text === "" ? [] : text.split("\n").map((line) => JSON.parse(line) as T);
    },
    async stop() {
      await server.stop();
      dir?.remove();
    },
  };
}
