/** Certificates that change while a listener serves, at the real program. */
import { afterEach, expect, test } from "bun:test";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { asFiles, ca, certificateFiles, shownBy, TlsClient, tlsListener } from "./https.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const FILES = await certificateFiles({ a: { names: ["a.test"] }, b: { names: ["b.test"] } });

/** Puts another certificate in the place of `NAME.pem`, as a renewal does. */
async function renew(weir: Weir, name: string, subject: string): Promise<void> {
  const issued = await ca.issue({ names: [`${name}.test`], subject: `CN=${subject}` });
  for (const [file, text] of Object.entries(asFiles(name, issued))) {
    const path = join(weir.folder, file);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }
}

for (const [way, listener] of [
  ["native", ""],
  ["peeked", 'proxyProtocol: { from: ["10.0.0.0/8"] }'],
] as const) {
  test(`${way}: new files are shown, to clients with a name and without, and open connections go on`, async () => {
    const weir = await stage.weir(tlsListener("", ["a", "b"], listener), { files: FILES });
    const old = await TlsClient.connect(weir.port());
    expect((await old.get()).status).toBe(200);
    for (const [name, subject, servername] of [
      ["b", "b-2", "b.test"],
      ["a", "a-2", ""],
      ["a", "a-3", ""],
    ] as const) {
      await renew(weir, name, subject);
      await eventually(async () => (await shownBy(weir.port(), { servername })) === subject, 10_000, subject);
    }
    expect(await shownBy(weir.port(), { servername: "a.test" })).toBe("a-3");
    expect((await old.get()).status).toBe(200);
  }, 40_000);
}

test("a swap of the default certificate under new connections loses none", async () => {
  const weir = await stage.weir(tlsListener("", ["a"]), { files: FILES });
  let isOver = false;
  const failures: string[] = [];
  const seen = new Set<string>();
  let asked = 0;
  const ask = async () => {
    while (!isOver) {
      try {
        const client = await TlsClient.connect(weir.port(), {
          servername: asked++ % 2 === 0 ? "" : "a.test",
        });
        seen.add(client.shown);
        if ((await client.get()).status !== 200) failures.push("status");
        client.close();
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const clients = [ask(), ask(), ask(), ask()];
  for (const subject of ["a-2", "a-3"]) {
    await renew(weir, "a", subject);
    await eventually(() => seen.has(subject), 10_000, subject);
  }
  isOver = true;
  await Promise.all(clients);
  expect({ failures, asked: asked > 50 }).toEqual({ failures: [], asked: true });
}, 40_000);

test("TLS comes and goes with a reload, on the socket that is open", async () => {
  const yaml = tlsListener("", ["a"]);
  const weir = await stage.weir(yaml, { files: FILES });
  const port = weir.port();
  expect(await shownBy(port)).toBe("a.test");
  const plain = `
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { match: { path: /* }, respond: { body: plain } } ]
`;
  expect(await weir.reload(plain)).toBe(true);
  expect(weir.port()).toBe(port);
  const client = await stage.client(port);
  await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  expect((await client.response()).body).toBe("plain");
  expect(await weir.reload(yaml)).toBe(true);
  expect(await shownBy(port)).toBe("a.test");
});
