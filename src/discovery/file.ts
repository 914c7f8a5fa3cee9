/**
 * File: a list of endpoints that somebody else keeps up to date.
 *
 * why    looks at the file instead of asking the kernel: that also sees files replaced by `mv`, by links as Kubernetes
 *        makes them, and on network file systems
 * rule   a file is read when it has stood still for a moment: half of a YAML list is a list, too
 */
import { readFile, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { readYamlList } from "./endpoint-list.ts";
import { type Found, failure, MAX_ANSWER_BYTES, type Source } from "./source.ts";

const LOOK_MS = 1000;
/** How long it has to stand still. */
const STILL_MS = 100;
/** Looks before a file that never stands still is given up, until the next time. */
const MAX_LOOKS = 20;

export class FileSource implements Source {
  readonly name: string;
  readonly maxIntervalMs = LOOK_MS;
  readonly #path: string;
  readonly #isSecure: boolean;
  #known = "";

  constructor(path: string, isSecure: boolean) {
    this.name = `file ${path}`;
    this.#path = path;
    this.#isSecure = isSecure;
  }

  async ask(): Promise<Found> {
    try {
      const before = await this.#look();
      if (before.mark === this.#known) return { kind: "same" };
      const seen = await this.#untilStill(before);
      if (seen === undefined) return failure("it is being written all the time");
      if (seen.bytes > MAX_ANSWER_BYTES) return failure(`it is larger than ${MAX_ANSWER_BYTES} bytes`);
      const found = await this.#read();
      // what is wrong is told until it is put right
      this.#known = found.kind === "failure" ? "" : seen.mark;
      return found;
    } catch (error) {
      this.#known = "";
      return failure(reasonOf(error));
    }
  }

  async #read(): Promise<Found> {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await readFile(this.#path));
    const rules = { name: basename(this.#path), folder: dirname(this.#path), isSecure: this.#isSecure };
    return readYamlList(text, rules);
  }

  async #untilStill(first: Seen): Promise<Seen | undefined> {
    let seen = first;
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      await Bun.sleep(STILL_MS);
      const now = await this.#look();
      if (now.mark === seen.mark) return now;
      seen = now;
    }
    return undefined;
  }

  async #look(): Promise<Seen> {
    const { ino, size, mtimeMs } = await stat(this.#path);
    return { mark: `${ino} ${size} ${mtimeMs}`, bytes: size };
  }
}

interface Seen {
  readonly mark: string;
  readonly bytes: number;
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "no permission to read it",
  EISDIR: "it is a folder",
};

function reasonOf(error: unknown): string {
  const { code = "" } = error as { code?: string };
  return WORDS[code] ?? (error instanceof TypeError ? "it is not UTF-8 text" : String(error));
}
