import { describe, expect, test } from "bun:test";
import { SAMPLE_STATUS } from "../../tests/support/sample-status.ts";
import { PAGE_POLICY, renderPage } from "./page.ts";
import type { Status } from "./status.ts";

const html = renderPage(SAMPLE_STATUS);
const partOf = (text: string, tag: string) =>
  new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(text)?.[1] as string;

const unescaped = (text: string) => text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));

/** Cells of a page: place in the status, format and text as shown. */
function cellsOf(text: string) {
  return [...text.matchAll(/data-v="([^"]+)" data-f="([^"]+)">([^<]*)</g)].map((match) => ({
    dataset: { v: match[1] as string, f: match[2] as string },
    textContent: unescaped(match[3] as string),
  }));
}

/** Runs the page's script in a browser made of what it uses; `tick` is one interval. */
function browse(page: string, answers: (() => Promise<unknown>)[]) {
  const cells = cellsOf(page);
  const note = { textContent: "" };
  const [, written = ""] = /data-shape="([^"]*)"/.exec(page) ?? [];
  const shape = unescaped(written);
  const seen = { reloads: 0, tick: () => Promise.resolve() };
  const run = new Function("document", "location", "fetch", "setInterval", partOf(page, "script"));
  const document = {
    hidden: false,
    body: { dataset: { shape } },
    getElementById: () => note,
    querySelectorAll: () => cells,
  };
  run(
    document,
    { reload: () => seen.reloads++ },
    () => answers.shift()?.(),
    (tick: () => Promise<void>) => {
      seen.tick = tick;
    },
  );
  return { cells, note, seen, document };
}

const answering = (status: Status) => () =>
  Promise.resolve({ ok: true, json: () => Promise.resolve(JSON.parse(JSON.stringify(status))) });

describe("the document", () => {
  test("elements are closed in the order they were opened", () => {
    const open: string[] = [];
    const body = html.replace(/<(style|script)>[\s\S]*?<\/\1>/g, "");
    for (const [, end, tag = "", rest] of body.matchAll(/<(\/?)([a-z0-9]+)((?:\s[^<>]*)?)>/g)) {
      if (["meta"].includes(tag)) continue;
      if (end === "/") expect(open.pop()).toBe(tag);
      else open.push(tag);
      expect(rest).toMatch(/^(?: [a-z-]+="[^"<>]*")*$/);
    }
    expect(open).toEqual([]);
  });

  test("values of a configuration are escaped", () => {
    expect(html).not.toContain("<b>");
    expect(html).not.toContain("<app>");
    expect(html).toContain("&#60;b&#62;&#38;&#39;&#34;");
  });

  test("the policy holds the hashes of the very script and style", () => {
    for (const [tag, directive] of [
      ["script", "script-src"],
      ["style", "style-src"],
    ] as const) {
      const hash = new Bun.CryptoHasher("sha256").update(partOf(html, tag)).digest("base64");
      expect(PAGE_POLICY).toContain(`${directive} 'sha256-${hash}'`);
    }
    expect(html).not.toMatch(/ (?:on[a-z]+|style|src|href)=/);
  });

  test("a refused reload is shown with place and hint", () => {
    expect(html).toContain("no upstream &#34;&#60;app&#62;&#34;. Did you mean &#34;api&#34;?");
  });

  test("tables are bounded and say how much there is", () => {
    const route = SAMPLE_STATUS.routes[0] as Status["routes"][number];
    const many = renderPage({ ...SAMPLE_STATUS, routes: new Array<typeof route>(5000).fill(route) });
    expect(many).toContain("The first 200 of 5000 rows");
    expect(many.length).toBeLessThan(300_000);
  });

  test("a route without requests has no latency", () => {
    const routes = SAMPLE_STATUS.routes.map((route) => ({ ...route, p50Ms: 0 }));
    const shown = cellsOf(renderPage({ ...SAMPLE_STATUS, routes }));
    expect(shown.find((cell) => cell.dataset.v === "routes.0.p50Ms")?.textContent).toBe("–");
  });

  test("routes tell what the cache did for them, where there is one", async () => {
    const counts = {
      hit: 1500,
      stale: 0,
      revalidated: 2,
      miss: 3,
      bypass: 4,
      coalesced: 0,
      stored: 3,
      refused: 0,
    };
    const cache = { ...counts, bytesFromCache: 1, bytesFromEndpoint: 2 };
    const routes = SAMPLE_STATUS.routes.map((route, index) => (index === 0 ? { ...route, cache } : route));
    const written = renderPage({ ...SAMPLE_STATUS, routes });
    const textsOf = (cells: ReturnType<typeof cellsOf>) =>
      [0, 1].map((index) => {
        const hits = cells.find(({ dataset }) => dataset.v === `routes.${index}.cache.hit`);
        return hits?.textContent;
      });
    expect(textsOf(cellsOf(written))).toEqual(["1,500", "–"]);
    const page = browse(written, [answering(SAMPLE_STATUS)]);
    await page.seen.tick();
    expect(textsOf(page.cells)).toEqual(["–", "–"]);
    const { cache: _, ...without } = SAMPLE_STATUS;
    expect(renderPage(without)).not.toContain("Cache hits");
  });

  test("numbers are written for people", () => {
    const shown = new Map(cellsOf(html).map((cell) => [cell.dataset.v, cell.textContent]));
    expect(shown.get("listeners.0.connections")).toBe("1,234,567");
    expect(shown.get("workers.0.memoryBytes")).toBe("40.0");
    expect(shown.get("routes.0.p50Ms")).toBe("1.23");
    expect(shown.get("routes.0.p99Ms")).toBe("123");
    expect(shown.get("upstreams.0.endpoints.0.addresses")).toBe("10.0.0.1, 10.0.0.2");
  });
});

describe("the script", () => {
  const busier: Status = {
    ...SAMPLE_STATUS,
    state: "draining",
    listeners: SAMPLE_STATUS.listeners.map((listener) => ({
      ...listener,
      requests: 9_000_000,
      addresses: ["a", "b"],
    })),
    routes: SAMPLE_STATUS.routes.map((route) => ({ ...route, p99Ms: 4.5 })),
  };

  test("makes of a new status what the server would have made of it", async () => {
    const page = browse(html, [answering(busier)]);
    await page.seen.tick();
    expect(page.cells).toEqual(cellsOf(renderPage(busier)));
    expect(page.cells).not.toEqual(cellsOf(html));
    expect(page.note.textContent).toBe("Updated every 2 s.");
    expect(page.seen.reloads).toBe(0);
  });

  test("loads the page anew when the rows changed, and not before", async () => {
    const page = browse(html, [answering(SAMPLE_STATUS), answering({ ...SAMPLE_STATUS, configVersion: 4 })]);
    await page.seen.tick();
    expect(page.seen.reloads).toBe(0);
    await page.seen.tick();
    expect(page.seen.reloads).toBe(1);
  });

  test("says when there is no answer, and recovers", async () => {
    const page = browse(html, [
      () => Promise.reject(new Error("gone")),
      () => Promise.resolve({ ok: false, status: 503 }),
      answering(SAMPLE_STATUS),
    ]);
    await page.seen.tick();
    expect(page.note.textContent).toContain("No answer");
    await page.seen.tick();
    expect(page.note.textContent).toContain("No answer");
    await page.seen.tick();
    expect(page.note.textContent).toBe("Updated every 2 s.");
  });

  test("asks nothing while nobody looks", async () => {
    const answers = [answering(busier)];
    const page = browse(html, answers);
    page.document.hidden = true;
    await page.seen.tick();
    expect(answers.length).toBe(1);
  });
});
