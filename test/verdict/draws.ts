import { SeededRandom } from "../support/random.ts";

/** Random draws for simulations, from one seed. */
export class Draws {
  private readonly random: SeededRandom;
  private spare: number | null = null;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  /** In (0, 1), never an end. */
  uniform(): number {
    return (this.random.next32() + 0.5) / 2 ** 32;
  }

  happens(probability: number): boolean {
    return this.random.next32() < probability * 2 ** 32;
  }

  normal(): number {
    if (this.spare !== null) {
      const value = this.spare;
      this.spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  shuffled<T>(values: readonly T[]): T[] {
    const shuffled = [...values];
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.random.below(last + 1);
      const kept = shuffled[last] as T;
      shuffled[last] = shuffled[other] as T;
      shuffled[other] = kept;
    }
    return shuffled;
  }
}
