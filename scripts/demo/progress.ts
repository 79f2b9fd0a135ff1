/** A line that says how far things are: rewritten in a terminal, otherwise a new one every few seconds. */
export class Progress {
  #shownAt = Number.NEGATIVE_INFINITY;
  #open = false;

  constructor(
    readonly stream: NodeJS.WriteStream,
    readonly intervalMs = stream.isTTY ? 250 : 5000,
  ) {}

  show(text: string): void {
    const now = performance.now();
    if (now - this.#shownAt < this.intervalMs) return;
    this.#shownAt = now;
    if (this.stream.isTTY) {
      const width = Math.max(20, this.stream.columns ?? 80) - 1;
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
