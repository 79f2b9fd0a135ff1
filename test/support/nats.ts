import { join } from "node:path";
import {
  type NatsOptions,
  type NatsServer,
  startNats as startEmbedded,
} from "../../analyzer/embedded/nats.ts";
import { tempDir } from "./temp-dir.ts";

export type { NatsServer } from "../../analyzer/embedded/nats.ts";

/** A real nats-server with JetStream; in a folder of its own, which stop() removes, when no `dir` is given. */
export async function startNats(options: Partial<NatsOptions> = {}): Promise<NatsServer> {
  if (options.dir !== undefined) return startEmbedded({ ...options, dir: options.dir });
  const dir = tempDir("nats");
  const server = await startEmbedded({ ...options, dir: join(dir.path, "nats") });
  return {
    ...server,
    async stop() {
      await server.stop();
      dir.remove();
    },
  };
}
