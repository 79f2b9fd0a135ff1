import { existsSync, readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { commonTrouble, lastLines, run, SetupError, step } from "./steps.mjs";

const DISK_BYTES = 1.6e9;

/** Installs what package-lock.json says, unless exactly that is there. */
export async function installPackages(root) {
  const reason = whyInstall(root);
  if (reason === undefined) return;
  needDisk(root, DISK_BYTES);
  await step(`npm packages (${reason})`, async () => {
    // Scripts of packages are not needed and would be a way for others to run code here.
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    const { code, output } = await npm(args, root);
    if (code !== 0) throw npmError(code, output);
  });
}

/** Undefined when node_modules fits package-lock.json. npm keeps a lockfile of its own in there, of what it installed. */
export function whyInstall(root) {
  const lock = packagesOf(join(root, "package-lock.json"));
  if (lock === undefined) {
    throw new SetupError("package-lock.json is missing or no JSON", [
      "Restore it: git checkout package-lock.json",
    ]);
  }
  if (!existsSync(join(root, "node_modules"))) return "node_modules is missing";
  const installed = packagesOf(join(root, "node_modules", ".package-lock.json"));
  if (installed === undefined) return "node_modules is incomplete";
  for (const [path, wanted] of Object.entries(lock)) {
    if (path === "") continue;
    const there = installed[path];
    // Optional ones may be for other platforms.
    if (there === undefined && wanted.optional !== true) return `${path} is missing`;
    if (there !== undefined && there.version !== wanted.version)
      return `${path} has another version`;
  }
  return undefined;
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}

function npm(args, root) {
  // Under `npm run` the very npm that runs is known; it need not be on PATH.
  const self = process.env.npm_execpath;
  const env = { ...process.env };
  // What the outer npm puts into the environment for its scripts is not for the inner one.
  for (const name of Object.keys(env)) {
    if (name.startsWith("npm_lifecycle") || name.startsWith("npm_package_")) delete env[name];
  }
  return self?.endsWith(".js")
    ? run(process.execPath, [self, ...args], { cwd: root, env })
    : run("npm", args, { cwd: root, env });
}

function npmError(code, output) {
  if (code === 127) {
    return new SetupError("npm is not on PATH", [
      "Install Node.js together with npm (Debian: apt-get install npm).",
    ]);
  }
  const common = commonTrouble(output, "the npm registry");
  if (common !== undefined) {
    return new SetupError(
      `npm packages could not be installed: ${common.what}\n${lastLines(output)}`,
      common.advice,
    );
  }
  if (/EBADENGINE/.test(output)) {
    return new SetupError(
      `a package does not run on Node.js ${process.versions.node}\n${lastLines(output)}`,
      ["Use a later Node.js of the same major version, or the newest one."],
    );
  }
  if (/EUSAGE/.test(output)) {
    // npm's help follows; what does not fit stands before it.
    const what = output.split("\n").filter((line) => /Missing:|Invalid:/.test(line));
    return new SetupError(
      `package.json and package-lock.json do not fit together\n${lastLines(what.join("\n"))}`,
      [
        "When you changed package.json: npm install --package-lock-only. Otherwise: git checkout package.json package-lock.json",
      ],
    );
  }
  return new SetupError(`"npm ci" ended with ${code}\n${lastLines(output)}`, [
    "Remove node_modules and run the command again; npm's own log is named above.",
  ]);
}

export function needDisk(root, bytes) {
  const { bavail, bsize } = statfsSync(root);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const gb = (n) => `${(n / 1e9).toFixed(1)} GB`;
  throw new SetupError(`the disk has ${gb(free)} free, ${gb(bytes)} are needed`, [
    "Free some space and run the command again.",
  ]);
}
