import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../analyzer/config/package-root.ts";

const root = packageRoot().path;

/** Left out where there is no git to ask. */
const GENERATED = new Set(["node_modules", "build", "test-output"]);

export interface Snippet {
  /** What stands behind the opening fence: "sql", "yaml"; empty for none. */
  readonly language: string;
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

export interface Span {
  readonly text: string;
  readonly line: number;
}

export interface Row {
  readonly cells: readonly string[];
  readonly line: number;
}

/** A Markdown file, as far as its claims can be checked. */
export class Document {
  readonly path: string;
  readonly lines: readonly string[];
  /** The same lines, empty inside of fenced blocks. */
  readonly prose: readonly string[];
  readonly snippets: readonly Snippet[];

  constructor(path: string) {
    this.path = path;
    this.lines = readFileSync(join(root, path), "utf8").split("\n");
    const prose: string[] = [];
    const snippets: Snippet[] = [];
    let fence: { language: string; indent: number; line: number; text: string[] } | null = null;
    for (const [index, line] of this.lines.entries()) {
      const mark = /^(\s*)```(.*)$/.exec(line);
      if (mark !== null && fence === null) {
        const [, indent = "", language = ""] = mark;
        fence = { language: language.trim(), indent: indent.length, line: index + 2, text: [] };
      } else if (mark !== null && fence !== null) {
        snippets.push({ language: fence.language, text: fence.text.join("\n"), line: fence.line });
        fence = null;
      } else if (fence !== null) {
        fence.text.push(line.slice(fence.indent));
      }
      prose.push(fence !== null || mark !== null ? "" : line);
    }
    this.prose = prose;
    this.snippets = snippets;
  }

  /** `path:line`, for a message. */
  at(line: number): string {
    return `${this.path}:${line}`;
  }

  /** Inline code. */
  get code(): Span[] {
    return this.prose.flatMap((text, index) =>
      [...text.matchAll(/`([^`]+)`/g)].map(([, span = ""]) => ({ text: span, line: index + 1 })),
    );
  }

  /** Links and images, without their title. */
  get links(): Span[] {
    return this.prose.flatMap((text, index) =>
      [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => ({
        text: target,
        line: index + 1,
      })),
    );
  }

  get headings(): { level: number; text: string; line: number }[] {
    return this.prose.flatMap((text, index) => {
      const found = /^(#+) (.*)$/.exec(text);
      if (found === null) return [];
      return [{ level: found[1]?.length ?? 0, text: found[2] ?? "", line: index + 1 }];
    });
  }

  /** As GitHub makes them. */
  get anchors(): Set<string> {
    return new Set(
      this.headings.map(({ text }) =>
        text
          .toLowerCase()
          .replace(/[^\p{L}\p{N}\s_-]/gu, "")
          .replaceAll(" ", "-"),
      ),
    );
  }

  /** Prose under the heading of that text, up to the next one of its level or above; throws when there is none. */
  section(heading: string): { lines: readonly string[]; first: number } {
    const from = this.headings.find(({ text }) => text === heading);
    if (from === undefined) throw new Error(`${this.path} has no heading "${heading}"`);
    const to = this.headings.find(({ level, line }) => line > from.line && level <= from.level);
    return { lines: this.prose.slice(from.line, (to?.line ?? 1e9) - 1), first: from.line + 1 };
  }

  /** Rows of the tables under a heading, without their heads. `\|` is a character like others. */
  rows(heading: string): Row[] {
    const { lines, first } = this.section(heading);
    const rows: Row[] = [];
    for (const [index, line] of lines.entries()) {
      if (!line.startsWith("|") || /^[|\s:-]+$/.test(line)) continue;
      // The line below a head is the dashes.
      if (/^\|[|\s:-]+$/.test(lines[index + 1] ?? "")) continue;
      const cells = line
        .slice(1, line.lastIndexOf("|"))
        .split(/(?<!\\)\|/)
        .map((cell) => cell.replaceAll("\\|", "|").trim());
      rows.push({ cells, line: first + index });
    }
    return rows;
  }
}

/** `` `name` `` without its marks; the text itself when it has none. */
export function bare(cell: string | undefined): string {
  return /^`([^`]*)`$/.exec(cell ?? "")?.[1] ?? cell ?? "";
}

/** All files of the repository, by git; without git all that are not generated. */
export function trackedFiles(): string[] {
  try {
    const options = { cwd: root, maxBuffer: 1e8, stdio: ["ignore", "pipe", "ignore"] as const };
    const text = execFileSync("git", ["ls-files", "-z"], { ...options, stdio: [...options.stdio] });
    const files = text.toString().split("\0");
    return files.filter((file) => file !== "" && existsSync(join(root, file)));
  } catch {
    return walk("");
  }
}

function walk(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(".") && entry.name !== ".ci") return [];
    if (entry.isDirectory()) return folder === "" && GENERATED.has(entry.name) ? [] : walk(path);
    return [path];
  });
}

export function exists(path: string): boolean {
  return existsSync(join(root, path));
}

export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
