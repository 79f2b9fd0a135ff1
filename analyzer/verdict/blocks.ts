import { requireCount, requirePositive } from "./require.ts";

/** All pairs of one stretch of stream time. Blocks without pairs do not exist. */
export interface Block<Sums> {
  /** A multiple of the block's length. */
  readonly startedAtUs: number;
  readonly sums: Sums;
}

/** How two sums of the same kind become one: whole numbers, so that order and grouping do not matter. */
export type Add<Sums> = (left: Sums, right: Sums) => Sums;

/** The start of the block that holds a moment of stream time. Blocks of twice the length hold whole blocks of this one. */
export function blockStartUs(atUs: number, blockUs: number): number {
  requireCount("atUs", atUs);
  requireBlockUs(blockUs);
  return atUs - (atUs % blockUs);
}

/**
 * Sums by block, ascending in time, from anything that has a time and a sum: pairs, rollups of minutes, or shorter blocks.
 *
 * A function of the set alone: any order, any splitting into shards and merging gives the same bits, provided `add` adds
 * whole numbers (`addRateSums`, `addMeanSums`).
 */
export function sumByBlock<Sums>({
  parts,
  blockUs,
  add,
}: {
  parts: Iterable<Block<Sums>>;
  blockUs: number;
  add: Add<Sums>;
}): Block<Sums>[] {
  const byStart = new Map<number, Sums>();
  for (const { startedAtUs, sums } of parts) {
    const start = blockStartUs(startedAtUs, blockUs);
    const present = byStart.get(start);
    byStart.set(start, present === undefined ? sums : add(present, sums));
  }
  return [...byStart]
    .map(([startedAtUs, sums]) => ({ startedAtUs, sums }))
    .sort((left, right) => left.startedAtUs - right.startedAtUs);
}

/** The blocks that can no longer change, because the watermark of stream time has passed their end. */
export function closedBlocks<Sums>({
  blocks,
  blockUs,
  watermarkUs,
}: {
  blocks: readonly Block<Sums>[];
  blockUs: number;
  watermarkUs: number;
}): Block<Sums>[] {
  requireBlockUs(blockUs);
  return blocks.filter(({ startedAtUs }) => startedAtUs + blockUs <= watermarkUs);
}

export function requireBlockUs(blockUs: number): void {
  requireCount("blockUs", blockUs);
  requirePositive("blockUs", blockUs);
}
