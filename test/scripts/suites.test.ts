import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { type Clone, makeClone } from "./clone.ts";

// Real processes on a machine that may be busy with other tests.
jest.setTimeout(60_000);

let clone: Clone;
beforeEach(() => {
  clone = makeClone();
  clone.linkPackages();
  clone.write(
    "jest.config.js",
    `const shared = { testEnvironment: "node" };
     export default { projects: [
       { ...shared, displayName: "unit", testMatch: ["<rootDir>/test/*.test.js"] },
       { ...shared, displayName: "e2e", testMatch: ["<rootDir>/test/e2e/*.test.js"] },
     ] };`,
  );
  clone.write(
    "run.mjs",
    `import { runSuites } from "./scripts/tools/suites.mjs";
     process.exitCode = await runSuites({ root: process.cwd(), args: process.argv.slice(2) });`,
  );
  clone.write("test/two.test.js", 'test("a", () => {}); test("b", () => {});');
  clone.write("test/e2e/one.test.js", 'test("c", () => {});');
});
afterEach(() => clone.remove());

const lastLine = (text: string) => text.trimEnd().split("\n").at(-1);
const suites = (...args: string[]) =>
  clone.node(["run.mjs", ...args], { PATH: process.env["PATH"] ?? "" });

test("the last line sums up all suites, and all passed is a success", async () => {
  const { code, stdout } = await suites();
  expect(lastLine(stdout)).toBe("3 passed, 0 failed");
  expect(code).toBe(0);
});

test("failed tests and files that cannot be loaded count as failed, wherever they are", async () => {
  clone.write(
    "test/bad.test.js",
    'test("d", () => { throw new Error("no"); }); test("e", () => {});',
  );
  clone.write("test/e2e/unloadable.test.js", "import './no-such-file.js';");
  const { code, stdout } = await suites();
  expect(lastLine(stdout)).toBe("4 passed, 2 failed");
  expect(code).toBe(1);
});

test("arguments choose tests; a choice that fits none is a failure that says so", async () => {
  const chosen = await suites("test/e2e");
  expect(lastLine(chosen.stdout)).toBe("1 passed, 0 failed");
  expect(chosen.code).toBe(0);
  const none = await suites("test/nothing-here");
  expect(lastLine(none.stdout)).toBe("0 passed, 0 failed");
  expect(none.stderr).toContain('no test ran: nothing fits "test/nothing-here"');
  expect(none.code).toBe(1);
});

test("tests left out by a filter are told as skipped, a crash of jest as a failure", async () => {
  expect(lastLine((await suites("-t", "a")).stdout)).toBe("1 passed, 0 failed, 2 skipped");
  const crashed = await suites("--shard=nonsense");
  expect(lastLine(crashed.stdout)).toBe("0 passed, 2 failed");
  expect(crashed.code).toBe(1);
});

test.each([
  { check: 0, tests: 0, line: "3 passed, 0 failed", code: 0 },
  { check: 1, tests: 0, line: "3 passed, 0 failed", code: 1 },
  { check: 0, tests: 1, line: "2 passed, 1 failed", code: 1 },
])(
  "the CI run ends with the tests' line; check $check and tests $tests give exit $code",
  async (given) => {
    clone.program(
      "npm",
      `case "$*" in *check*) exit ${given.check};; *test*) echo '${given.line}'; exit ${given.tests};; esac`,
    );
    clone.program("dirname", "echo .ci");
    const { code, stdout } = await clone.run("/bin/bash", [".ci/run"]);
    expect(lastLine(stdout)).toBe(given.line);
    expect(code).toBe(given.code);
  },
);
