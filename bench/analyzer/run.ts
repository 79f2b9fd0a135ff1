import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { packageRoot } from "../../analyzer/config/package-root.ts";
import { loadConfig } from "../../analyzer/config.ts";
import { startNats } from "../../analyzer/embedded/nats.ts";
import { bucketName, decodeCheckpoint } from "../../analyzer/ingest/checkpoint.ts";
import { ensureStream } from "../../analyzer/ingest/stream.ts";
import { createLog } from "../../analyzer/log.ts";
import { startClickHouse } from "../../test/support/clickhouse.ts";
import { tempDir } from "../../test/support/temp-dir.ts";
import { median, table } from "../report.ts";
import type { ReaderReport } from "./reader.ts";
import { EXPERIMENT, type Published, publishTraffic, type Traffic } from "./traffic.ts";

/**
 * Pairs a second of the analyzer, from the stream to rows in ClickHouse, beside a process that only reads the same messages.
 * Readers and analyzer take turns in one run, each a fresh process. README.md beside this folder says what may mislead.
 */
const { values: flags } = parseArgs({
  options: {
    pairs: { type: "string", default: "200000" },
    rounds: { type: "string", default: "3" },
    /** Only the variant whose name contains this. */
    only: { type: "string", default: "" },
    /** Only the way whose name contains this. */
    way: { type: "string", default: "" },
    /** The analyzers write CPU profiles into this folder. */
    profile: { type: "string", default: "" },
  },
});
const pairs = Number(flags.pairs);
const rounds = Number(flags.rounds);

type Variant = Omit<Traffic, "requests"> & { readonly name: string };
const VARIANTS: readonly Variant[] = [
  { name: "300 records a message", recordsPerBatch: 300, control: false },
  { name: "300 records a message, with a control", recordsPerBatch: 300, control: true },
  { name: "6 records a message", recordsPerBatch: 6, control: false },
];
const WAYS = ["bare reader", "reader + decoding", "analyzer"] as const;
type Way = (typeof WAYS)[number];

interface Measured {
  readonly wallMs: number;
  /** CPU time of the process itself and of the servers meanwhile. */
  readonly ownMs: number;
  readonly natsMs: number;
  readonly clickhouseMs: number;
}

/** Far longer than any run takes. */
const RUN_MS_MAX = 600_000;

const root = packageRoot().path;
const folder = tempDir("bench-analyzer");
const nats = await startNats({ dir: join(folder.path, "nats") });
const clickhouse = await startClickHouse({ dir: join(folder.path, "clickhouse") });
const connection = await connect({ servers: nats.url });
const manager = await jetstreamManager(connection);
let databases = 0;

console.log(
  `\n${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, Node ${process.version}, ${pairs} pairs, median of ${rounds} rounds, ${new Date().toISOString().slice(0, 10)}\n`,
);
for (const variant of VARIANTS.filter(({ name }) => name.includes(flags.only))) {
  const config = loadConfig(writeConfig(variant), {});
  await ensureStream(manager, config.nats.stream, createLog({ LOG_LEVEL: "silent" }));
  const published = await publishTraffic(jetstream(connection), { ...variant, requests: pairs });
  const measured = new Map<Way, Measured[]>();
  for (let round = 1; round <= rounds; round += 1) {
    // Each round starts with another way, so that none always follows the same one.
    for (let turn = 0; turn < WAYS.length; turn += 1) {
      const way = WAYS[(turn + round) % WAYS.length] as Way;
      if (!way.includes(flags.way)) continue;
      const one =
        way === "analyzer"
          ? await analyze(variant, published)
          : await read(variant, way, published);
      measured.set(way, [...(measured.get(way) ?? []), one]);
    }
    process.stderr.write(`${variant.name}: round ${round} of ${rounds}\n`);
  }
  report(variant.name, published, measured);
  await manager.streams.delete(config.nats.stream.name);
}
await connection.close();
await Promise.all([nats.stop(), clickhouse.stop()]);
folder.remove();

async function read(variant: Variant, way: Way, { lastSequence }: Published): Promise<Measured> {
  const { stream } = loadConfig(writeConfig(variant), {}).nats;
  const before = cpuMs(nats.pid);
  const mode = way === "bare reader" ? "read" : "decode";
  const child = run("bench/analyzer/reader.ts", nats.url, stream.name, String(lastSequence), mode);
  let text = "";
  child.stdout?.on("data", (part) => {
    text += part;
  });
  await ended(child);
  const { wallMs, cpuMs: ownMs } = JSON.parse(text) as ReaderReport;
  return { wallMs, ownMs, natsMs: cpuMs(nats.pid) - before, clickhouseMs: 0 };
}

/** From the moment in which it begins to read, with its tables made beforehand, until the last pair is stored. */
async function analyze(variant: Variant, { lastSequence }: Published): Promise<Measured> {
  databases += 1;
  const database = `bench_${databases}`;
  const configFile = writeConfig(variant, database);
  const { stream } = loadConfig(configFile, {}).nats;
  const bucket = bucketName(stream.name);
  await manager.streams.delete(`KV_${bucket}`).catch(() => false);
  const kv = await new Kvm(jetstream(connection)).create(bucket, { history: 1 });
  const checkpoints = await kv.watch({ key: "lane.0" });
  await ended(run("analyzer/cli/main.ts", "migrate", "--config", configFile));

  const child = run("analyzer/cli/main.ts", "analyzer", "--config", configFile);
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line.includes('"lane is read"')) break;
  }
  child.stdout?.resume();
  const cpuNow = () => [child.pid ?? 0, nats.pid, clickhouse.pid].map(cpuMs);
  const startedMs = performance.now();
  const before = cpuNow();
  for await (const entry of checkpoints) {
    if (decodeCheckpoint(entry.string()).done.sequence >= lastSequence) break;
  }
  const wallMs = performance.now() - startedMs;
  const [ownMs = 0, natsMs = 0, clickhouseMs = 0] = cpuNow().map((ms, i) => ms - (before[i] ?? 0));
  clearTimeout(timer);
  child.kill("SIGTERM");
  await ended(child);
  const rows = await clickhouse.query(
    `SELECT count(), uniqExact(correlation_id) FROM ${database}.pairs`,
  );
  if (rows !== `${pairs}\t${pairs}`) throw new Error(`${rows} pairs stored, expected ${pairs}`);
  await clickhouse.query(`DROP DATABASE ${database} SYNC`);
  return { wallMs, ownMs, natsMs, clickhouseMs };
}

function writeConfig({ control }: Variant, database = "shadowgraph"): string {
  const file = join(folder.path, "shadowgraph.yaml");
  const text = `experiments:
  - name: ${EXPERIMENT}
    primary: { cluster: primary }
    shadows: [ { name: shadow, cluster: shadow } ]
${control ? "    control: { cluster: control }\n" : ""}    segments: [x-country]
nats: { servers: ["${nats.url}"] }
clickhouse: { url: "${clickhouse.url}", database: ${database} }
http: { port: 0 }
`;
  writeFileSync(file, text);
  return file;
}

function run(script: string, ...args: string[]): ChildProcess {
  const isProfiled = flags.profile !== "" && args[0] === "analyzer";
  const profiling = isProfiled ? ["--cpu-prof", `--cpu-prof-dir=${flags.profile}`] : [];
  return spawn(process.execPath, [...profiling, "--import", "tsx", script, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function ended(child: ChildProcess): Promise<void> {
  child.stdout?.resume();
  const [code, signal] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
  if (code !== 0) throw new Error(`${child.spawnargs.join(" ")} ended with ${code ?? signal}`);
}

/** User and system time of a process so far, ended threads included (Linux, in steps of 10 ms). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function report(
  name: string,
  { messages, records, bytes }: Published,
  measured: ReadonlyMap<Way, readonly Measured[]>,
): void {
  const rates = (way: Way) =>
    (measured.get(way) ?? []).map(({ wallMs }) => pairs / (wallMs / 1000));
  const base = median(rates("bare reader"));
  const us = (way: Way, part: (one: Measured) => number) =>
    ((median((measured.get(way) ?? []).map(part)) * 1_000) / pairs).toFixed(1);
  const size = Math.round(bytes / records);
  console.log(`${name}: ${messages} messages, ${records} records of ${size} bytes\n`);
  console.log(
    table(
      [
        "",
        "pairs/s",
        "lowest to highest",
        "to the bare reader",
        "CPU µs a pair: itself",
        "nats-server",
        "ClickHouse",
      ],
      [...measured.keys()].map((way) => [
        way,
        median(rates(way)).toFixed(0),
        `${Math.min(...rates(way)).toFixed(0)} to ${Math.max(...rates(way)).toFixed(0)}`,
        `${((median(rates(way)) / base) * 100).toFixed(0)} %`,
        us(way, ({ ownMs }) => ownMs),
        us(way, ({ natsMs }) => natsMs),
        us(way, ({ clickhouseMs }) => clickhouseMs),
      ]),
    ),
  );
}
