export interface BinarySpec {
  readonly title: string;
  readonly command: string;
  readonly variable: string;
  readonly versionMin: readonly number[];
  readonly cached: string;
}

export type BinaryFound =
  | {
      readonly path: string;
      readonly version: string;
      readonly from: "variable" | "path" | "cache";
      readonly problem?: undefined;
    }
  | { readonly path?: undefined; readonly problem: string };

export const NATS_SERVER: BinarySpec;
export const ENVOY: BinarySpec;
export function packageRoot(): string;
export function findBinary(
  spec: BinarySpec,
  options?: { env?: NodeJS.ProcessEnv; root?: string },
): BinaryFound;
export function versionOf(path: string): number[] | undefined;
