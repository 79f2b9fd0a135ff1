import type { Orphan, Pair } from "../../analyzer/join/pair.ts";
import type { JoinSink } from "../../analyzer/join/sink.ts";
import type { Observation } from "../../analyzer/observation/observation.ts";

/** Everything that a joiner gave out, in order. */
export class JoinLog implements JoinSink {
  readonly pairs: Pair[] = [];
  readonly orphans: Orphan[] = [];
  readonly duplicates: Observation[] = [];
  readonly unexpectedOnes: { observation: Observation; reason: string }[] = [];
  /** One line an outcome, times included: equal texts are equal outcomes. */
  readonly lines: string[] = [];

  pair(pair: Pair): void {
    this.pairs.push(pair);
    this.lines.push(`${pair.joinedAtUs} ${describePair(pair)}`);
  }

  orphan(orphan: Orphan): void {
    this.orphans.push(orphan);
    this.lines.push(`${orphan.closedAtUs} ${describeOrphan(orphan)} lost=${orphan.batchLost}`);
  }

  duplicate(observation: Observation, atUs: number): void {
    this.duplicates.push(observation);
    this.lines.push(`${atUs} duplicate ${describe(observation)}`);
  }

  unexpected(observation: Observation, reason: string, atUs: number): void {
    this.unexpectedOnes.push({ observation, reason });
    this.lines.push(`${atUs} unexpected ${reason} ${describe(observation)}`);
  }

  /** Pairs and orphans without times, sorted: the same whatever the order of arrival. */
  resultSet(): string[] {
    return [...this.pairs.map(describePair), ...this.orphans.map(describeOrphan)].sort();
  }
}

const describe = ({ correlationId, leg, attempt }: Observation): string =>
  `${correlationId.slice(-4)} ${leg}#${attempt}`;

function describePair(pair: Pair): string {
  const { primary, shadow, control, primaryAttempts, run } = pair;
  const legs = [primary, shadow, control].map((leg) => (leg === null ? "none" : describe(leg)));
  return `pair run=${run} ${legs.join(" + ")} attempts=${primaryAttempts}`;
}

const describeOrphan = ({ observation, missingLeg, reason, run }: Orphan): string =>
  `orphan run=${run} ${describe(observation)} misses ${missingLeg}: ${reason}`;
