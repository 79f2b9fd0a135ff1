import { Client, type ClientRequest } from "./http-client.ts";
import { sleep } from "./wait.ts";

/** What one user got. */
export interface Sample {
  readonly index: number;
  /** performance.now() when it was due, not when there was time for it. */
  readonly dueMs: number;
  readonly elapsedMs: number;
  /** 0: no whole answer came. */
  readonly status: number;
  readonly error: string;
}

const STEP_MS = 10;

/** Users who come at a fixed rate, whether or not those before them have their answers. */
export class SteadyLoad {
  readonly samples: Sample[] = [];
  readonly #client: Client;
  readonly #startedMs = performance.now();
  readonly #underWay = new Set<Promise<void>>();
  readonly #loop: Promise<void>;
  #sent = 0;
  #stopping = false;

  constructor(
    port: number,
    private readonly ratePerS: number,
    private readonly request: (index: number) => ClientRequest,
  ) {
    this.#client = new Client(port, 64);
    this.#loop = this.#run();
  }

  /** Sent so far. */
  get sent(): number {
    return this.#sent;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const due = ((performance.now() - this.#startedMs) / 1000) * this.ratePerS;
      while (this.#sent < due) {
        const one = this.#send(this.#sent++);
        this.#underWay.add(one);
        void one.then(() => this.#underWay.delete(one));
      }
      await sleep(STEP_MS);
    }
  }

  async #send(index: number): Promise<void> {
    const dueMs = performance.now();
    const done = (status: number, error: string): void => {
      this.samples.push({ index, dueMs, elapsedMs: performance.now() - dueMs, status, error });
    };
    await this.#client.send(this.request(index)).then(
      (answer) => done(answer.status, ""),
      (error: unknown) => done(0, String(error)),
    );
  }

  /** Sends no more and waits for the answers that are due. */
  async stop(): Promise<readonly Sample[]> {
    this.#stopping = true;
    await this.#loop;
    await Promise.all(this.#underWay);
    this.#client.close();
    return this.samples;
  }
}

/** Milliseconds; NaN without samples. `fraction` 1 is the slowest. */
export function latencyMs(samples: readonly Sample[], fraction: number): number {
  const sorted = samples.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? Number.NaN;
}
