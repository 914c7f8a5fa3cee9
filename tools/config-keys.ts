/**
 * Config keys: does a dotted key path such as `listeners.web.limits.body` exist in the configuration?
 *
 * in     the JSON Schema that `weir schema` prints; names chosen by people (`web`) match any name,
 *        and `[]`, `[0]` or `*` step into a list or a set of names
 * never  judges a span that does not begin with a top-level key and go at least one step deeper
 */
export interface KeyTree {
  readonly properties?: Readonly<Record<string, KeyTree | boolean>>;
  readonly additionalProperties?: KeyTree | boolean;
  readonly items?: KeyTree | boolean;
  readonly anyOf?: readonly KeyTree[];
  readonly oneOf?: readonly KeyTree[];
  readonly allOf?: readonly KeyTree[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, KeyTree>>;
}

const KEY_PATH = /^[a-z][A-Za-z]*(?:\[\d*\])?(?:\.(?:[\w-]+|\*|<\w+>)(?:\[\d*\])?)+$/;

/** The schema of this checkout. */
export async function keyTreeOf(): Promise<KeyTree> {
  const { jsonSchema } = await import("../src/config/json-schema.ts");
  return jsonSchema() as KeyTree;
}

/** What is wrong with the span as a key path, or undefined: it is one that exists, or no key path at all. */
export function unknownKey(span: string, schema: KeyTree): string | undefined {
  if (!KEY_PATH.test(span)) return undefined;
  const steps = span.replace(/\[\d*\]/g, ".[]").split(".");
  if (!((steps[0] as string) in (schema.properties ?? {}))) return undefined;
  let here: KeyTree[] = [schema];
  for (const [index, step] of steps.entries()) {
    here = here.flatMap((node) => below(node, step, schema));
    if (here.length === 0) return `there is no configuration key ${steps.slice(0, index + 1).join(".")}`;
  }
  return undefined;
}

/** All places one step leads to; a list step may be left out, as people do. */
function below(node: KeyTree, step: string, root: KeyTree): KeyTree[] {
  const found: KeyTree[] = [];
  for (const variant of variantsOf(node, root)) {
    const { properties = {}, additionalProperties, items } = variant;
    const named = properties[step];
    if (named !== undefined) found.push(treeOf(named));
    else if (step === "*") found.push(...Object.values(properties).map(treeOf));
    if (additionalProperties !== undefined && additionalProperties !== false)
      found.push(treeOf(additionalProperties));
    if (items !== undefined && items !== false) {
      if (step === "[]") found.push(treeOf(items));
      else found.push(...below(treeOf(items), step, root));
    }
  }
  return found;
}

const treeOf = (node: KeyTree | boolean): KeyTree => (typeof node === "boolean" ? {} : node);

function variantsOf(node: KeyTree, root: KeyTree): KeyTree[] {
  const target = node.$ref === undefined ? undefined : root.$defs?.[node.$ref.replace("#/$defs/", "")];
  const inner = [...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])];
  if (target !== undefined) inner.push(target);
  return [node, ...inner.flatMap((variant) => variantsOf(variant, root))];
}
