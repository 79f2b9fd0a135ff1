import { remark, type Tree } from "./commented-yaml.ts";

/** Where in a counter's name each label stands (filter/counters.ts writes the names). */
const TAGS: readonly (readonly [string, string])[] = [
  ["role", "(role\\.(\\w+)\\.)"],
  ["experiment", "role\\.\\w+\\.(experiment\\.([^.]+)\\.)"],
  ["leg", "role\\.\\w+\\.experiment\\.[^.]+\\.(leg\\.([^.]+)\\.)"],
  ["ending", "role\\.\\w+\\.experiment\\.[^.]+\\.leg\\.[^.]+\\.(ending\\.([^.]+)\\.)"],
  ["reason", "role\\.\\w+\\.experiment\\.[^.]+\\.(?:leg\\.[^.]+\\.)?(reason\\.([^.]+)\\.)"],
  ["cause", "role\\.\\w+\\.(cause\\.([^.]+)\\.)"],
];

/** Turns the filter's counters into labelled ones in /stats/prometheus. */
export function statsTags(): Tree {
  return {
    stats_tags: remark(
      "Labels of the filter's counters in /stats/prometheus. Each expression is anchored, so that an experiment or leg that is called like a label cannot be taken for one.",
      TAGS.map(([name, place]) => ({
        tag_name: name,
        regex: `^wasmcustom\\.shadowgraph_\\w+\\.${place}`,
      })),
    ),
  };
}
