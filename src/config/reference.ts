/**
 * Reference: every key of the configuration as Markdown, printed from the option rows.
 *
 * out    the text of `docs/generated/config-reference.md`
 */
import { LATER_KEYS, LATER_VALUES } from "./options/later.table.ts";
import { ROOT } from "./options/options.table.ts";
import type { Option, Rows } from "./options/types.ts";

interface Section {
  readonly path: string;
  readonly rows: Rows;
}

const HEAD = `# Configuration reference

Printed from \`src/config/options/options.table.ts\` by \`tools/print-reference.ts\`; do not edit.

\`<name>\` stands for a name of your choice, \`[]\` for an entry of a list. Where a list is expected, one value alone
will do. Any string may hold \`\${NAME}\` or \`\${NAME:-default}\` from the environment; \`$\${\` is a plain \`\${\`.
`;

export function configReference(): string {
  const sections = sectionsOf("", ROOT, []).map(printSection);
  return `${[HEAD, ...sections, printLater()].join("\n")}`;
}

/** The mapping itself, then the mappings inside; one that stands in two places is printed at the first. */
function sectionsOf(path: string, rows: Rows, seen: Rows[]): readonly Section[] {
  if (seen.includes(rows)) return [];
  seen.push(rows);
  const inner = Object.entries(rows).flatMap(([key, { type }]) =>
    type.rows === undefined ? [] : sectionsOf(stepInto(path, key, type.name), type.rows, seen),
  );
  return [{ path, rows }, ...inner];
}

function stepInto(path: string, key: string, typeName: string): string {
  const at = path === "" ? key : `${path}.${key}`;
  if (typeName.startsWith("mapping of names")) return `${at}.<name>`;
  return /\blist\b/.test(typeName) ? `${at}[]` : at;
}

function printSection({ path, rows }: Section): string {
  const lines = Object.entries(rows).map(([key, option]) => printRow(key, option));
  return [
    `## ${path === "" ? "Top level" : `\`${path}\``}`,
    "",
    "| key | type | default | meaning |",
    "| --- | --- | --- | --- |",
    ...lines,
    "",
  ].join("\n");
}

function printRow(key: string, option: Option<unknown, unknown>): string {
  const { type, written, isRequired, help } = option;
  const fallback = isRequired ? "required" : written === undefined ? "" : `\`${asWritten(written)}\``;
  return `| \`${key}\` | ${escapeCell(type.name)} | ${fallback} | ${escapeCell(help)}. |`;
}

function asWritten(value: unknown): string {
  return typeof value === "string" ? value || '""' : JSON.stringify(value);
}

const escapeCell = (text: string): string => text.replaceAll("|", "\\|");

function printLater(): string {
  const named = (rule: string): string => rule.replace(".*", ".<name>");
  const keys = Object.entries(LATER_KEYS).map(([rule, help]) => `| \`${named(rule)}\` | ${help}. |`);
  const values = Object.entries(LATER_VALUES).map(
    ([rule, words]) =>
      `| \`${named(rule)}\` | The values ${words.map((word) => `\`${word}\``).join(", ")}. |`,
  );
  return [
    "## Not supported yet",
    "",
    "These are refused with their place, not ignored.",
    "",
    "| key | meaning |",
    "| --- | --- |",
    ...keys,
    ...values,
    "",
  ].join("\n");
}
