/**
 * What the runtime tells of a module that it cannot read: `app/evaluate-config.ts` turns it into problems.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Thrown {
  readonly message?: string;
  readonly position?: { readonly file: string; readonly line: number; readonly column: number } | null;
  readonly errors?: readonly Thrown[];
}

async function thrownBy(text: string): Promise<Thrown> {
  const folder = mkdtempSync(join(tmpdir(), "weir-module-"));
  try {
    const file = join(folder, "module.ts");
    writeFileSync(file, text);
    await import(file);
    return {};
  } catch (error) {
    return error as Thrown;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a syntax error carries file, line and column, from 1", async () => {
  const thrown = await thrownBy("export default {\n  a: ,\n};\n");
  const first = thrown.errors?.[0] ?? thrown;
  expect(first.message).toBe("Unexpected ,");
  expect(first.position).toMatchObject({ line: 2, column: 6 });
  expect(first.position?.file).toEndWith("module.ts");
});

test("several syntax errors come together, each with its place", async () => {
  const thrown = await thrownBy("const a = 1;\nconst a = 2;\nconst a = 3;\n");
  expect(thrown.errors?.map((each) => each.position?.line)).toEqual([2, 3]);
});
