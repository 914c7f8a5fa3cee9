import { describe, expect, test } from "bun:test";
import { testAuthority } from "../../tests/support/certificates.ts";
import { readCertificate } from "../tls/certificate.ts";
import {
  type CertificateSource,
  type FileMaterials,
  MaterialsBoard,
  NO_FILE_MATERIALS,
  type Offer,
} from "./materials.ts";

const ca = await testAuthority();

async function offer(source: CertificateSource, name: string): Promise<Offer> {
  const { cert, key } = await ca.issue({ names: [name] });
  const read = readCertificate(cert, key);
  if ("error" in read) throw new Error(read.error);
  return {
    source,
    origin: "test",
    names: [name],
    certificate: read,
    lastError: undefined,
    renewsAtMs: undefined,
  };
}

const [file, acme, standIn] = await Promise.all([
  offer("file", "file.test"),
  offer("acme", "acme.test"),
  offer("self-signed", "self.test"),
]);
const wanted: Offer = { ...acme, certificate: undefined, lastError: "the authority is down" };

/** A board whose sends end when the test says so. */
function setUp(loaded: Partial<FileMaterials> = {}) {
  const sends: PromiseWithResolvers<void>[] = [];
  const board = new MaterialsBoard({
    send: () => {
      const sent = Promise.withResolvers<void>();
      sends.push(sent);
      return sent.promise;
    },
  });
  const draft = board.draft({ ...NO_FILE_MATERIALS, ...loaded });
  board.adopt(draft);
  const names = () => draft.all().certificates["web"]?.map((pair) => pair.names[0]);
  return { board, draft, sends, names };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("which certificates a listener has, and in what order", () => {
  const rows: readonly (readonly [name: string, files: Offer[], others: Offer[], expected: string[]])[] = [
    ["files stand before what ACME has", [file], [acme], ["file.test", "acme.test"]],
    ["a stand-in only where there is nothing else", [], [], ["self.test"]],
    ["a stand-in while ACME wants but has not got", [], [wanted], ["self.test"]],
    ["no stand-in once ACME has one", [], [acme], ["acme.test"]],
  ];
  for (const [name, files, others, expected] of rows) {
    test(name, () => {
      const { board, names } = setUp({ offers: { web: files }, standIns: { web: standIn } });
      void board.setOffers("web", others);
      expect(names()).toEqual(expected);
    });
  }

  test("rows show what is wanted and not there, and which one is the default", () => {
    const { board } = setUp({ offers: { web: [] }, standIns: { web: standIn } });
    void board.setOffers("web", [wanted]);
    const shown = board.rows().map(({ offer, isDefault }) => [offer.source, offer.lastError, isDefault]);
    expect(shown).toEqual([
      ["acme", "the authority is down", false],
      ["self-signed", undefined, true],
    ]);
  });

  test("what ACME has for a listener that is no more goes nowhere", () => {
    const { board, draft } = setUp({ offers: { web: [file] } });
    void board.setOffers("gone", [acme]);
    expect(Object.keys(draft.all().certificates)).toEqual(["web"]);
    expect(board.rows()).toHaveLength(1);
  });
});

describe("what workers are told", () => {
  test("only parts that changed since what they have", () => {
    const { board, draft } = setUp({ offers: { web: [file] } });
    const start = draft.number;
    void board.setChallenges({ http: { token: "key" }, alpn: {} });
    const afterChallenge = draft.number;
    expect(Object.keys(draft.since(start))).toEqual(["challenges"]);
    void board.setOffers("web", [acme]);
    expect(Object.keys(draft.since(afterChallenge))).toEqual(["certificates"]);
    expect(Object.keys(draft.since(start)).sort()).toEqual(["certificates", "challenges"]);
    expect(draft.since(draft.number)).toEqual({});
  });

  test("a change settles when they have it, and changes meanwhile go out together after it", async () => {
    const { board, sends } = setUp();
    const order: string[] = [];
    const told = (name: string) => () => void order.push(name);
    void board.setOffers("web", [acme]).then(told("first"));
    await settled();
    void board.setChallenges({ http: {}, alpn: {} }).then(told("second"));
    void board.setOffers("web", []).then(told("third"));
    await settled();
    expect(sends).toHaveLength(1);
    sends[0]?.resolve();
    await settled();
    expect(order).toEqual(["first"]);
    expect(sends).toHaveLength(2);
    sends[1]?.resolve();
    await settled();
    expect(order).toEqual(["first", "second", "third"]);
  });

  test("a send that fails does not hold up the next", async () => {
    const { board, sends } = setUp();
    const failed = board.setOffers("web", [acme]).catch((error: Error) => error.message);
    await settled();
    sends[0]?.reject(new Error("lost"));
    expect(await failed).toBe("lost");
    void board.setOffers("web", []);
    await settled();
    expect(sends).toHaveLength(2);
  });

  test("changed files reach the configuration in force, and not one that is being prepared", () => {
    const { board, draft } = setUp({ offers: { web: [] } });
    const next = board.draft({ ...NO_FILE_MATERIALS, offers: { next: [] } });
    void board.setFiles({ ...NO_FILE_MATERIALS, offers: { web: [file] } });
    expect(draft.all().certificates["web"]).toHaveLength(1);
    expect(next.all().certificates).toEqual({ next: [] });
    void board.setOffers("next", [acme]);
    expect(next.all().certificates["next"]).toHaveLength(1);
  });
});

test("whoever subscribed hears of wanted names until it stops", () => {
  const { board } = setUp();
  const heard: string[] = [];
  const stop = board.onWanted((listener, name) => heard.push(`${listener} ${name}`));
  board.want("web", "a.test");
  stop();
  board.want("web", "b.test");
  expect(heard).toEqual(["web a.test"]);
});
