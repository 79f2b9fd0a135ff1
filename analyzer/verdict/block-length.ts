import { correlationTime, lagOneAutocorrelation } from "./autocorrelation.ts";
import { type Add, type Block, requireBlockUs, sumByBlock } from "./blocks.ts";

/** One length that was tried. */
export interface BlockLengthTrial {
  readonly blockUs: number;
  readonly blockCount: number;
  /** Lag 1, of the block values; null when there are too few to say. */
  readonly autocorrelation: number | null;
}

export interface BlockLength {
  readonly blockUs: number;
  /** At this length; null when there are too few blocks to say. */
  readonly autocorrelation: number | null;
  /** Measured correlation time of the interference; 0 when none was seen. Null when it could not be measured. */
  readonly correlationUs: number | null;
  /** False: the data so far are too short to show that this length is enough, and the verdict has to wait. */
  readonly isSettled: boolean;
  /** From the shortest up, for the record and for the page. */
  readonly trials: readonly BlockLengthTrial[];
}

const AUTOCORRELATION_MAX = 0.2;
const CORRELATION_TIMES_MIN = 4;
/** Fewer blocks than this say too little about their own dependence. */
const BLOCKS_MIN = 16;
const DOUBLINGS_MAX = 12;

/**
 * How long must a block be, so that blocks can count as independent? Doubled from `blockUs` until the lag-1
 * autocorrelation of block values is below 0.2 and the block lasts at least 4 measured correlation times.
 *
 * Weak interference that lasts long hides under sampling noise in short blocks and appears in longer ones, where the noise has
 * averaged out. So longer lengths are tried too, as long as 16 blocks remain, and one that shows more than 0.2
 * beyond chance (2 / sqrt(blocks)) makes the chosen length longer than itself.
 *
 * `effectOf` turns a block's sums into the number that is decided on (excess rate, mean log-ratio); null leaves the block
 * out. With several metrics take the longest. Choose in the warm-up and freeze: a length that follows the data voids the
 * error bound. Shown by simulation in test/verdict/block-length.test.ts.
 */
export function chooseBlockLength<Sums>({
  blocks,
  blockUs,
  add,
  effectOf,
}: {
  /** Of length `blockUs`, closed ones only. */
  blocks: readonly Block<Sums>[];
  blockUs: number;
  add: Add<Sums>;
  effectOf: (sums: Sums) => number | null;
}): BlockLength {
  requireBlockUs(blockUs);
  const trials: BlockLengthTrial[] = [];
  let current: readonly Block<Sums>[] = blocks;
  for (let doubling = 0; doubling <= DOUBLINGS_MAX; doubling++) {
    const lengthUs = blockUs * 2 ** doubling;
    if (doubling > 0) current = sumByBlock({ parts: current, blockUs: lengthUs, add });
    const values = current.flatMap(({ startedAtUs, sums }) => {
      const value = effectOf(sums);
      return value === null ? [] : [{ number: Math.floor(startedAtUs / lengthUs), value }];
    });
    const isEnough = values.length >= BLOCKS_MIN;
    trials.push({
      blockUs: lengthUs,
      blockCount: values.length,
      autocorrelation: isEnough ? lagOneAutocorrelation(values) : null,
    });
    if (!isEnough) break;
  }
  return choose(trials, blockUs);
}

function choose(trials: readonly BlockLengthTrial[], shortestUs: number): BlockLength {
  let correlationUs: number | null = null;
  let needed = shortestUs;
  let hasPassed = false;
  for (const { blockUs, blockCount, autocorrelation } of trials) {
    if (autocorrelation === null) continue;
    const chance = 2 / Math.sqrt(blockCount);
    const limit = hasPassed ? Math.max(AUTOCORRELATION_MAX, chance) : AUTOCORRELATION_MAX;
    const isDependent = autocorrelation >= limit;
    if (!isDependent) {
      hasPassed = true;
      correlationUs ??= 0;
      continue;
    }
    // Noise on top makes each measurement too small, never too large: the largest counts.
    const measuredUs = blockUs * correlationTime(Math.min(autocorrelation, 0.999));
    correlationUs = Math.max(correlationUs ?? 0, measuredUs);
    needed = Math.max(needed, 2 * blockUs, CORRELATION_TIMES_MIN * correlationUs);
  }
  let blockUs = shortestUs;
  while (blockUs < needed && blockUs < shortestUs * 2 ** DOUBLINGS_MAX) blockUs *= 2;
  const chosen = trials.find((trial) => trial.blockUs === blockUs);
  return {
    blockUs,
    autocorrelation: chosen?.autocorrelation ?? null,
    correlationUs,
    isSettled: blockUs >= needed && (chosen?.autocorrelation ?? null) !== null,
    trials,
  };
}
