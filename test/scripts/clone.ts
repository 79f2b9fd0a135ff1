import { spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { packageRoot } from "../../analyzer/embedded/binary.mjs";
import { tempDir } from "../support/temp-dir.ts";

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A folder like a fresh clone, and a PATH that holds nothing but what the test puts there. */
export interface Clone {
  readonly path: string;
  write(path: string, text: string): void;
  /** Puts a program of this name on the PATH; a shell script. */
  program(name: string, script: string): string;
  /** Puts all of this clone's own node_modules in place: the real ones. */
  linkPackages(): void;
  run(command: string, args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  node(args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  remove(): void;
}

const COPIED = ["scripts", "analyzer/embedded", ".ci", "package.json", "package-lock.json"];

export function makeClone(): Clone {
  const root = packageRoot();
  const dir = tempDir("clone");
  const path = join(dir.path, "clone");
  const bin = join(dir.path, "bin");
  mkdirSync(bin);
  for (const name of COPIED) cpSync(join(root, name), join(path, name), { recursive: true });

  const run = (command: string, args: readonly string[], env: Record<string, string> = {}) =>
    new Promise<Ended>((resolve, reject) => {
      const child = spawn(command, args, {
        cwd: path,
        env: { PATH: bin, HOME: dir.path, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const ended: Ended = { code: null, stdout: "", stderr: "" };
      child.stdout.on("data", (chunk) => {
        ended.stdout += chunk;
      });
      child.stderr.on("data", (chunk) => {
        ended.stderr += chunk;
      });
      child.on("error", reject);
      child.on("close", (code) => resolve({ ...ended, code }));
    });
  return {
    path,
    write(file, text) {
      mkdirSync(dirname(join(path, file)), { recursive: true });
      writeFileSync(join(path, file), text);
    },
    program(name, script) {
      const file = join(bin, name);
      writeFileSync(file, `#!/bin/sh\n${script}\n`);
      chmodSync(file, 0o755);
      return file;
    },
    linkPackages: () => symlinkSync(join(root, "node_modules"), join(path, "node_modules")),
    run,
    node: (args, env) => run(process.execPath, args, env),
    remove: () => dir.remove(),
  };
}
