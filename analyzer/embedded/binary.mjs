// Plain JavaScript: the scripts that prepare a fresh clone use it too, before anything is installed or built.
import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** `cached` is the path below `.cache/tools` of the package, where scripts/setup.mjs puts the pinned build. */
export const NATS_SERVER = {
  title: "nats-server",
  command: "nats-server",
  variable: "NATS_SERVER_BIN",
  // 2.11 brought per-message TTL markers; the KV checkpoint counts on them.
  versionMin: [2, 11, 0],
  cached: "nats-server-2.15.1/bin/nats-server",
};

/** Older Envoys lack upstream Wasm filters' `xds.cluster_name` or differ in when callbacks come: 1.40 is what was tested. */
export const ENVOY = {
  title: "Envoy",
  command: "envoy",
  variable: "ENVOY_BIN",
  versionMin: [1, 40, 0],
  cached: "envoy-1.40.0/envoy/_bin/envoy",
};

/** The folder of package.json above this file, wherever the file runs from (source or build/). */
export function packageRoot() {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, "package.json"))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error("no package.json above the program's own files");
    dir = parent;
  }
  return dir;
}

/**
 * Finds a server's program: the variable, then PATH, then the package's cache. A variable that is set wins or fails,
 * it is never passed over; a program on PATH that is too old is passed over.
 *
 * Returns `{ path, version, from }`, or `{ problem }`: a sentence that says what was tried.
 */
export function findBinary(spec, { env = process.env, root = packageRoot() } = {}) {
  const wanted = spec.versionMin.slice(0, 2).join(".");
  const named = env[spec.variable];
  if (named !== undefined && named !== "") {
    if (!isProgram(named)) return { problem: `${spec.variable} is ${named}, which is no program` };
    const version = versionOf(named);
    if (version === undefined) {
      return { problem: `${spec.variable} is ${named}, which does not tell its version` };
    }
    if (isOlder(version, spec.versionMin)) {
      return {
        problem: `${spec.variable} is ${spec.title} ${version.join(".")}, expected ${wanted} or later`,
      };
    }
    return { path: named, version: version.join("."), from: "variable" };
  }

  let onPath = `no ${spec.command} on PATH`;
  for (const dir of (env["PATH"] ?? "").split(delimiter)) {
    const candidate = join(dir, spec.command);
    if (dir === "" || !isProgram(candidate)) continue;
    const version = versionOf(candidate);
    if (version !== undefined && !isOlder(version, spec.versionMin)) {
      return { path: candidate, version: version.join("."), from: "path" };
    }
    const what = version === undefined ? "does not tell its version" : `is ${version.join(".")}`;
    onPath = `${spec.command} on PATH ${what}, expected ${wanted} or later`;
  }

  const cached = join(root, ".cache", "tools", spec.cached);
  if (isProgram(cached)) {
    return { path: cached, version: spec.cached.match(/\d+\.\d+\.\d+/)?.[0] ?? "", from: "cache" };
  }
  return { problem: `${spec.variable} is not set, ${onPath}, and the package's cache has none` };
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Undefined when the program does not run or prints no version. */
export function versionOf(path) {
  try {
    const text = execFileSync(path, ["--version"], {
      encoding: "utf8",
      timeout: 10_000,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const found = text.match(/(?:\/|\bv|\s)(\d+)\.(\d+)\.(\d+)/);
    return found ? found.slice(1, 4).map(Number) : undefined;
  } catch {
    return undefined;
  }
}

function isOlder(version, wanted) {
  for (let i = 0; i < wanted.length; i++) {
    if (version[i] !== wanted[i]) return version[i] < wanted[i];
  }
  return false;
}
