import { describe, expect, test } from "bun:test";
import { formatTraceparent, parseTraceparent } from "./trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

describe("accepted", () => {
  const rows: [what: string, value: string, isSampled: boolean][] = [
    ["sampled", `00-${TRACE}-${SPAN}-01`, true],
    ["not sampled", `00-${TRACE}-${SPAN}-00`, false],
    ["unknown flags are ignored (§3.2.2.5)", `00-${TRACE}-${SPAN}-fe`, false],
    ["a later version", `01-${TRACE}-${SPAN}-01`, true],
    ["a later version with more parts (§3.2.4)", `cc-${TRACE}-${SPAN}-01-what-comes`, true],
  ];
  for (const [what, value, isSampled] of rows) {
    test(what, () => expect(parseTraceparent(value)).toEqual({ traceId: TRACE, parentId: SPAN, isSampled }));
  }
});

describe("refused", () => {
  const rows: [what: string, value: string][] = [
    ["nothing", ""],
    ["version ff", `ff-${TRACE}-${SPAN}-01`],
    ["version 00 with more parts", `00-${TRACE}-${SPAN}-01-more`],
    ["trailing bytes without a dash", `01-${TRACE}-${SPAN}-01more`],
    ["a trace id of zeros (§3.2.2.3)", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["a parent id of zeros (§3.2.2.4)", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["upper case", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ["a short trace id", `00-${TRACE.slice(1)}-${SPAN}-01`],
    ["a long parent id", `00-${TRACE}-${SPAN}0-01`],
    ["one flag digit", `00-${TRACE}-${SPAN}-1`],
    ["two values joined", `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
    ["line ends", `00-${TRACE}-${SPAN}-01\n`],
    ["a huge later version", `01-${TRACE}-${SPAN}-01-${"x".repeat(1000)}`],
  ];
  for (const [what, value] of rows) test(what, () => expect(parseTraceparent(value)).toBeUndefined());
});

test("what is written is read back", () => {
  for (const isSampled of [true, false]) {
    const text = formatTraceparent(TRACE, SPAN, isSampled);
    expect(parseTraceparent(text)).toEqual({ traceId: TRACE, parentId: SPAN, isSampled });
  }
});
