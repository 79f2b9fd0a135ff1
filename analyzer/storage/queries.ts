import type { Database } from "./client.ts";
import {
  type AccountFacts,
  type AccountScope,
  type LedgerFacts,
  type ReceivedFacts,
  readAccount,
  readLedgersBefore,
  readReceivedAfter,
} from "./queries/accounting.ts";
import { type DeadLetterCursor, readDeadLetters } from "./queries/dead-letters.ts";
import {
  type OrphanCursor,
  type OrphanFacts,
  type OrphanFilter,
  readOrphans,
} from "./queries/orphans.ts";
import {
  type LegFacts,
  type PairCursor,
  type PairFacts,
  type PairFilter,
  readPair,
  readPairs,
  type StoredDivergence,
} from "./queries/pairs.ts";
import { type RunFacts, readRuns } from "./queries/runs.ts";
import type { Scope } from "./queries/scope.ts";
import { type Figures, type Quantiles, readSummary, type SummaryFacts } from "./queries/summary.ts";

export type {
  AccountFacts,
  AccountScope,
  DeadLetterCursor,
  Figures,
  LedgerFacts,
  LegFacts,
  OrphanCursor,
  OrphanFacts,
  OrphanFilter,
  PairCursor,
  PairFacts,
  PairFilter,
  Quantiles,
  ReceivedFacts,
  RunFacts,
  Scope,
  StoredDivergence,
  SummaryFacts,
};

type Bound<Read> = Read extends (database: Database, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

/**
 * The reading side: typed, parameterised, bounded questions. Each throws AnalyzerError CLICKHOUSE_UNAVAILABLE while ClickHouse
 * is away or busy, CLICKHOUSE_REFUSED when it will not answer.
 */
export interface Queries {
  readonly runs: Bound<typeof readRuns>;
  readonly summary: Bound<typeof readSummary>;
  readonly account: Bound<typeof readAccount>;
  readonly ledgersBefore: Bound<typeof readLedgersBefore>;
  readonly receivedAfter: Bound<typeof readReceivedAfter>;
  readonly pairs: Bound<typeof readPairs>;
  readonly pair: Bound<typeof readPair>;
  readonly orphans: Bound<typeof readOrphans>;
  readonly deadLetters: Bound<typeof readDeadLetters>;
}

export function createQueries(database: Database): Queries {
  return {
    runs: (experiments) => readRuns(database, experiments),
    summary: (scope) => readSummary(database, scope),
    account: (scope) => readAccount(database, scope),
    ledgersBefore: (scope, clockUs) => readLedgersBefore(database, scope, clockUs),
    receivedAfter: (scope, clocks, storedUs) =>
      readReceivedAfter(database, scope, clocks, storedUs),
    pairs: (filter) => readPairs(database, filter),
    pair: (key) => readPair(database, key),
    orphans: (filter) => readOrphans(database, filter),
    deadLetters: (page) => readDeadLetters(database, page),
  };
}
