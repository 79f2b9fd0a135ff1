// One version of the service as a process of its own: tsx scripts/demo/service-process.ts v1|v2 PORT
import { type Service, startService } from "./service.ts";

const [version, port] = process.argv.slice(2);
if ((version !== "v1" && version !== "v2") || !Number.isInteger(Number(port))) {
  process.stderr.write("expected: service-process.ts v1|v2 PORT\n");
  process.exit(2);
}
const service: Service = await startService({ version, port: Number(port) });
process.on("SIGTERM", () => void service.stop().then(() => process.exit(0)));
