import { closeSync, openSync, renameSync, statSync, writeSync } from "node:fs";

/** Bytes of a log file; when it is full it becomes <file>.1, and an older one of that name is gone. */
const FILE_BYTES_MAX = 8_388_608;

/** A log file that cannot fill the disk. Writes are synchronous: the last line before a crash is there. */
export class RollingFile {
  #descriptor: number;
  #bytes: number;
  readonly #path: string;
  readonly #bytesMax: number;

  constructor(path: string, bytesMax = FILE_BYTES_MAX) {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#descriptor = openSync(path, "a");
    this.#bytes = statSync(path).size;
  }

  write(line: string): void {
    if (this.#bytes >= this.#bytesMax) this.#roll();
    this.#bytes += writeSync(this.#descriptor, line);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #roll(): void {
    closeSync(this.#descriptor);
    renameSync(this.#path, `${this.#path}.1`);
    this.#descriptor = openSync(this.#path, "a");
    this.#bytes = 0;
  }
}
