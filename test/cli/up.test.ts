import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "@jest/globals";
import { packageRoot } from "../../analyzer/config/package-root.ts";
import { freePorts } from "../support/ports.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait.ts";

function start(args: readonly string[], cwd: string) {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const main = join(packageRoot().path, "analyzer", "cli", "main.ts");
  const child = spawn(process.execPath, ["--import", loader, main, ...args], { cwd });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
  return { child, exited, out: () => out, err: () => err };
}

test("`up` brings everything where the configuration says, tells where to look, and ends in good order", async () => {
  const dir = tempDir("up");
  const [nats = 0, clickhouse = 0, page = 0] = await freePorts(3);
  writeFileSync(
    join(dir.path, "shadowgraph.yaml"),
    `experiments:
  - name: fraud
    primary: { cluster: p }
    shadows: [ { name: shadow, cluster: s } ]
nats: { servers: ["nats://127.0.0.1:${nats}"] }
clickhouse: { url: "http://127.0.0.1:${clickhouse}" }
http: { port: ${page} }
`,
  );
  const up = start(["up"], dir.path);
  try {
    await waitFor("the places to look", () => up.out().includes("Ctrl-C ends everything"), {
      timeoutMs: 90_000,
    });
    expect(up.out()).toContain(`page         http://127.0.0.1:${page}/`);
    expect(up.out()).toContain(`ClickHouse   http://127.0.0.1:${clickhouse}/play`);
    expect(up.out()).toContain(`NATS         nats://127.0.0.1:${nats}`);
    await waitFor(
      "readiness",
      async () => (await fetch(`http://127.0.0.1:${page}/health/ready`)).status === 200,
      { timeoutMs: 60_000 },
    );
    const doctor = start(["doctor", "--json"], dir.path);
    expect(await doctor.exited).toBe(0);
    const { ok } = JSON.parse(doctor.out()) as { ok: boolean };
    expect(ok).toBe(true);

    const second = start(["up"], dir.path);
    expect(await second.exited).toBe(1);
    expect(second.err()).toMatch(/EMBEDDED_FAILED: NATS's data directory .* is in use by process/);

    up.child.kill("SIGTERM");
    expect(await up.exited).toBe(0);
    expect(readFileSync(join(dir.path, ".shadowgraph", "analyzer.log"), "utf8")).toContain(
      "stopped in good order",
    );
    expect(existsSync(join(dir.path, ".shadowgraph", "nats", "shadowgraph.lock"))).toBe(false);
    await expect(fetch(`http://127.0.0.1:${clickhouse}/ping`)).rejects.toThrow();
  } finally {
    up.child.kill("SIGKILL");
    await up.exited;
    dir.remove();
  }
}, 240_000);
