import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { startNats } from "../../analyzer/embedded/nats.ts";
import type { ServerProcess } from "../../analyzer/embedded/process.ts";
import { freePort } from "../support/ports.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

// Real processes on a machine that may be busy with other tests.
jest.setTimeout(60_000);

let dir: TempDir;
beforeEach(() => {
  dir = tempDir("embedded-nats");
});
const started: ServerProcess[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.kill()));
  dir.remove();
});

async function start(options: Omit<Parameters<typeof startNats>[0], "dir"> = {}) {
  const server = await startNats({ dir: join(dir.path, "nats"), ...options });
  started.push(server);
  return server;
}

test("messages that JetStream acknowledged are there after nats-server was killed and started again on the same port", async () => {
  const first = await start();
  const before = await connect({ servers: first.url, reconnect: false });
  await (await jetstreamManager(before)).streams.add({ name: "KEPT", subjects: ["kept.>"] });
  for (let i = 0; i < 100; i++) await jetstream(before).publish("kept.a", String(i));
  await first.kill();

  const second = await start({ port: first.port });
  expect(second.port).toBe(first.port);
  const after = await connect({ servers: second.url });
  const { state } = await (await jetstreamManager(after)).streams.info("KEPT");
  expect(state.messages).toBe(100);
  await after.close();
});

test("a NATS port that is taken is refused by its number and name", async () => {
  const port = await freePort();
  await start({ port });
  const second = startNats({ dir: join(dir.path, "other"), port });
  await expect(second).rejects.toMatchObject({
    code: "PORT_TAKEN",
    message: `port 127.0.0.1:${port} for NATS is in use: stop what listens there or choose another port`,
  });
});

test("a data directory in use is refused with the process that has it, and free again once that has ended", async () => {
  const first = await start();
  await expect(start()).rejects.toMatchObject({
    code: "EMBEDDED_FAILED",
    message: expect.stringContaining(`is in use by process ${first.pid}`),
  });
  await first.stop();
  await start();
});

test("with a user, nobody else gets in; with a monitoring port, the server answers there", async () => {
  const server = await start({ user: "shadow", password: 'with "quotes" \\', monitorPort: 0 });
  await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow(
    /authorization/i,
  );
  const connection = await connect({
    servers: server.url,
    user: "shadow",
    pass: 'with "quotes" \\',
  });
  await connection.close();
  const health = await fetch(`${server.monitorUrl}/healthz`);
  expect(await health.json()).toEqual({ status: "ok" });
});

test("a server that ends by itself resolves `exited` and a configuration that it refuses is said in its words", async () => {
  const server = await start();
  process.kill(server.pid, "SIGKILL");
  expect(await server.exited).toMatchObject({ signal: "SIGKILL" });
  expect(server.running()).toBe(false);
  await expect(start({ extraConfig: "no_such_key: 1" })).rejects.toMatchObject({
    code: "EMBEDDED_FAILED",
    message: expect.stringContaining('unknown field "no_such_key"'),
  });
});

test("without a nats-server the message says what to set", async () => {
  const { NATS_SERVER_BIN: before } = process.env;
  process.env["NATS_SERVER_BIN"] = join(dir.path, "missing");
  try {
    await expect(start()).rejects.toMatchObject({
      code: "EMBEDDED_UNSUPPORTED",
      message: expect.stringMatching(/missing, which is no program.*npm run setup.*nats\.servers/),
    });
  } finally {
    if (before === undefined) delete process.env["NATS_SERVER_BIN"];
    else process.env["NATS_SERVER_BIN"] = before;
  }
});
