type Json = { [key: string]: Json } | Json[] | string | number | boolean | null | undefined;

/**
 * A rendered Envoy configuration as it would be without Shadowgraph: none of its filters and header rules; mirrors only when
 * asked for, and then of every request.
 */
export function withoutShadowgraph(plain: unknown, { mirrors }: { mirrors: boolean }): unknown {
  const strip = (node: Json): Json => {
    if (Array.isArray(node)) return node.filter((item) => !isOurFilter(item)).map(strip);
    if (node === null || typeof node !== "object") return node;
    const kept = Object.entries(node).filter(
      ([key]) =>
        key !== "early_header_mutation_extensions" &&
        // What the tagger sets and the first route waits for.
        key !== "request_headers_to_remove" &&
        !(key === "headers" && isSampledMatch(node[key])) &&
        (mirrors || key !== "request_mirror_policies"),
    );
    return Object.fromEntries(kept.map(([key, value]) => [key, strip(value)]));
  };
  return strip(plain as Json);
}

function isOurFilter(item: Json): boolean {
  const text = JSON.stringify(item) ?? "";
  return /^\{"name":"shadowgraph_(tagger|observer)"/.test(text);
}

function isSampledMatch(headers: Json): boolean {
  return (JSON.stringify(headers) ?? "").includes("x-shadow-sampled");
}
