import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { lastLines, run, SetupError, step } from "./steps.mjs";

/** What is built, out of what, by what. Outputs are rebuilt when their inputs' content changes, not their times. */
const OUTPUTS = [
  {
    name: "filter",
    title: "the filter (build/shadowgraph.wasm)",
    inputs: ["filter", "wire", "asconfig.json", "package-lock.json"],
    output: "build/shadowgraph.wasm",
    command: [
      "node_modules/assemblyscript/bin/asc.js",
      "--config",
      "asconfig.json",
      "--target",
      "release",
    ],
  },
  {
    name: "analyzer",
    title: "the analyzer (build/analyzer)",
    inputs: [
      "analyzer",
      "wire",
      "tsconfig.json",
      "tsconfig.build.json",
      "package-lock.json",
      "scripts/build-analyzer.mjs",
    ],
    except: ["analyzer/dashboard/page"],
    output: "build/analyzer",
    command: ["scripts/build-analyzer.mjs"],
  },
  {
    name: "dashboard",
    title: "the dashboard (build/dashboard)",
    inputs: [
      "analyzer/dashboard",
      "analyzer/http",
      "package-lock.json",
      "scripts/build-dashboard.mjs",
    ],
    output: "build/dashboard/index.html",
    command: ["scripts/build-dashboard.mjs"],
  },
];

/** Those whose output does not fit their inputs, each with the digest of its inputs. */
export function staleOutputs(root) {
  return OUTPUTS.map((one) => ({ ...one, digest: digestOf(one, root) })).filter(
    (one) => !existsSync(join(root, one.output)) || builtFrom(one, root) !== one.digest,
  );
}

export async function build(one, root) {
  await step(one.title, async () => {
    const { code, output } = await run(process.execPath, one.command, { cwd: root });
    if (code !== 0) {
      throw new SetupError(`building ${one.title} failed\n${lastLines(output, 40)}`, [
        "Your own changes: correct what is named above. A fresh clone: remove build/ and node_modules/ and try again.",
      ]);
    }
    mkdirSync(join(root, "build", ".built"), { recursive: true });
    writeFileSync(stampPath(one, root), one.digest);
  });
}

function stampPath(one, root) {
  return join(root, "build", ".built", one.name);
}

function builtFrom(one, root) {
  try {
    return readFileSync(stampPath(one, root), "utf8");
  } catch {
    return undefined;
  }
}

function digestOf({ inputs, except = [], command }, root) {
  const digest = createHash("sha256").update(JSON.stringify(command));
  const add = (path) => {
    if (except.includes(path.split(sep).join("/"))) return;
    const full = join(root, path);
    let entries;
    try {
      entries = readdirSync(full, { withFileTypes: true });
    } catch (error) {
      if (error.code === "ENOTDIR")
        digest.update(`${path}\0`).update(readFileSync(full)).update("\0");
      else if (error.code !== "ENOENT") throw error;
      return;
    }
    for (const name of entries.map((entry) => entry.name).sort()) {
      if (!name.endsWith(".md")) add(join(path, name));
    }
  };
  for (const input of inputs) add(input);
  return digest.digest("hex");
}
