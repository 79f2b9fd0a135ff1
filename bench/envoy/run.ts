import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { parseConfig } from "../../analyzer/config.ts";
import { startNats } from "../../analyzer/embedded/nats.ts";
import { freePorts } from "../../analyzer/embedded/ports.ts";
import { renderEnvoy } from "../../analyzer/envoy/render.ts";
import { type EnvoyServer, startEnvoy } from "../../scripts/tools/envoy.ts";
import { tempDir } from "../../test/support/temp-dir.ts";
import { median, table } from "../report.ts";

/**
 * What Shadowgraph costs Envoy: CPU time of the Envoy process per request, in four configurations that take turns in one
 * run, so that what else the machine does falls on all alike. README.md beside this file says what may mislead.
 */
const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    requests: { type: "string", default: "6000" },
    connections: { type: "string", default: "16" },
    /** Bytes of the answers. */
    sizes: { type: "string", default: "1024,65536" },
    /** Another build of the filter, to compare with in the same run. */
    against: { type: "string" },
  },
});
const rounds = Number(flags.rounds);
const requestsPerRound = Number(flags.requests);
const connections = Number(flags.connections);

const sizes = flags.sizes.split(",").map(Number);
const SHADOWGRAPH = "mirror + Shadowgraph";
const OTHER_BUILD = "mirror + other build";
const EMPTY = "mirror + empty wasm";
const VARIANTS = ["no mirror", "mirror", EMPTY, SHADOWGRAPH] as const;
type Variant = (typeof VARIANTS)[number] | typeof OTHER_BUILD;
const variants: readonly Variant[] =
  flags.against === undefined ? VARIANTS : [...VARIANTS, OTHER_BUILD];

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null | undefined;

interface Listening {
  readonly variant: Variant;
  readonly port: number;
  readonly envoy: EnvoyServer;
}

const folder = tempDir("bench-envoy");
execFileSync("npx", ["asc", "--config", "bench/envoy/asconfig.json", "--target", "release"]);
const backend = await startBackends();
const nats = await startNats({ dir: `${folder.path}/nats` });
const listening: Listening[] = [];
for (const variant of variants) listening.push(await start(variant));

const cpuUs = new Map<string, number[]>();
for (const { port } of listening) for (const size of sizes) await drive(port, size, 1000);
for (let round = 1; round <= rounds; round++) {
  for (const size of sizes) {
    // Each round starts with another variant, so that none always follows the same one.
    for (let turn = 0; turn < listening.length; turn++) {
      const { variant, port, envoy } = listening[(turn + round) % listening.length] as Listening;
      const before = cpuNs(envoy.pid);
      await drive(port, size, requestsPerRound);
      // The mirrored answers and the last tick's batch belong to these requests too.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const us = (cpuNs(envoy.pid) - before) / 1000 / requestsPerRound;
      const key = `${variant} ${size}`;
      cpuUs.set(key, [...(cpuUs.get(key) ?? []), us]);
    }
  }
  process.stderr.write(`round ${round} of ${rounds}\n`);
}

const filterStats = (
  await Promise.all(listening.map(({ envoy }) => envoy.stats("shadowgraph_records_dropped")))
).flatMap((stats) => [...stats]);
const lost = filterStats.filter(([, value]) => value > 0);
console.log(
  `\n${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores; ${rounds} rounds of ${requestsPerRound} requests each, ${connections} connections, one Envoy worker, ${new Date().toISOString().slice(0, 10)}\n`,
);
for (const size of sizes) {
  const base = median(cpuUs.get(`no mirror ${size}`) ?? []);
  const empty = median(cpuUs.get(`${EMPTY} ${size}`) ?? []);
  console.log(
    table(
      [
        `answers of ${size / 1024} KiB`,
        "µs per request",
        "to no mirror",
        "to empty wasm",
        "lowest to highest round",
      ],
      variants.map((variant) => {
        const all = cpuUs.get(`${variant} ${size}`) ?? [];
        return [
          variant,
          median(all).toFixed(1),
          (median(all) / base).toFixed(2),
          (median(all) / empty).toFixed(2),
          `${Math.min(...all).toFixed(1)} to ${Math.max(...all).toFixed(1)}`,
        ];
      }),
    ),
  );
}
console.log(lost.length === 0 ? "No record was dropped." : `Dropped: ${JSON.stringify(lost)}`);
for (const { envoy } of listening) await envoy.stop();
await nats.stop();
backend.close();
folder.remove();

/** CPU time of all threads of a process, ns (Linux: the first number of each thread's schedstat). */
function cpuNs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8");
    return sum + Number(stat.split(" ")[0]);
  }, 0);
}

/** Three servers in one: primary, shadow and whatever Envoy asks for answer alike. */
async function startBackends() {
  const bodies = new Map(sizes.map((size) => [`/${size}`, Buffer.alloc(size, "x")]));
  const server = createServer((incoming, answer) => {
    const body = bodies.get(incoming.url ?? "") ?? Buffer.alloc(0);
    answer.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
    answer.end(body);
    incoming.resume();
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function start(variant: Variant): Promise<Listening> {
  const [port, adminPort] = (await freePorts(2)) as [number, number];
  const address = backend.address();
  if (address === null || typeof address === "string") throw new Error("the backend has no port");
  const target = `127.0.0.1:${address.port}`;
  const config = parseConfig(
    JSON.stringify({
      experiments: [
        {
          name: "bench",
          primary: { cluster: "bench-primary", address: target },
          shadows: [{ name: "shadow", cluster: "bench-shadow", address: target }],
        },
      ],
      envoy: {
        listener: `127.0.0.1:${port}`,
        admin: `127.0.0.1:${adminPort}`,
        wasm: variant === OTHER_BUILD ? flags.against : "build/shadowgraph.wasm",
        nats: `127.0.0.1:${nats.port}`,
      },
    }),
    { path: "shadowgraph.yaml", env: {} },
  );
  const tree = adapt(renderEnvoy(config).plain as Json, variant);
  const envoy = await startEnvoy({
    config: JSON.stringify(tree),
    adminPort,
    dir: `${folder.path}/${variant.replaceAll(/\W+/g, "-")}`,
    concurrency: 1,
    logLevel: "warn",
  });
  return { variant, port, envoy };
}

/** The rendered configuration less what the variant does without. */
function adapt(node: Json, variant: Variant): Json {
  const isOurs = variant === SHADOWGRAPH || variant === OTHER_BUILD;
  if (Array.isArray(node)) {
    const kept = node.filter((item) => isOurs || variant === EMPTY || !isWasm(item));
    return kept.map((item) => adapt(item, variant));
  }
  if (node === null || typeof node !== "object") return node;
  const copy: { [key: string]: Json } = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === "request_mirror_policies" && variant === "no mirror") continue;
    // Without the tagger nothing sets the header: then the mirrored route takes everything.
    if (key === "headers" && !isOurs) continue;
    if (key === "vm_config" && variant === EMPTY) {
      copy[key] = {
        vm_id: "empty",
        runtime: "envoy.wasm.runtime.v8",
        code: { local: { filename: "build/empty-filter.wasm" } },
      };
      continue;
    }
    copy[key] = adapt(value, variant);
  }
  return copy;
}

function isWasm(item: Json): boolean {
  return (
    JSON.stringify(item)?.startsWith('{"name":"shadowgraph_tagger"') ||
    JSON.stringify(item)?.startsWith('{"name":"shadowgraph_observer"') ||
    false
  );
}

/** `count` requests over kept-alive connections, each waiting for its answer. */
async function drive(port: number, size: number, count: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  let left = count;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      request({ port, host: "127.0.0.1", path: `/${size}`, agent }, (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`answered ${answer.statusCode}`));
        answer.resume();
        answer.on("end", resolve);
      })
        .on("error", reject)
        .end();
    });
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (left-- > 0) await one();
    }),
  );
  agent.destroy();
}
