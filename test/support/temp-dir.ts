import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Folders made here and not removed yet; removed at the latest when this process ends. */
const made = new Set<string>();

export interface TempDir {
  readonly path: string;
  /** Removes it with all that is in it; waits out files that a dying server still writes. */
  remove(): void;
}

export function tempDir(name = "test"): TempDir {
  const path = mkdtempSync(join(tmpdir(), `shadowgraph-${name}-`));
  made.add(path);
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      made.delete(path);
    },
  };
}

process.on("exit", () => {
  for (const path of made) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
});
