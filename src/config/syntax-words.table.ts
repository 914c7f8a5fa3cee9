/**
 * Syntax words: what YAML mistakes are called here, and what to do about each.
 *
 * why    the library speaks of the grammar ("implicit keys"); the reader has a file and is in a hurry
 * in     its error code, and its sentence where one code stands for several mistakes
 * note   a sentence that a new release changes falls back to the library's own words
 */
type Words = readonly [message: string, hint?: string];

const WORDS_BY_CODE: Readonly<Record<string, Words>> = {
  TAB_AS_INDENT: ["a tab indents this line", "YAML is indented with spaces."],
  MULTIPLE_DOCS: ["a second document starts here", "Keep one document in the file: remove `---`."],
  TAG_RESOLVE_FAILED: ["tags are not used here", "Remove the word that starts with `!`."],
  NON_STRING_KEY: ["a key must be a plain word", "A mapping or a list cannot be a key."],
  MULTILINE_IMPLICIT_KEY: [
    "this line has no colon, yet something stands below it",
    "Write `key:` here, or indent what follows less.",
  ],
  BLOCK_IN_FLOW: ['this value holds ": "', 'Put it in quotes: "…".'],
  BLOCK_AS_IMPLICIT_KEY: [
    "this value is followed by another key",
    'Begin a new line for the key; a value that holds ": " needs quotes.',
  ],
  BAD_ALIAS: ["a lone `*` is no value in YAML", 'Put it in quotes: "*".'],
};

/** Where one code stands for several mistakes, the library's sentence tells them apart. */
const WORDS_BY_SENTENCE: readonly (readonly [begins: string, words: Words])[] = [
  ["Flow map", ["a `{` above is not closed", "Add the missing `}`."]],
  ["Flow sequence", ["a `[` above is not closed", "Add the missing `]`."]],
  ["Missing closing", ["this quote is never closed", "Add the missing quote."]],
  [
    "All ",
    ["this line is indented neither like those above nor below one of them", "Align it with its neighbours."],
  ],
  [
    "Plain value cannot start",
    ["a value cannot begin with this character", 'Put the whole value in quotes: "…".'],
  ],
  [
    "Unexpected flow-map-start",
    ["a `{` in the middle of a value", 'Put the whole value in quotes, such as "/new/{rest}".'],
  ],
  [
    "Unexpected flow-seq-start",
    ["a `[` in the middle of a value", 'Put the whole value in quotes: "~^/v[0-9]+/".'],
  ],
];

/** What to tell about a mistake the library found; its own words where it knows better. */
export function wordsFor(code: string, sentence: string): Words {
  const bySentence = WORDS_BY_SENTENCE.find(([begins]) => sentence.startsWith(begins))?.[1];
  return bySentence ?? WORDS_BY_CODE[code] ?? [`YAML: ${sentence}`];
}
