import { proxy_log } from "./env";

export enum LogLevel {
  Debug = 1,
  Info = 2,
  Warning = 3,
  Error = 4,
}

/** Not on a request's path: a string is built for it. Never with anything that a user sent. */
export function log(level: LogLevel, message: string): void {
  const utf8 = String.UTF8.encode(`shadowgraph: ${message}`);
  proxy_log(level, changetype<usize>(utf8), utf8.byteLength);
}
