import { Option } from "commander";
import { CONFIG_FILE_DEFAULT } from "../config.ts";

export interface ConfigOptions {
  readonly config: string;
}

export function configOption(): Option {
  return new Option("-c, --config <file>", "the configuration").default(CONFIG_FILE_DEFAULT);
}
