/**
 * The distribution of a sum in which each of the given whole ranks is present or absent with probability 1/2: index = sum,
 * value = probability. The null distribution of the signed-rank statistic, counted out rank by rank; all terms are
 * positive, so every probability is good to about 1e-15 times the number of ranks.
 *
 * Takes ranks.length times the sum of the ranks steps; callers bound both.
 */
export function signedRankDistribution(ranks: readonly number[]): Float64Array {
  const total = ranks.reduce((sum, rank) => sum + rank, 0);
  const mass = new Float64Array(total + 1);
  mass[0] = 1;
  let reached = 0;
  for (const rank of ranks) {
    reached += rank;
    for (let sum = reached; sum >= 0; sum--) {
      const without = mass[sum] ?? 0;
      const withRank = sum >= rank ? (mass[sum - rank] ?? 0) : 0;
      mass[sum] = 0.5 * (without + withRank);
    }
  }
  return mass;
}
