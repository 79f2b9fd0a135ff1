import type {
  AccountingResponse,
  ExperimentResponse,
  SummaryResponse,
} from "../../analyzer/http/schemas.ts";

/** The parts of the analyzer's API that the demo shows. */
export class Api {
  constructor(
    readonly base: string,
    readonly experiment: string,
  ) {}

  /** Null while nothing is stored yet or the analyzer is busy. */
  async overview(): Promise<ExperimentResponse | null> {
    return this.#get<ExperimentResponse>("").catch(() => null);
  }

  summary(): Promise<SummaryResponse> {
    return this.#get<SummaryResponse>("/summary");
  }

  accounting(): Promise<AccountingResponse> {
    return this.#get<AccountingResponse>("/accounting");
  }

  async #get<T>(path: string): Promise<T> {
    const url = `${this.base}/api/v1/experiments/${this.experiment}${path}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    if (!response.ok)
      throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }
}
