import { spawn } from "node:child_process";
import { join } from "node:path";
import { say } from "./steps.mjs";

/** Unit tests side by side; the ones with whole servers one after another, so that they do not measure each other. */
const SUITES = [
  { name: "unit", args: ["--maxWorkers", "2"] },
  { name: "e2e", args: ["--runInBand"] },
];

/** After the last test, a process that does not end holds something open that a test forgot. */
const END_MS = 30_000;

/**
 * Runs the suites with jest, output as it comes, and ends with the line `N passed, N failed` for all together.
 * Returns the exit code: 0 only when all passed and at least one ran.
 */
export async function runSuites({ root, args = [] }) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of SUITES) {
    const counts = await runSuite(suite, { root, args });
    for (const key of Object.keys(total)) total[key] += counts[key];
  }
  const none = total.passed + total.failed === 0;
  if (none) say(`no test ran: nothing fits ${JSON.stringify(args.join(" "))}`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);
  return none || total.failed > 0 ? 1 : 0;
}

function runSuite(suite, { root, args }) {
  return new Promise((resolve) => {
    const env = { ...process.env };
    const options = [
      env.NODE_OPTIONS,
      "--experimental-vm-modules",
      "--no-warnings=ExperimentalWarning",
    ];
    env.NODE_OPTIONS = options.filter(Boolean).join(" ");
    const jest = spawn(
      process.execPath,
      [
        join(root, "node_modules", "jest", "bin", "jest.js"),
        // Flags that take several values first: they would swallow the names of tests that follow.
        ...["--reporters", "default"],
        ...["--reporters", join(root, "scripts", "tools", "count-reporter.mjs")],
        ...["--selectProjects", suite.name, ...suite.args, "--passWithNoTests"],
        ...args,
      ],
      { cwd: root, env, stdio: ["inherit", "inherit", "inherit", "ipc"] },
    );
    let counts;
    let timer;
    jest.on("message", (message) => {
      counts = message;
      timer = setTimeout(() => {
        say(
          `the ${suite.name} tests are over but something that they opened is not: ended after ${END_MS} ms`,
        );
        counts.failed += 1;
        jest.kill("SIGKILL");
      }, END_MS);
    });
    // Ctrl-C reaches jest too; we stay to print the sum.
    const ignore = () => {};
    process.on("SIGINT", ignore);
    jest.on("error", (error) => say(`jest cannot be started: ${error.message}`));
    jest.on("close", (code) => {
      clearTimeout(timer);
      process.off("SIGINT", ignore);
      counts ??= { passed: 0, failed: 0, skipped: 0 };
      // Ended badly without a failed test to show for it: jest itself failed.
      if (code !== 0 && counts.failed === 0) counts.failed = 1;
      resolve(counts);
    });
  });
}
