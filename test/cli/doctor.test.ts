import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Finding } from "../../analyzer/cli/doctor/finding.ts";
import { loadConfig } from "../../analyzer/config.ts";
import { cli } from "../support/cli.ts";
import { startClickHouse, type TestClickHouse } from "../support/clickhouse.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const CONFIG = `experiments:
  - name: fraud
    primary: { cluster: p }
    shadows: [ { name: shadow, cluster: s } ]
http: { port: 1 }
envoy: { wasm: shadowgraph.yaml }
`;

let dir: TempDir;
let file: string;
let nats: NatsServer;
let clickhouse: TestClickHouse;
let connection: NatsConnection;
let env: Record<string, string>;

beforeAll(async () => {
  dir = tempDir("doctor");
  file = join(dir.path, "shadowgraph.yaml");
  writeFileSync(file, CONFIG);
  [nats, clickhouse] = await Promise.all([startNats(), startClickHouse()]);
  connection = await connect({ servers: nats.url });
  env = { NATS_URL: nats.url, CLICKHOUSE_URL: clickhouse.url };
}, 120_000);

afterAll(async () => {
  await connection?.close();
  await Promise.all([nats?.stop(), clickhouse?.stop()]);
  dir.remove();
}, 60_000);

async function findings(more: Record<string, string> = {}) {
  const result = await cli(["doctor", "--config", file, "--json"], { ...env, ...more });
  const { ok, checks } = JSON.parse(result.out) as { ok: boolean; checks: Finding[] };
  const find = (check: string): Finding | undefined => checks.find((one) => one.check === check);
  return { exitCode: result.exitCode, ok, checks, find };
}

async function ledger(fields: object): Promise<void> {
  await jetstream(connection).publish(
    "shadow.v1.fraud.ledger",
    JSON.stringify({
      type: "ledger",
      clockUs: Date.now() * 1000,
      final: false,
      requests: { seen: 1200, sampled: 1000 },
      ...fields,
    }),
  );
}

describe("the doctor", () => {
  test("says for each thing that is missing what to do", async () => {
    const result = await cli(["doctor", "--config", file], {
      NATS_URL: "nats://127.0.0.1:1",
      CLICKHOUSE_URL: "http://127.0.0.1:1",
    });
    expect(result.exitCode).toBe(1);
    expect(result.out).toMatch(/^ok {4}configuration .*fraud \(run [0-9a-f]{12}\)\n/);
    expect(result.out).toMatch(/fail {2}NATS .*cannot be reached.*\n +→ start it/);
    expect(result.out).toMatch(/fail {2}ClickHouse .*\n +→ start it/);
    expect(result.out).toMatch(/warn {2}analyzer .*\n +→ start it: `shadowgraph analyzer`/);
  });

  test("shows every problem of a wrong configuration, and goes no further", async () => {
    const wrong = join(dir.path, "wrong.yaml");
    writeFileSync(wrong, CONFIG.replace("port: 1", "prot: 1").replace("wasm", "wsam"));
    const result = await cli(["doctor", "--config", wrong, "--json"], env);
    expect(result.exitCode).toBe(1);
    const { checks } = JSON.parse(result.out) as { checks: Finding[] };
    expect(checks.map(({ state, message }) => [state, message.replace(/^\S+ /, "")])).toEqual([
      ["fail", "http.prot unknown key; did you mean port?"],
      ["fail", "envoy.wsam unknown key; did you mean wasm?"],
    ]);
  });

  test("tells a wrong password from a server that is away", async () => {
    const locked = await startNats({ user: "me", password: "right" });
    try {
      const { find } = await findings({
        NATS_URL: locked.url.replace("//", "//me:wrong@"),
      });
      expect(find("NATS")).toMatchObject({
        state: "fail",
        advice: "check nats.user and SHADOWGRAPH_NATS_PASSWORD or SHADOWGRAPH_NATS_TOKEN",
      });
    } finally {
      await locked.stop();
    }
  }, 60_000);

  test("follows an installation from empty servers to a filter that reports", async () => {
    const empty = await findings();
    expect(empty).toMatchObject({ exitCode: 0, ok: true });
    expect(empty.find("NATS")?.state).toBe("ok");
    expect(empty.find("ClickHouse")?.state).toBe("ok");
    expect(empty.find("stream")).toMatchObject({
      state: "warn",
      advice: "start the analyzer: it creates the stream",
    });
    expect(empty.find("tables")).toMatchObject({ state: "warn" });

    const migrated = await cli(["migrate", "--config", file], env);
    expect(migrated).toMatchObject({ exitCode: 0, err: "" });
    expect(migrated.out).toMatch(/applied \d+ migrations/);
    const again = await cli(["migrate", "--config", file], env);
    expect(again.out).toMatch(/is up to date\n$/);

    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "SHADOWGRAPH", subjects: ["shadow.v1.>"] });
    const created = await findings();
    expect(created.find("stream")).toMatchObject({ state: "warn" });
    expect(created.find("stream")?.message).toContain("is empty");
    expect(created.find("tables")?.state).toBe("ok");
    expect(created.find("gaps (fraud)")?.message).toBe("no batch was lost in the last day");
    expect(created.find("dead letters")?.state).toBe("ok");
    expect(created.find("filter (fraud)")?.message).toBe("no worker has reported yet");

    const { run } = loadConfig(file, env).experiments[0] ?? { run: "" };
    await ledger({ run });
    const reporting = await findings();
    expect(reporting.find("stream")?.state).toBe("ok");
    expect(reporting.find("filter (fraud)")).toMatchObject({ state: "ok" });
    expect(reporting.find("filter (fraud)")?.message).toContain(
      "1,200 requests seen, 1,000 sampled",
    );
  }, 120_000);

  test("sees a filter with another configuration, one that fell silent and one that has ended", async () => {
    const { run } = loadConfig(file, env).experiments[0] ?? { run: "" };
    await ledger({ run: "000000000000" });
    expect((await findings()).find("filter (fraud)")).toMatchObject({
      state: "warn",
      advice: "render Envoy's configuration again and restart Envoy",
    });
    await ledger({ run, clockUs: (Date.now() - 600_000) * 1000 });
    const silent = (await findings()).find("filter (fraud)");
    expect(silent?.state).toBe("warn");
    expect(silent?.message).toContain("10 min old");
    await ledger({ run, final: true });
    expect((await findings()).find("filter (fraud)")?.message).toContain("said goodbye");
  }, 60_000);

  test("counts lost batches and unreadable messages", async () => {
    await clickhouse.query(
      "INSERT INTO shadowgraph.batch_gaps VALUES ('fraud', 'w', 3, 5, 9, now64(6)), ('fraud', 'w', 4, 1, 1, now64(6))",
    );
    await clickhouse.query(
      "INSERT INTO shadowgraph.dead_letters (received_at, code) VALUES (now64(6), 'WIRE_VERSION')",
    );
    const { find, exitCode } = await findings();
    expect(exitCode).toBe(0);
    expect(find("gaps (fraud)")?.message).toMatch(/^6 batches of 1 worker never came/);
    expect(find("dead letters")?.message).toContain("WIRE_VERSION");
  }, 60_000);
});
