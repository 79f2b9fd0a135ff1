import type { Environment } from "../config.ts";

/** What a command may touch of its surroundings; tests bring their own. */
export interface Io {
  readonly env: Environment;
  /** Results. */
  out(text: string): void;
  /** Everything else that a person should read. */
  err(text: string): void;
  /** Aborted when the person asks to stop. */
  readonly stop: AbortSignal;
}

/** A command's exit: 0 fine, 1 failed, 2 wrongly called. */
export type ExitCode = 0 | 1 | 2;
