/**
 * ln(e^x1 + e^x2 + ...) without leaving the logarithm: neither e^1000 nor e^-1000 has to exist.
 *
 * An empty list gives -Infinity (the logarithm of an empty sum); -Infinity stands for a term of 0. The error is a
 * few units in the last place of the largest term plus 1e-16 per term (test/verdict/log-sum-exp.test.ts).
 */
export function logSumExp(values: readonly number[]): number {
  let largest = -Infinity;
  for (const value of values) {
    if (Number.isNaN(value)) throw new RangeError("a logarithm is NaN, expected a number");
    if (value > largest) largest = value;
  }
  if (!Number.isFinite(largest)) return largest;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/**
 * ln(1 - e^x) for x <= 0: the logarithm of a complement. 0 gives -Infinity.
 *
 * Two forms, because each loses all digits where the other is exact: next to x = 0 the difference is
 * -expm1(x), far below 0 it is 1 minus almost nothing.
 */
export function logOneMinusExp(x: number): number {
  if (!(x <= 0)) throw new RangeError(`a logarithm of a probability is ${x}, expected at most 0`);
  return x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));
}
