import { execFileSync } from "node:child_process";
import {
  chmodSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { type Browser, chromium } from "playwright-core";
import { packageRoot, versionOf } from "../../analyzer/embedded/binary.mjs";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

/** A real headless Chromium: CHROMIUM_BIN, else one on PATH, else npm's @sparticuz/chromium (Linux x64 only). */
export async function startChromium({ packaged = false } = {}): Promise<Browser> {
  const { executablePath, libraryPath } = await (packaged ? unpackChromium() : findChromium());
  return chromium.launch({
    executablePath,
    args: libraryPath === undefined ? FLAGS : [...FLAGS, "--no-zygote", "--in-process-gpu"],
    env: {
      ...process.env,
      // Without a locale Chromium would say "en-US@posix", which no page takes for a language.
      LANGUAGE: "en_US",
      LC_ALL: "en_US.UTF-8",
      ...(libraryPath === undefined
        ? {}
        : {
            LD_LIBRARY_PATH: libraryPath,
            FONTCONFIG_FILE: join(dirname(executablePath), "fonts.conf"),
          }),
    },
  });
}

async function findChromium(): Promise<{ executablePath: string; libraryPath?: string }> {
  const named = process.env["CHROMIUM_BIN"];
  if (named !== undefined && named !== "") return { executablePath: named };
  for (const command of ["chromium", "chromium-browser", "google-chrome"]) {
    for (const dir of (process.env["PATH"] ?? "").split(delimiter)) {
      const candidate = join(dir, command);
      // Some distributions have a placeholder there that only says how to install one.
      if (dir !== "" && existsSync(candidate) && versionOf(candidate) !== undefined) {
        return { executablePath: candidate };
      }
    }
  }
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `no Chromium: none on PATH, CHROMIUM_BIN is not set, and the packaged one is not for ${process.platform} ${process.arch}`,
    );
  }
  return unpackChromium();
}

/** The package holds compressed files for a machine with nothing on it: the program, the libraries it needs, a font. */
async function unpackChromium(): Promise<{ executablePath: string; libraryPath: string }> {
  const fromHere = createRequire(import.meta.url);
  const bin = join(dirname(fromHere.resolve("@sparticuz/chromium")), "..", "..", "bin");
  const version: string = fromHere(join(bin, "..", "package.json")).version;
  const dir = join(packageRoot(), ".cache", `chromium-${version}`);
  const found = { executablePath: join(dir, "chromium"), libraryPath: join(dir, "lib") };
  if (existsSync(found.executablePath)) return found;

  // Unpacked beside and renamed at the end: a folder of the final name is complete.
  const half = `${dir}.${process.pid}`;
  rmSync(half, { recursive: true, force: true });
  mkdirSync(half, { recursive: true });
  for (const archive of ["fonts", "al2023", "swiftshader"]) {
    await untar(join(bin, `${archive}.tar.br`), half);
  }
  // The archive's own file names the place where a cloud function would have the fonts.
  const fonts = `<dir>${join(dir, "fonts")}</dir><cachedir>${join(dir, "font-cache")}</cachedir>`;
  writeFileSync(
    join(half, "fonts.conf"),
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${fonts}</fontconfig>\n`,
  );
  const program = join(half, "chromium");
  await pipeline(
    createReadStream(join(bin, "chromium.br")),
    createBrotliDecompress(),
    createWriteStream(program),
  );
  chmodSync(program, 0o755);
  try {
    renameSync(half, dir);
  } catch (error) {
    // Another test process was quicker.
    if (!existsSync(found.executablePath)) throw error;
    rmSync(half, { recursive: true, force: true });
  }
  return found;
}

async function untar(archive: string, dir: string): Promise<void> {
  // By way of a file: tar stops reading at the archive's end mark, which a pipe would take for trouble.
  const plain = join(dir, "unpacking.tar");
  await pipeline(createReadStream(archive), createBrotliDecompress(), createWriteStream(plain));
  execFileSync("tar", ["-x", "-f", plain, "--no-same-owner", "-C", dir]);
  rmSync(plain);
}
