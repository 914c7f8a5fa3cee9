/**
 * JSON Schema of the configuration, for editors: printed from the option rows.
 *
 * out    draft 2020-12, with descriptions and defaults
 * note   a schema says less than the check: names, patterns and what belongs together are judged there.
 *        Keys of later releases are described and accept no value
 */

import { objectSchema } from "./options/containers.ts";
import { LATER_KEYS } from "./options/later.table.ts";
import { ROOT } from "./options/options.table.ts";

interface Node {
  properties?: Record<string, Node>;
  additionalProperties?: Node | false;
  items?: Node;
  anyOf?: Node[];
  [keyword: string]: unknown;
}

export function jsonSchema(): object {
  const root = structuredClone(objectSchema(ROOT)) as Node;
  for (const [rule, help] of Object.entries(LATER_KEYS)) {
    insertLater(root, rule.replaceAll("[]", ".[]").split("."), `Not supported yet. ${help}.`);
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Weir configuration",
    ...root,
  };
}

function insertLater(node: Node, steps: readonly string[], description: string): void {
  const [step = "", ...rest] = steps;
  for (const variant of [node, ...(node.anyOf ?? [])]) {
    if (rest.length === 0 && variant.properties !== undefined) {
      variant.properties[step] = { description, not: {} };
    } else if (variant !== node || node.anyOf === undefined) {
      const next = childOf(variant, step);
      if (next !== undefined) insertLater(next, rest, description);
    }
    if (variant !== node && variant.anyOf !== undefined) insertLater(variant, steps, description);
  }
}

function childOf(node: Node, step: string): Node | undefined {
  if (step === "[]") return node.items;
  if (step === "*") return node.additionalProperties === false ? undefined : node.additionalProperties;
  return node.properties?.[step];
}
