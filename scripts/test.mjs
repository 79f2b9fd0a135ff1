// npm test [-- JEST ARGUMENTS]: makes the clone ready, then runs all tests. The last line is `N passed, N failed`.
import { packageRoot } from "../analyzer/embedded/binary.mjs";
import { setup } from "./setup.mjs";
import { report } from "./tools/steps.mjs";
import { runSuites } from "./tools/suites.mjs";

try {
  await setup();
  process.exitCode = await runSuites({ root: packageRoot(), args: process.argv.slice(2) });
} catch (error) {
  report(error);
  process.stdout.write("\n0 passed, 1 failed\n");
  process.exitCode = 1;
}
