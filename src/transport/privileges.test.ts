import { expect, test } from "bun:test";
import { identityIn } from "./privileges.ts";

const PASSWD = [
  "root:x:0:0:root:/root:/bin/bash",
  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
  "weir:x:990:980::/:/bin/false",
  "broken:x::12:",
].join("\n");
const GROUP = ["root:x:0:", "weir:x:980:", "logs:x:4:syslog,weir", "odd:x:nan:weir", "none:x:5:weird"].join(
  "\n",
);

const ROWS: readonly [user: string, found: unknown][] = [
  ["nobody", { name: "nobody", uid: 65534, gid: 65534, groups: [65534] }],
  ["weir", { name: "weir", uid: 990, gid: 980, groups: [980, 4] }],
  ["990", { name: "weir", uid: 990, gid: 980, groups: [980, 4] }],
  ["stranger", undefined],
  ["", undefined],
  ["broken", undefined],
];
for (const [user, found] of ROWS) {
  test(`user "${user}" is ${found === undefined ? "nobody we know" : "found with all groups"} (passwd(5), group(5))`, () => {
    expect<unknown>(identityIn(user, PASSWD, GROUP)).toEqual(found);
  });
}
