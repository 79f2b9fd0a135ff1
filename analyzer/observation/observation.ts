/** What the filter saw of one leg: one attempt at one deployment. Decoded from a record line (wire/README.md). */
export interface Observation {
  readonly experiment: string;
  readonly run: string;
  /** The filter worker that saw it; 16 hexadecimal digits. */
  readonly worker: string;
  readonly correlationId: string;
  /** `primary`, `control` or a shadow's name. */
  readonly leg: string;
  /** 1 for the first try. */
  readonly attempt: number;
  /** No further attempt of this leg follows. */
  readonly final: boolean;
  readonly startedAtUs: number;
  readonly method: string;
  readonly route: string;
  readonly params: readonly string[];
  /** 0 without an answer. */
  readonly status: number;
  readonly grpcStatus: number | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Keyed with the pair's key: comparable inside a pair only. 32 hexadecimal digits. */
  readonly requestDigest: string;
  readonly responseDigest: string;
  readonly requestContentType: string | null;
  readonly requestContentEncoding: string | null;
  readonly responseContentType: string | null;
  readonly responseContentEncoding: string | null;
  readonly firstByteUs: number | null;
  readonly requestEndUs: number | null;
  readonly totalUs: number;
  readonly chunkCount: number;
  readonly chunkGapMaxUs: number;
  readonly ending: EndingName;
  readonly failure: string;
  /** Fields that were cut at a limit: never compared as equal. */
  readonly cut: readonly string[];
  readonly segments: Readonly<Record<string, string>>;
}

export type EndingName = "complete" | "reset" | "client-left" | "no-answer" | "streaming";
