import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnalyzerError } from "../errors.ts";

export interface DataDirLock {
  /** The lock holds while this process lives, even when we are gone before it. */
  handTo(pid: number): void;
  release(): void;
}

/**
 * Locks a data directory against a second server: a file that names a process and holds as long as that process lives.
 * A lock that a crash left behind is taken over.
 *
 * @throws AnalyzerError EMBEDDED_FAILED when a living process has it
 */
export function lockDataDir(dir: string, title: string): DataDirLock {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, "shadowgraph.lock");
  const own = `${path}.${process.pid}`;
  // Each pass either takes the lock, finds it held, or removes a dead one; others may do the same at the same time.
  for (let pass = 0; pass < 5; pass++) {
    writeFileSync(own, identityOf(process.pid));
    try {
      linkSync(own, path);
      return held(path, own);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      rmSync(own, { force: true });
    }
    const holder = readOr(path, "");
    if (isAlive(holder)) {
      throw new AnalyzerError(
        "EMBEDDED_FAILED",
        `${title}'s data directory ${dir} is in use by process ${holder.split(" ")[0]}: stop it or choose another directory`,
      );
    }
    const dead = `${path}.dead.${process.pid}`;
    try {
      renameSync(path, dead);
    } catch {
      continue; // Somebody else was quicker.
    }
    // Between reading and renaming another process may have put its own lock there: give it back.
    if (readOr(dead, "") !== holder) {
      try {
        linkSync(dead, path);
      } catch {
        // A third one has it now.
      }
    }
    rmSync(dead, { force: true });
  }
  throw new AnalyzerError("EMBEDDED_FAILED", `${title}'s data directory ${dir} cannot be locked`);
}

function held(path: string, own: string): DataDirLock {
  return {
    handTo(pid) {
      writeFileSync(own, identityOf(pid));
      renameSync(own, path);
    },
    release() {
      rmSync(path, { force: true });
    },
  };
}

function isAlive(holder: string): boolean {
  const pid = Number(holder.split(" ")[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, as another user's.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return identityOf(pid) === holder;
}

/** The pid and, where the system tells, when it began: pids are given out again after a restart of the machine. */
function identityOf(pid: number): string {
  const stat = readOr(`/proc/${pid}/stat`, "");
  // Fields after the command, which is in parentheses and may hold spaces: the third is the state, the 22nd the start.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A zombie serves nobody.
  if (fields[0] === "Z") return `${pid} dead`;
  return fields[19] === undefined ? `${pid}` : `${pid} ${fields[19]}`;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
