import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ServerProcess } from "../../analyzer/embedded/process.ts";
import { startClickHouse } from "../support/clickhouse.ts";
import { freePort } from "../support/ports.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

// Real processes on a machine that may be busy with other tests.
jest.setTimeout(60_000);

let dir: TempDir;
beforeEach(() => {
  dir = tempDir("embedded-clickhouse");
});
const started: ServerProcess[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.kill()));
  dir.remove();
});

async function start(options: Parameters<typeof startClickHouse>[0] = {}) {
  const server = await startClickHouse({ dir: join(dir.path, "clickhouse"), ...options });
  started.push(server);
  return server;
}

test("rows that were acknowledged are there after ClickHouse was killed and started again, none of them twice", async () => {
  let server = await start();
  await server.query("CREATE DATABASE kept ENGINE = Atomic");
  await server.query(
    "CREATE TABLE kept.rows (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000",
  );
  const insert = (round: number) =>
    server.query(
      `INSERT INTO kept.rows SETTINGS insert_deduplication_token = 'round-${round}' SELECT number + ${round * 1000} FROM numbers(1000)`,
    );
  for (let round = 0; round < 3; round++) {
    await insert(round);
    // Killed in the middle of the next insert: that one may be in or not, and is sent again.
    const interrupted = insert(round + 1).catch(() => "");
    await server.kill();
    await interrupted;
    server = await start({ httpPort: server.port, tcpPort: server.tcpPort });
    await insert(round);
    await insert(round + 1);
    const [row] = await server.rows(
      "SELECT count() AS stored, uniqExact(n) AS different FROM kept.rows",
    );
    expect(row).toEqual({ stored: (round + 2) * 1000, different: (round + 2) * 1000 });
  }
});

test("a ClickHouse port that is taken is refused by its number and name", async () => {
  const port = await freePort();
  await start({ tcpPort: port });
  const second = startClickHouse({ dir: join(dir.path, "other"), tcpPort: port });
  await expect(second).rejects.toMatchObject({
    code: "PORT_TAKEN",
    message: expect.stringContaining(`port 127.0.0.1:${port} for ClickHouse native TCP is in use`),
  });
});

test("a data directory in use is refused with the process that has it", async () => {
  const first = await start();
  await expect(start()).rejects.toMatchObject({
    code: "EMBEDDED_FAILED",
    message: expect.stringContaining(`is in use by process ${first.pid}`),
  });
});

test("it serves the console for people, and listens on the loopback address only", async () => {
  const server = await start();
  const console = await fetch(`${server.url}/play`);
  expect(console.status).toBe(200);
  expect(server.version).toMatch(/^\d+\.\d+\./);
  for (const address of Object.values(networkInterfaces()).flat()) {
    if (address === undefined || address.internal || address.family !== "IPv4") continue;
    await expect(fetch(`http://${address.address}:${server.port}/ping`)).rejects.toThrow();
  }
});
