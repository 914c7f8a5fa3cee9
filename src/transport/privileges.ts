/**
 * Privileges: which user a name stands for, and becoming that user for good.
 *
 * why    a worker reads what strangers send; as nobody it can do little with what they might trick it into
 * rule   groups first, then group, then user: the other way round the right to change groups is gone
 * fails  `become` throws, and so does a check afterwards that root is really out of reach
 * note   why control stays root: docs/decisions/0004-privileges.md
 * spec   setgroups(2), setgid(2), setuid(2), passwd(5), group(5)
 */
import { readFileSync } from "node:fs";

export interface Identity {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** All groups, the first one too. */
  readonly groups: readonly number[];
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Looks a user up by name or number. out  undefined when there is none */
export function findIdentity(user: string): Identity | undefined {
  return identityIn(user, readText("/etc/passwd"), readText("/etc/group"));
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** As `findIdentity`, in the text of a passwd and a group file. */
export function identityIn(user: string, passwd: string, group: string): Identity | undefined {
  const entry = passwd
    .split("\n")
    .map((line) => line.split(":"))
    .find(([name, , uid]) => name !== "" && (name === user || uid === user));
  if (entry === undefined) return undefined;
  const [name = "", , uid = "", gid = ""] = entry;
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined;
  const others = group
    .split("\n")
    .map((line) => line.split(":"))
    .filter(([, , , members = ""]) => members.split(",").includes(name))
    .map(([, , number]) => Number(number))
    .filter(Number.isInteger);
  return { name, uid: Number(uid), gid: Number(gid), groups: [...new Set([Number(gid), ...others])] };
}

/** Becomes the user; there is no way back. */
export function become(identity: Identity): void {
  process.setgroups?.([...identity.groups]);
  process.setgid?.(identity.gid);
  process.setuid?.(identity.uid);
  if (process.getuid?.() !== identity.uid || process.geteuid?.() !== identity.uid) {
    throw new Error(`could not become user ${identity.name}`);
  }
  if (identity.uid !== 0 && mayBecomeRoot()) throw new Error(`user ${identity.name} can still become root`);
}

function mayBecomeRoot(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch {
    return false;
  }
}
