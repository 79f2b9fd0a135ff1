/**
 * A message or line that could not be used, kept for a person to look at. The excerpt is never user data:
 * only what our own filter can have written, cut to 256 characters, control characters replaced.
 */
export interface DeadLetter {
  /** Place of the message in the stream. */
  readonly sequence: number;
  readonly subject: string;
  readonly receivedAtUs: number;
  /** A code of analyzer/errors.ts, for example WIRE_VERSION. */
  readonly code: string;
  /** What came and what was expected. */
  readonly message: string;
  /** Line in the batch, from 1; 0 for the whole message. */
  readonly line: number;
  readonly excerpt: string;
}
