import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stopSignal } from "../../analyzer/cli/stop-signal.ts";
import { Shown } from "../../analyzer/cli/usage.ts";
import { type DataDirLock, lockDataDir } from "../../analyzer/embedded/data-dir.ts";
import { AnalyzerError } from "../../analyzer/errors.ts";
import { Api } from "./api.ts";
import { type Load, startLoad } from "./load.ts";
import { type DemoOptions, parseOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { plantedIn } from "./scoring.ts";
import { EXPERIMENT, type Stack, startStack } from "./stack.ts";
import { PlantedCounts, summaryText } from "./summary.ts";

/** After the summary: enough to see the page move. */
const IDLE_RATE = 5;
/** The page's figures may be this much behind the last request: the join window, a flush, a ledger. */
const SETTLE_MS = 30_000;

/** Aborted when a person asks to stop, or when a part breaks. */
const stop = new AbortController();
const asked = stopSignal();
asked.addEventListener("abort", () => stop.abort());

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    return await demo(parseOptions(args));
  } catch (error) {
    if (error instanceof Shown) return error.exitCode;
    const known = error instanceof AnalyzerError;
    const text = known ? `${error.code}: ${error.message}` : String((error as Error).stack);
    process.stderr.write(`\nthe demo cannot go on: ${text}\n`);
    return known && error.code === "USAGE" ? 2 : 1;
  }
}

async function demo(options: DemoOptions): Promise<number> {
  const dir = resolve(options.dir);
  const lock = takeLock(dir);
  // A name of our own: this folder is removed, whatever --dir is.
  const data = join(dir, "shadowgraph-demo-data");
  // What a crash left behind.
  rmSync(data, { recursive: true, force: true });
  let stack: Stack | null = null;
  try {
    stack = await startStack({
      dir: data,
      ports: options.ports,
      onStep: (step) => process.stdout.write(`starting ${step} …\n`),
    });
    process.stdout.write(whereToLook(stack, data));
    return await run(stack, options);
  } finally {
    if (stack !== null) {
      process.stdout.write("\nstopping everything …\n");
      await stack.stop();
    }
    rmSync(data, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    lock.release();
  }
}

function takeLock(dir: string): DataDirLock {
  try {
    return lockDataDir(dir, "The demo");
  } catch (cause) {
    const holder = /by process (\d+)/.exec((cause as Error).message)?.[1];
    if (holder === undefined) throw cause;
    throw new AnalyzerError(
      "EMBEDDED_FAILED",
      `a demo is running already (process ${holder}): end it with Ctrl-C where it was started, or start this one with --dir and --free-ports`,
      { cause },
    );
  }
}

function whereToLook(stack: Stack, data: string): string {
  return `
  page           ${stack.pageUrl}/
  API            ${stack.pageUrl}/openapi.json
  ClickHouse     ${stack.clickhouse.url}/play
  Envoy admin    ${stack.envoy.adminUrl}/
  the service    ${stack.url}/v1/rules?country=DE   (through Envoy)
  logs, data     ${data}

Ctrl-C ends everything and removes the data.

`;
}

async function run(stack: Stack, options: DemoOptions): Promise<number> {
  const { requests, rate, once } = options;
  const api = new Api(stack.pageUrl, EXPERIMENT);
  const progress = new Progress(process.stdout);
  const planted = new PlantedCounts();
  let broken: string | null = null;
  void stack.broken.then((sentence) => {
    // Ctrl-C in a terminal reaches every process: then their end is what was asked for.
    if (stop.signal.aborted) return;
    broken = sentence;
    stop.abort();
  });

  const load = startLoad({
    url: stack.url,
    requests,
    rate,
    onAnswer: (request, status) => {
      if (status !== 0) planted.add(plantedIn(request), request.chunked);
    },
  });
  const ended = await watch(load, api, progress);
  if (broken !== null) throw new AnalyzerError("EMBEDDED_FAILED", broken);
  if (!ended) return 0;

  const result = await load.done;
  await settled(api, progress);
  const [summary, accounting] = await Promise.all([api.summary(), api.accounting()]);
  progress.end();
  process.stdout.write(
    summaryText({
      sent: result.sent,
      seconds: result.elapsedMs / 1000,
      failed: result.failed,
      userP50Ms: result.latencyMs.p50,
      userP99Ms: result.latencyMs.p99,
      planted,
      summary,
      accounting,
    }),
  );
  if (once || stop.signal.aborted) return result.failed === 0 && accounting.balanced ? 0 : 1;

  process.stdout.write(
    `Going on with ${IDLE_RATE} requests a second; the page is ${stack.pageUrl}/\n\n`,
  );
  const idle = startLoad({
    url: stack.url,
    requests: Number.POSITIVE_INFINITY,
    rate: IDLE_RATE,
    from: requests,
  });
  await watch(idle, api, progress);
  progress.end();
  if (broken !== null) throw new AnalyzerError("EMBEDDED_FAILED", broken);
  return 0;
}

/** Shows how far things are until the load has ended (true) or somebody asked to stop (false). */
async function watch(load: Load, api: Api, progress: Progress): Promise<boolean> {
  let over = false;
  void load.done.then(() => {
    over = true;
  });
  while (!over && !stop.signal.aborted) {
    if (progress.isDue()) {
      const { sent, failed, serverErrors, elapsedMs } = load.progress();
      const stored = await api.overview();
      progress.show(
        `${(elapsedMs / 1000).toFixed(0).padStart(4)} s   sent ${text(sent)}   pairs ${text(stored?.pairs ?? 0)}   divergent ${text(stored?.divergentPairs ?? 0)}   orphans ${text(stored?.orphans ?? 0)}   users' errors ${text(serverErrors + failed)}`,
      );
    }
    await Promise.race([load.done, sleep(100)]);
  }
  if (over) return true;
  load.stop();
  progress.end();
  await load.done;
  return false;
}

/** Until every sampled request has an outcome, or it has taken too long to be waited for. */
async function settled(api: Api, progress: Progress): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  let quietSince = performance.now();
  let before = "";
  while (performance.now() < deadline && !stop.signal.aborted) {
    const books = await api.accounting().catch(() => null);
    const open = books?.joined.waiting ?? 0;
    const state = JSON.stringify([books?.requests, books?.joined]);
    if (state !== before) quietSince = performance.now();
    before = state;
    // The workers' own counts come once a second: only two equal ones in a row are the last.
    if (books !== null && open === 0 && performance.now() - quietSince > 2500) return;
    if (progress.isDue()) progress.show(`waiting for the last outcomes: ${text(open)} open`);
    await sleep(250);
  }
}

function text(value: number): string {
  return value.toLocaleString("en-US");
}
