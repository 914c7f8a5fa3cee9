/**
 * Passing descriptors through bun:ffi: struct layouts and the inheritance of stdio slots, as relied upon.
 */
import { expect, test } from "bun:test";
import { closeSync, fstatSync, openSync, readSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  closeDescriptor,
  DESCRIPTOR_SOCKET,
  descriptorPair,
  raiseDescriptorLimit,
  receiveDescriptor,
  sendDescriptor,
} from "../../src/transport/descriptors.ts";

const path = join(tmpdir(), `weir-descriptor-${process.pid}`);
function openSample(text: string): number {
  writeFileSync(path, text);
  const file = openSync(path, "r");
  unlinkSync(path);
  return file;
}

test("a descriptor sent over a pair arrives as another descriptor of the same open file", () => {
  const [own, child] = descriptorPair();
  const file = openSample("hello");
  expect(sendDescriptor(own, 7, file)).toBe(true);
  const inode = fstatSync(file).ino;
  closeSync(file);
  const got = receiveDescriptor(child);
  expect(got?.number).toBe(7);
  const descriptor = got?.descriptor as number;
  expect(fstatSync(descriptor).ino).toBe(inode);
  const bytes = Buffer.alloc(5);
  readSync(descriptor, bytes);
  expect(bytes.toString()).toBe("hello");
  for (const open of [own, child, descriptor]) closeDescriptor(open);
});

test("descriptors arrive one a message, in the order sent", () => {
  const [own, child] = descriptorPair();
  for (const number of [1, 2, 3]) sendDescriptor(own, number, own);
  const got = [receiveDescriptor(child), receiveDescriptor(child), receiveDescriptor(child)];
  expect(got.map((entry) => entry?.number)).toEqual([1, 2, 3]);
  expect(new Set(got.map((entry) => entry?.descriptor)).size).toBe(3);
  for (const open of [own, child, ...got.map((entry) => entry?.descriptor as number)]) closeDescriptor(open);
});

test("an empty socket gives undefined, a full one false, a closed one throws: none waits", () => {
  const [own, child] = descriptorPair();
  expect(receiveDescriptor(child)).toBeUndefined();
  let sent = 0;
  while (sent < 100_000 && sendDescriptor(own, sent, own)) sent++;
  expect(sent).toBeGreaterThan(16);
  expect(sent).toBeLessThan(100_000);
  closeDescriptor(child);
  expect(() => sendDescriptor(own, 0, own)).toThrow("cannot hand over a descriptor");
  closeDescriptor(own);

  const [left, right] = descriptorPair();
  closeDescriptor(left);
  expect(() => receiveDescriptor(right)).toThrow("sender is gone");
  closeDescriptor(right);
});

test("a number in the fourth stdio slot of Bun.spawn is the child's descriptor 3, beside IPC", async () => {
  const [own, child] = descriptorPair();
  const file = openSample("slot");
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const source = `
    import { receiveDescriptor } from ${JSON.stringify(join(import.meta.dir, "../../src/transport/descriptors.ts"))};
    import { readSync } from "node:fs";
    const got = receiveDescriptor(${DESCRIPTOR_SOCKET});
    const bytes = Buffer.alloc(4);
    readSync(got.descriptor, bytes);
    process.send([got.number, bytes.toString()]);`;
  sendDescriptor(own, 42, file);
  const spawned = Bun.spawn([process.execPath, "-e", source], {
    stdio: ["ignore", "inherit", "inherit", child],
    ipc: resolve,
  });
  expect(await promise).toEqual([42, "slot"]);
  await spawned.exited;
  for (const open of [own, child, file]) closeDescriptor(open);
});

test("the limit of open files is read and raised", () => {
  expect(raiseDescriptorLimit()).toBeGreaterThan(255);
});
