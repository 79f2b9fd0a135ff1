/** A line that says how far things are: rewritten in a terminal, otherwise a new one every few seconds. */
export class Progress {
  #shownAt = Number.NEGATIVE_INFINITY;
  #open = false;

  constructor(
    readonly stream: NodeJS.WriteStream,
    readonly intervalMs = stream.isTTY ? 500 : 5000,
  ) {}

  /** The next line is worth its trouble. */
  isDue(): boolean {
    return performance.now() - this.#shownAt >= this.intervalMs;
  }

  show(text: string): void {
    this.#shownAt = performance.now();
    if (this.stream.isTTY) {
      const width = Math.max(20, this.stream.columns || 80) - 1;
      this.stream.write(`\r\u001b[2K${text.slice(0, width)}`);
      this.#open = true;
    } else this.stream.write(`${text}\n`);
  }

  /** Before anything else is written. */
  end(): void {
    if (this.#open) this.stream.write("\n");
    this.#open = false;
    this.#shownAt = Number.NEGATIVE_INFINITY;
  }
}
