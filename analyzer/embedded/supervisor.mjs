// Runs one server program and sees to it that it does not outlive the process that asked for it: when the channel to
// that process closes, for whatever reason (SIGKILL too), the server is told to stop, and is killed if it does not.
// Plain JavaScript and started as a process of its own: it must run from the sources and from build/ alike.
//
//   node supervisor.mjs GRACE_MS PROGRAM ARGUMENT...        (with an IPC channel; answers { pid } or { error })
import { spawn } from "node:child_process";

const [graceMs, program, ...args] = process.argv.slice(2);
const server = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
let stopping = false;

server.on("error", (error) => {
  tell({ error: error.message }, () => process.exit(1));
});
server.on("spawn", () => tell({ pid: server.pid }));
// Died by a signal: exit as a shell would report it.
server.on("exit", (code, signal) => {
  tell({ code, signal }, () => process.exit(code ?? 128));
});

process.on("message", (message) => {
  if (message === "stop") stop();
});
process.on("disconnect", stop);
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, stop);

function stop() {
  if (stopping) return;
  stopping = true;
  server.kill("SIGTERM");
  setTimeout(() => server.kill("SIGKILL"), Number(graceMs)).unref();
}

function tell(message, done = () => {}) {
  if (!process.connected) {
    done();
    return;
  }
  // The other end may go at any moment; that is what "disconnect" is for.
  process.send(message, undefined, undefined, () => done());
}
