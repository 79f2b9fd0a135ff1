import type { DeadLetter } from "../../observation/dead-letter.ts";
import { type Database, select, toCount } from "../client.ts";
import { limitOf } from "./pairs.ts";
import { instantSql, READ_SETTINGS } from "./scope.ts";

export type DeadLetterCursor = Pick<DeadLetter, "receivedAtUs" | "sequence" | "line">;

/** Newest first, at most `limit`. */
export async function readDeadLetters(
  database: Database,
  { after, limit }: { after?: DeadLetterCursor | undefined; limit: number },
): Promise<DeadLetter[]> {
  const where =
    after === undefined
      ? "true"
      : `received_at <= ${instantSql(after.receivedAtUs)} AND
         (received_at < ${instantSql(after.receivedAtUs)} OR (sequence, line) < ({afterSequence: UInt64}, {afterLine: UInt32}))`;
  const rows = await select<Record<string, unknown>>(
    database,
    `SELECT toUnixTimestamp64Micro(received_at) AS received_us, sequence, line, subject, code, message, excerpt
     FROM ${database.name}.dead_letters
     WHERE ${where}
     ORDER BY received_at DESC, sequence DESC, line DESC
     LIMIT ${limitOf(limit)}`,
    { afterSequence: after?.sequence ?? 0, afterLine: after?.line ?? 0 },
    READ_SETTINGS,
  );
  return rows.map((row) => ({
    receivedAtUs: toCount(row["received_us"]),
    sequence: toCount(row["sequence"]),
    line: toCount(row["line"]),
    subject: String(row["subject"]),
    code: String(row["code"]),
    message: String(row["message"]),
    excerpt: String(row["excerpt"]),
  }));
}
