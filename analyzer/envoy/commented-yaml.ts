import { Document, type Node, Pair, Scalar, YAMLMap, YAMLSeq } from "yaml";

/** A value with a remark that stands above its key. */
export class Remarked {
  constructor(
    readonly text: string,
    readonly value: Tree,
  ) {}
}

/** Text that keeps its lines (a YAML block). */
export class Block {
  constructor(readonly text: string) {}
}

/** Keys whose value is undefined are left out. */
export type Tree =
  | string
  | number
  | boolean
  | Remarked
  | Block
  | readonly Tree[]
  | { readonly [key: string]: Tree | undefined };

export function remark(text: string, value: Tree): Remarked {
  return new Remarked(text, value);
}

/** Maps and lists up to this length stand on one line, as people write them. */
const FLOW_CHARS_MAX = 76;
const REMARK_CHARS_MAX = 100;

/** The tree as a person would have written it: remarks above keys, short maps on one line. */
export function toYaml(tree: Tree, headline: string): string {
  const document = new Document();
  const contents = node(tree);
  document.contents = contents as typeof document.contents;
  document.commentBefore = comment(headline);
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** The tree without remarks: Envoy's own JSON. */
export function toPlain(tree: Tree): unknown {
  if (tree instanceof Remarked) return toPlain(tree.value);
  if (tree instanceof Block) return tree.text;
  if (isList(tree)) return tree.map(toPlain);
  if (typeof tree === "object") {
    return Object.fromEntries(present(tree).map(([key, value]) => [key, toPlain(value)]));
  }
  return tree;
}

function node(tree: Tree): Node {
  if (tree instanceof Remarked) return node(tree.value);
  if (tree instanceof Block) {
    const block = new Scalar(tree.text);
    block.type = Scalar.BLOCK_LITERAL;
    return block;
  }
  if (isList(tree)) {
    const list = new YAMLSeq();
    for (const item of tree) {
      const itemNode = node(item);
      if (item instanceof Remarked) itemNode.commentBefore = comment(item.text);
      list.items.push(itemNode);
    }
    list.flow = fitsOnOneLine(tree);
    return list;
  }
  if (typeof tree === "object") {
    const map = new YAMLMap();
    for (const [key, value] of present(tree)) {
      const keyNode = new Scalar(key);
      if (value instanceof Remarked) keyNode.commentBefore = comment(value.text);
      map.items.push(new Pair(keyNode, node(value)));
    }
    map.flow = fitsOnOneLine(tree);
    return map;
  }
  return new Scalar(tree);
}

function present(map: { readonly [key: string]: Tree | undefined }): [string, Tree][] {
  return Object.entries(map).filter((entry): entry is [string, Tree] => entry[1] !== undefined);
}

function isList(tree: Tree): tree is readonly Tree[] {
  return Array.isArray(tree);
}

function fitsOnOneLine(tree: Tree): boolean {
  return !holdsRemark(tree) && JSON.stringify(toPlain(tree)).length <= FLOW_CHARS_MAX;
}

function holdsRemark(tree: Tree): boolean {
  if (tree instanceof Remarked || tree instanceof Block) return true;
  if (isList(tree)) return tree.some(holdsRemark);
  if (typeof tree === "object") return present(tree).some(([, value]) => holdsRemark(value));
  return false;
}

/** Wrapped at word borders; an empty line stays one. */
function comment(text: string): string {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line.length + word.length + 1 > REMARK_CHARS_MAX) {
        lines.push(line);
        line = "";
      }
      line += ` ${word}`;
    }
    lines.push(line.trim() === "" ? " " : line);
  }
  return lines.join("\n");
}
