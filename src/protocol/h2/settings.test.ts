/** Settings: what a peer may say about itself (RFC 9113 §6.5.2). */
import { expect, test } from "bun:test";
import * as wire from "../../../tests/support/h2-frames.ts";
import { PeerSettings } from "./settings.ts";

const { SETTING, CODE } = wire;
type Pairs = readonly (readonly [id: number, value: number])[];

function read(pairs: Pairs, isFromServer = false) {
  const settings = new PeerSettings();
  const frame = wire.settings(...pairs);
  return { settings, code: settings.read(frame, 9, frame.length, isFromServer)?.code };
}

const SOUND: readonly [what: string, pairs: Pairs, wanted: Partial<PeerSettings>][] = [
  ["nothing", [], { headerTableBytes: 4096, initialWindow: 65_535, maxStreams: Number.POSITIVE_INFINITY }],
  ["no streams at all", [[SETTING.maxConcurrentStreams, 0]], { maxStreams: 0 }],
  ["the largest window", [[SETTING.initialWindowSize, wire.MAX_WINDOW]], { initialWindow: wire.MAX_WINDOW }],
  ["a window of nothing", [[SETTING.initialWindowSize, 0]], { initialWindow: 0 }],
  ["extended CONNECT (RFC 8441 §3)", [[SETTING.enableConnectProtocol, 1]], { takesExtendedConnect: true }],
  [
    "one setting twice: the last counts",
    [
      [SETTING.initialWindowSize, 1],
      [SETTING.initialWindowSize, 2],
    ],
    { initialWindow: 2 },
  ],
  ["an unknown setting", [[0xbeef, 7]], { headerTableBytes: 4096 }],
  ["the largest frame there can be", [[SETTING.maxFrameSize, 2 ** 24 - 1]], {}],
  ["no push", [[SETTING.enablePush, 0]], {}],
];
for (const [what, pairs, wanted] of SOUND) {
  test(`settings may say: ${what}`, () => {
    const { settings, code } = read(pairs);
    expect(code).toBeUndefined();
    expect(settings).toMatchObject(wanted);
  });
}

const WRONG: readonly [what: string, pairs: Pairs, isFromServer: boolean, code: number][] = [
  ["a window of 2^31", [[SETTING.initialWindowSize, 2 ** 31]], false, CODE.flowControl],
  ["a frame smaller than every peer takes", [[SETTING.maxFrameSize, 16_383]], false, CODE.protocol],
  ["a frame larger than there can be", [[SETTING.maxFrameSize, 2 ** 24]], false, CODE.protocol],
  ["push of 2", [[SETTING.enablePush, 2]], false, CODE.protocol],
  ["push, from a server", [[SETTING.enablePush, 1]], true, CODE.protocol],
  ["extended CONNECT of 2", [[SETTING.enableConnectProtocol, 2]], false, CODE.protocol],
];
for (const [what, pairs, isFromServer, code] of WRONG) {
  test(`settings may not say: ${what}`, () => {
    expect(read(pairs, isFromServer).code).toBe(code);
  });
}

test("the smallest table on the way is known, also when it has grown again (RFC 7541 §4.2)", () => {
  const { settings } = read([
    [SETTING.headerTableSize, 0],
    [SETTING.headerTableSize, 4096],
  ]);
  expect([settings.leastTableBytes, settings.headerTableBytes]).toEqual([0, 4096]);
  settings.read(Buffer.alloc(0), 0, 0, false);
  expect(settings.leastTableBytes).toBe(4096);
});
