import {
  type EnvoyOptions,
  type EnvoyServer,
  startEnvoy as start,
} from "../../scripts/tools/envoy.ts";
import { tempDir } from "./temp-dir.ts";

export type { EnvoyServer } from "../../scripts/tools/envoy.ts";

/** A real Envoy; in a folder of its own, which stop() removes, when no `dir` is given. */
export async function startEnvoy(
  options: Omit<EnvoyOptions, "dir"> & { dir?: string },
): Promise<EnvoyServer> {
  if (options.dir !== undefined) return start({ ...options, dir: options.dir });
  const dir = tempDir("envoy");
  const server = await start({ ...options, dir: dir.path });
  return {
    ...server,
    async stop() {
      await server.stop();
      dir.remove();
    },
  };
}
