// The process that is the embedded ClickHouse. npm's @chdb/lib-* ship the engine as a shared library that holds the whole
// of clickhouse-local, its HTTP and TCP handlers included; `chdb_query_cmdline` is that program's main function. It parks in
// an endless query; everything else comes over the network, as with any ClickHouse.
//
//   node clickhouse-process.mjs DATA_DIR HTTP_PORT TCP_PORT        (with an IPC channel; answers { pid } or { missing })
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const [dataDir, httpPort, tcpPort] = process.argv.slice(2);
const fromHere = createRequire(import.meta.url);

// Without the process that asked for it there is nobody to serve. Everything acknowledged is in the files by then.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

let ffi;
let library;
try {
  ffi = fromHere("ffi-rs");
  const libc = process.platform === "linux" ? "-gnu" : "";
  const name = `@chdb/lib-${process.platform}-${process.arch}${libc}/package.json`;
  library = join(dirname(fromHere.resolve(name)), "libchdb.so");
} catch (error) {
  process.send({ missing: String(error.message).split("\n")[0] }, () => process.exit(3));
}

if (library !== undefined) {
  const query =
    "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP;" +
    " SELECT sleepEachRow(1) FROM system.numbers FORMAT Null SETTINGS max_block_size = 1, max_threads = 1";
  const argv = [
    "clickhouse",
    `--path=${dataDir}`,
    `--http_port=${httpPort}`,
    `--tcp_port=${tcpPort}`,
    "--listen_host=127.0.0.1",
    `--query=${query}`,
  ];
  ffi.open({ library: "chdb", path: library });
  process.send({ pid: process.pid });
  ffi.load({
    library: "chdb",
    funcName: "chdb_query_cmdline",
    retType: ffi.DataType.External,
    paramsType: [ffi.DataType.I32, ffi.DataType.StringArray],
    paramsValue: [argv.length, argv],
    runInNewThread: true,
  });
}
