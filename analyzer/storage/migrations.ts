import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../config/package-root.ts";
import { AnalyzerError } from "../errors.ts";

export interface Migration {
  /** From 1, without gaps. */
  readonly number: number;
  readonly name: string;
  /** The file's text with its placeholders. */
  readonly template: string;
  /** SHA-256 of the statements; comments that start with -- and white space do not count. */
  readonly checksum: string;
}

export interface Target {
  /** Quoted. */
  readonly database: string;
  /** Null on a plain server; else the cluster whose nodes all hold every table. */
  readonly cluster: string | null;
}

/**
 * Blocks whose tokens are remembered, per table. A write is repeated only after a crash or a lost answer, by the same lane:
 * this covers ten minutes of 16 lanes that write once a second.
 */
const DEDUPLICATION_BLOCKS = 10_000;

/** The schema folder of this installation, from sources or from build/. */
export function schemaFolder(): string {
  const beside = fileURLToPath(new URL("./schema", import.meta.url));
  return existsSync(beside) ? beside : join(packageRoot().path, "analyzer", "storage", "schema");
}

/** Reads NNN_<noun>.sql, in order. */
export function readMigrations(folder: string = schemaFolder()): Migration[] {
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .sort();
  return files.map((file, index) => {
    const parts = /^(\d{3})_([a-z_]+)\.sql$/.exec(file);
    const number = Number(parts?.[1]);
    if (parts === null || number !== index + 1) {
      const expected = String(index + 1).padStart(3, "0");
      throw new AnalyzerError("INTERNAL", `migration is ${file}, expected ${expected}_<noun>.sql`);
    }
    const template = readFileSync(join(folder, file), "utf8");
    return { number, name: parts[2] as string, template, checksum: checksum(template) };
  });
}

function checksum(template: string): string {
  const text = splitStatements(template)
    .map((statement) => statement.replace(/\s+/g, " "))
    .join(";");
  return createHash("sha256").update(text).digest("hex");
}

/** The statements of a migration for one target: plain and replicated tables come from the same text. */
export function renderMigration(template: string, { database, cluster }: Target): string[] {
  const rendered = template
    .replaceAll("{{database}}", database)
    .replaceAll("{{on_cluster}}", cluster === null ? "" : `ON CLUSTER \`${cluster}\``)
    .replaceAll("{{deduplication}}", deduplication())
    .replace(/\{\{engine:([A-Za-z]+)(?:\(([^)]*)\))?\}\}/g, (_, name: string, args?: string) =>
      engine(name, args ?? "", cluster),
    );
  const left = /\{\{[^}]*\}\}/.exec(rendered);
  if (left !== null) throw new AnalyzerError("INTERNAL", `unknown placeholder ${left[0]}`);
  return splitStatements(rendered);
}

/** Both kinds of table take both settings and read their own. */
function deduplication(): string {
  return [
    `non_replicated_deduplication_window = ${DEDUPLICATION_BLOCKS}`,
    `replicated_deduplication_window = ${DEDUPLICATION_BLOCKS}`,
    "replicated_deduplication_window_seconds = 604800",
  ].join(", ");
}

/** One shard's replicas share a path in Keeper; {uuid} keeps a table made anew apart from the one before. */
export function engine(name: string, args: string, cluster: string | null): string {
  if (cluster === null) return `${name}(${args})`;
  const replicated = ["'/clickhouse/tables/{uuid}/{shard}'", "'{replica}'"];
  return `Replicated${name}(${[...replicated, ...(args === "" ? [] : [args])].join(", ")})`;
}

/** Splits at semicolons outside of quotes; comments that start with -- are left out. */
export function splitStatements(sql: string): string[] {
  const statements: string[] = [];
  let current = "";
  let quote = "";
  for (let at = 0; at < sql.length; at++) {
    const char = sql[at] as string;
    if (quote !== "") {
      current += char;
      if (char === "\\") current += sql[++at] ?? "";
      else if (char === quote) quote = "";
    } else if (char === "-" && sql[at + 1] === "-") {
      while (at + 1 < sql.length && sql[at + 1] !== "\n") at++;
    } else if (char === ";") {
      statements.push(current.trim());
      current = "";
    } else {
      if (char === "'" || char === '"' || char === "`") quote = char;
      current += char;
    }
  }
  statements.push(current.trim());
  return statements.filter((statement) => statement !== "");
}
