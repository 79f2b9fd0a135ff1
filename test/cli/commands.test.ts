import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { RollingFile } from "../../analyzer/cli/rolling-file.ts";
import { packageRoot } from "../../analyzer/config/package-root.ts";
import { cli } from "../support/cli.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const SOUND = `experiments:
  - name: fraud
    primary: { cluster: p, address: 127.0.0.1:9001 }
    shadows: [ { name: shadow, cluster: s, address: 127.0.0.1:9002 } ]
nats: { user: me }
`;

let dir: TempDir;
let file: string;

beforeAll(() => {
  dir = tempDir("cli");
  file = join(dir.path, "shadowgraph.yaml");
  writeFileSync(file, SOUND);
});

afterAll(() => dir.remove());

describe("help", () => {
  test.each([
    [[]],
    [["up"]],
    [["analyzer"]],
    [["migrate"]],
    [["render"]],
    [["render", "envoy"]],
    [["doctor"]],
  ])("of %j tells what it does", async (command) => {
    const { exitCode, out, err } = await cli([...command, "--help"]);
    expect(exitCode).toBe(0);
    expect(out).toContain(`Usage: ${["shadowgraph", ...command].join(" ")}`);
    expect(out).toMatch(/Examples:|Every command has --help, with examples/);
    expect(err).toBe("");
  });

  test("comes instead of an error when no command is given, but the exit says that nothing was done", async () => {
    for (const args of [[], ["render"]]) {
      const { exitCode, out, err } = await cli(args);
      expect(exitCode).toBe(2);
      expect(out).toBe("");
      expect(err).toContain("Commands:");
    }
  });

  test("names every variable of the environment", async () => {
    const { out } = await cli(["--help"]);
    for (const name of ["CLICKHOUSE_URL", "NATS_URL", "SHADOWGRAPH_NATS_PASSWORD", "LOG_LEVEL"]) {
      expect(out).toContain(name);
    }
  });
});

test("--version is the package's", async () => {
  const { version } = JSON.parse(
    readFileSync(join(packageRoot().path, "package.json"), "utf8"),
  ) as {
    version: string;
  };
  expect(await cli(["--version"])).toEqual({ exitCode: 0, out: `${version}\n`, err: "" });
});

describe("a slip of the finger is answered with the nearest right name:", () => {
  test.each([
    [["docter"], "unknown command docter; did you mean doctor? (see shadowgraph --help)"],
    [["docter", "--json"], "unknown command docter; did you mean doctor? (see shadowgraph --help)"],
    [
      ["render", "envyo"],
      "unknown command envyo; did you mean envoy? (see shadowgraph render --help)",
    ],
    [
      ["render", "envoy", "--fragment"],
      "unknown option --fragment; did you mean --fragments? (see shadowgraph render envoy --help)",
    ],
    [
      ["up", "--confg=x.yaml"],
      "unknown option --confg; did you mean --config? (see shadowgraph up --help)",
    ],
    [["--versoin"], "unknown option --versoin; did you mean --version? (see shadowgraph --help)"],
    [
      ["zebra"],
      "unknown command zebra; there are up, analyzer, migrate, render, doctor (see shadowgraph --help)",
    ],
  ])("%j", async (args, message) => {
    expect(await cli(args)).toEqual({
      exitCode: 2,
      out: "",
      err: `shadowgraph: USAGE: ${message}\n`,
    });
  });

  test("a wrong value says what was expected", async () => {
    const { exitCode, err } = await cli(["doctor", "--timeout", "soon"]);
    expect(exitCode).toBe(2);
    expect(err).toContain("Expected a whole number from 1 to 600000.");
  });
});

describe("errors", () => {
  test("are one readable line with a code, without a stack", async () => {
    const { exitCode, out, err } = await cli(["migrate", "--config", "no/such.yaml"]);
    expect(exitCode).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(/^shadowgraph: CONFIG_FILE: no\/such\.yaml does not exist[^\n]*\n$/);
  });

  test("show where they came from when LOG_LEVEL is debug", async () => {
    const { err } = await cli(["migrate", "--config", "no/such.yaml"], { LOG_LEVEL: "debug" });
    expect(err).toContain("\n    at ");
  });

  test("from ClickHouse that is not there name it", async () => {
    const { exitCode, err } = await cli(["migrate", "--config", file], {
      CLICKHOUSE_URL: "http://127.0.0.1:1",
    });
    expect(exitCode).toBe(1);
    expect(err).toMatch(/^shadowgraph: CLICKHOUSE_UNAVAILABLE: .*ECONNREFUSED.*\n$/);
  });

  test("of `up` say that it starts no server for another machine's address", async () => {
    const remote = join(dir.path, "remote.yaml");
    writeFileSync(remote, `${SOUND}clickhouse: { url: "http://ch.example:8123" }\n`);
    const { exitCode, err } = await cli(["up", "--config", remote, "--data", dir.path]);
    expect(exitCode).toBe(1);
    expect(err).toMatch(
      /^shadowgraph: CONFIG_INVALID: clickhouse\.url is http:\/\/ch\.example:8123, which is another machine/,
    );
  });
});

describe("render envoy", () => {
  test("writes to standard output, and only the configuration", async () => {
    const { exitCode, out } = await cli(["render", "envoy", "--config", file]);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^# Envoy for experiment fraud, written by/);
    const { out: fragments } = await cli(["render", "envoy", "--config", file, "--fragments"]);
    expect(fragments).toMatch(/^# Shadowgraph's parts for an Envoy that exists already/);
  });

  test("replaces its own file, and nobody else's unless told to", async () => {
    const target = join(dir.path, "envoy.yaml");
    const render = (...more: string[]) =>
      cli(["render", "envoy", "--config", file, "--out", target, ...more]);
    expect((await render()).err).toContain(`wrote ${target}`);
    expect((await render()).exitCode).toBe(0);
    writeFileSync(target, "admin: {}\n");
    const refused = await render();
    expect(refused.exitCode).toBe(1);
    expect(refused.err).toContain("FILE_UNWRITABLE");
    expect(readFileSync(target, "utf8")).toBe("admin: {}\n");
    expect((await render("--force")).exitCode).toBe(0);
  });

  test("keeps a file that holds a password from other users", async () => {
    const target = join(dir.path, "secret.yaml");
    await cli(["render", "envoy", "--config", file, "--out", target], {
      SHADOWGRAPH_NATS_PASSWORD: "p",
    });
    expect(statSync(target).mode & 0o077).toBe(0);
  });

  test("says that the filter is not there, instead of leaving that to Envoy", async () => {
    const other = join(dir.path, "other.yaml");
    writeFileSync(other, `${SOUND}envoy: { wasm: nowhere.wasm }\n`);
    const { exitCode, err } = await cli(["render", "envoy", "--config", other]);
    expect(exitCode).toBe(0);
    expect(err).toContain(`warning: ${join(dir.path, "nowhere.wasm")} does not exist`);
  });

  test("into a folder that does not exist is refused with the reason", async () => {
    const target = join(dir.path, "missing", "envoy.yaml");
    const { err } = await cli(["render", "envoy", "--config", file, "--out", target]);
    expect(err).toContain(`FILE_UNWRITABLE: ${target} cannot be written (ENOENT)`);
  });
});

test("the program itself runs as a process and hands on its exit code", async () => {
  const main = join(packageRoot().path, "analyzer", "cli", "main.ts");
  const run = promisify(execFile);
  const args = ["--import", "tsx", main];
  const options = { cwd: packageRoot().path, timeout: 60_000 };
  const { stdout } = await run(process.execPath, [...args, "--version"], options);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  await expect(run(process.execPath, [...args, "docter"], options)).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("did you mean doctor?") as unknown,
  });
}, 60_000);

test("the log of `up` cannot fill the disk", () => {
  const folder = join(dir.path, "log");
  mkdirSync(folder);
  const path = join(folder, "analyzer.log");
  const log = new RollingFile(path, 100);
  for (let line = 0; line < 50; line++) log.write(`line ${String(line).padStart(4, "0")}\n`);
  log.close();
  expect(statSync(path).size).toBeLessThanOrEqual(110);
  expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(110);
  expect(readFileSync(path, "utf8")).toContain("line 0049");
});
