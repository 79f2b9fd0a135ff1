import { requireFinite } from "./require.ts";

/** A block's value and its place in time: blocks whose numbers differ by 1 are neighbours. */
export interface Numbered {
  readonly number: number;
  readonly value: number;
}

/**
 * Do neighbouring blocks resemble one another? The lag-1 autocorrelation of block values, -1 to 1; null with fewer than four
 * values or fewer than three pairs of neighbours, 0 when all values are equal.
 *
 * Only true neighbours count: a gap in traffic joins nothing. The plain estimate falls short by about (1 + 3r)/n, which hides
 * dependence exactly when there are few blocks, so that is added back (test/verdict/autocorrelation.test.ts: SciPy's numbers, simulated
 * bias). Its standard error is about 1/sqrt(n).
 */
export function lagOneAutocorrelation(values: readonly Numbered[]): number | null {
  const count = values.length;
  if (count < 4) return null;
  let sum = 0;
  for (const { value } of values) {
    requireFinite("value", value);
    sum += value;
  }
  const mean = sum / count;
  let squares = 0;
  let products = 0;
  let neighbourCount = 0;
  values.forEach(({ number, value }, index) => {
    squares += (value - mean) ** 2;
    const next = values[index + 1];
    if (next !== undefined && next.number === number + 1) {
      products += (value - mean) * (next.value - mean);
      neighbourCount++;
    }
  });
  if (neighbourCount < 3) return null;
  // Equal values differ from their mean by rounding only; that is not a pattern.
  const rounding = count * (Math.abs(mean) * 1e-14) ** 2;
  if (squares <= rounding) return 0;
  // With all neighbours present this is the textbook's sum over n - 1 products divided by all squares.
  const plain = ((products / neighbourCount) * (count - 1)) / squares;
  return Math.max(-1, Math.min(1, (count * plain + 1) / (count - 3)));
}

/**
 * How long does interference last? The correlation time, in units of the block's length, of exponentially forgetting
 * interference whose block means have this lag-1 autocorrelation: with r = length / time it is
 * (1 - e^-r)^2 / (2 (r - 1 + e^-r)). 0 for 0 and below, Infinity for 1.
 *
 * Blocks of 4 times the correlation time have 0.160, the limit of 0.2 is reached at 3.26 times. Assumes that block means
 * consist of the interference alone: sampling noise on top makes this estimate too small, and `chooseBlockLength` therefore also
 * looks at longer blocks.
 */
export function correlationTime(lagOne: number): number {
  if (!(lagOne <= 1)) throw new RangeError(`autocorrelation is ${lagOne}, expected at most 1`);
  if (lagOne <= 0) return 0;
  if (lagOne === 1) return Infinity;
  let short = -20;
  let long = 20; // ln of the correlation time in blocks
  for (let step = 0; step < 60; step++) {
    const middle = (short + long) / 2;
    if (blockAutocorrelation(Math.exp(-middle)) < lagOne) short = middle;
    else long = middle;
  }
  return Math.exp(long);
}

/** Of the means of adjacent blocks, each `ratio` correlation times long. */
function blockAutocorrelation(ratio: number): number {
  // Below 1e-3 the quotient cancels; 1 - ratio/3 * 2 is its start of series.
  if (ratio < 1e-3) return 1 - (2 * ratio) / 3;
  return Math.expm1(-ratio) ** 2 / (2 * (ratio + Math.expm1(-ratio)));
}
