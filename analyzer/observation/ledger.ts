import type { EndingName } from "./observation.ts";

/** Cumulative counters of one filter worker for one experiment and run (wire/README.md, "Ledger"). */
export interface Ledger {
  readonly experiment: string;
  readonly run: string;
  readonly worker: string;
  readonly number: number;
  readonly clockUs: number;
  /** The worker said goodbye: a worker without a final ledger may have lost its last tick's records. */
  readonly final: boolean;
  readonly requests: {
    readonly seen: number;
    readonly sampled: number;
    readonly unreached: number;
    readonly unsampled: Readonly<Record<string, number>>;
  };
  readonly legs: readonly LegLedger[];
  readonly batches: { readonly sent: number; readonly retried: number; readonly failed: number };
}

export interface LegLedger {
  readonly leg: string;
  readonly requests: number;
  readonly attempts: number;
  readonly endings: Readonly<Record<EndingName, number>>;
  readonly published: number;
  readonly dropped: Readonly<Record<string, number>>;
}
