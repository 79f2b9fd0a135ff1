/** Tells scripts/tools/suites.mjs, over the channel it opened, how many tests passed and failed. */
export default class CountReporter {
  onRunComplete(_, results) {
    // A file that cannot be loaded has no test that could fail: it counts as one.
    const unloaded = results.testResults.filter(
      (file) => file.testExecError !== undefined && file.numFailingTests === 0,
    ).length;
    process.send?.({
      passed: results.numPassedTests,
      failed: results.numFailedTests + unloaded,
      skipped: results.numPendingTests + results.numTodoTests,
    });
  }
}
