/**
 * A place in the stream. Two analyzers that read the same messages are at the same position with
 * the same state.
 */
export interface StreamPosition {
  /** The message's sequence in the stream. */
  readonly sequence: number;
  /**
   * Stream time: the largest time that a *message* up to here was stored at, µs since 1970. Time
   * that merely passed while the stream was idle is not in it (that goes to `Joiner.advance`), or a
   * replay, which sees messages only, would open its windows at other times.
   */
  readonly watermarkUs: number;
}
