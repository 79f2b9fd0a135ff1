import { Command, InvalidArgumentError } from "commander";
import { usageError } from "../../analyzer/cli/usage.ts";
import { PORTS, type PortName, type Ports } from "./stack.ts";

export interface DemoOptions {
  readonly requests: number;
  readonly rate: number;
  readonly once: boolean;
  readonly dir: string;
  readonly ports: Partial<Ports>;
}

const NAMES = Object.keys(PORTS) as PortName[];

/**
 * @throws AnalyzerError USAGE
 * @throws Shown after --help
 */
export function parseOptions(args: readonly string[]): DemoOptions {
  const command = new Command("npm run demo --")
    .description("Shadowgraph around a fraud-scoring service in two versions, until Ctrl-C.")
    .option("-n, --requests <n>", "requests until the summary", whole(1, 10_000_000), 2000)
    .option("-r, --rate <n>", "requests a second", whole(1, 20_000), 100)
    .option("--once", "end after the summary instead of going on slowly", false)
    .option("--dir <folder>", "data and logs; removed at the end", ".shadowgraph/demo")
    .option("--free-ports", "take free ports instead of the usual ones", false);
  for (const name of NAMES) {
    const { title, standard } = PORTS[name];
    command.option(`--port-${name} <n>`, `${title} (default: ${standard})`, whole(1, 65_535));
  }
  command
    .addHelpText(
      "after",
      `
Examples:
  npm run demo                                         and open the page that it names
  npm run demo -- --port-page 8081                     when 8080 is taken
  npm run demo -- --requests 10000 --rate 500 --once   for scripts: exit code 0 when all went well
`,
    )
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: () => {} })
    .exitOverride((error) => {
      throw usageError(command, error);
    })
    .parse([...args], { from: "user" });
  const given = command.opts<Record<string, unknown>>();
  const ports: Partial<Record<PortName, number>> = {};
  for (const name of NAMES) {
    const port = given[`port${name[0]?.toUpperCase()}${name.slice(1)}`];
    if (typeof port === "number") ports[name] = port;
    else if (given["freePorts"] === true) ports[name] = 0;
  }
  return {
    requests: given["requests"] as number,
    rate: given["rate"] as number,
    once: given["once"] as boolean,
    dir: given["dir"] as string,
    ports,
  };
}

function whole(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < minimum || value > maximum) {
      throw new InvalidArgumentError(`Expected a whole number from ${minimum} to ${maximum}.`);
    }
    return value;
  };
}
