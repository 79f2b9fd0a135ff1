export { freePorts } from "../../analyzer/embedded/ports.ts";

import { freePorts } from "../../analyzer/embedded/ports.ts";

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}
