import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

let found: { readonly path: string; readonly version: string } | null = null;

/** Where this installation lies, whether it runs from its sources or from build/. */
export function packageRoot(): { readonly path: string; readonly version: string } {
  if (found !== null) return found;
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file)) {
      const content = JSON.parse(readFileSync(file, "utf8")) as { name?: string; version?: string };
      if (content.name === "shadowgraph") {
        found = { path: folder, version: content.version ?? "0.0.0" };
        return found;
      }
    }
    if (dirname(folder) === folder) return { path: folder, version: "0.0.0" };
  }
}
