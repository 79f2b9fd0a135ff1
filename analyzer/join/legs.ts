import { LEG_CONTROL, LEG_PRIMARY } from "../../wire/format.ts";

/** The mirrored legs of an experiment, as configured. */
export interface MirroredLegs {
  readonly shadows: readonly string[];
  /** The control's leg name, null without a control. */
  readonly control: string | null;
}

/** Number of the primary's leg; shadows follow from SHADOW_FIRST on, the control comes last. */
export const PRIMARY = 0;
export const SHADOW_FIRST = 1;

/** An experiment's legs by number. */
export class Legs {
  readonly names: readonly string[];
  readonly shadowCount: number;
  /** Number of the control's leg, -1 without one. */
  readonly control: number;
  readonly #numbers: ReadonlyMap<string, number>;

  constructor({ shadows, control }: MirroredLegs) {
    const names = [LEG_PRIMARY, ...shadows];
    if (control !== null) names.push(LEG_CONTROL);
    this.names = names;
    this.shadowCount = shadows.length;
    this.control = control === null ? -1 : names.length - 1;
    this.#numbers = new Map(names.map((name, number) => [name, number]));
  }

  /** -1 for a leg that the experiment does not have. */
  numberOf(leg: string): number {
    return this.#numbers.get(leg) ?? -1;
  }
}
