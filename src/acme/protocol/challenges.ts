/**
 * Challenges: the proofs that an authority asks for, put in place and taken away again.
 *
 * rule   `present` settles when the proof can be seen: every worker has confirmed it, or the hook has come back;
 *        only then is the authority told
 * rule   `withdraw` never fails: what is left behind is said in the log and harms nobody
 * spec   RFC 8555 §8.3 (http-01), §8.4 (dns-01); RFC 8737 (tls-alpn-01)
 */
import { createHash } from "node:crypto";
import type { AcmeConfig } from "../../config/config.ts";
import type { CertificatePair, Challenges } from "../../tls/materials.ts";
import type { Warn } from "../storage-folder/private-files.ts";
import type { Timing } from "../timing.ts";
import { Trouble, troubleOf } from "../trouble.ts";
import { challengePair } from "./credentials.ts";
import { runHook } from "./dns-hook.ts";

export type ChallengeType = AcmeConfig["challenge"];

export interface Proof {
  readonly type: ChallengeType;
  /** Name to be proved, without the `*.` of a wildcard. */
  readonly name: string;
  readonly token: string;
  readonly keyAuthorization: string;
  /** Program of dns-01. */
  readonly hook: readonly string[] | undefined;
}

export interface ChallengeServices {
  /** Hands all challenges under way to the workers. out  settles when every one of them has them */
  readonly publish: (challenges: Challenges) => Promise<void>;
  readonly timing: Timing;
  readonly warn: Warn;
}

/** Ends what an authority may put into a token (RFC 8555 §8.1); a token becomes part of a path. */
const TOKEN = /^[A-Za-z0-9_-]{1,256}$/;

export class ChallengeBook {
  readonly #services: ChallengeServices;
  readonly #http = new Map<string, string>();
  readonly #alpn = new Map<string, CertificatePair>();

  constructor(services: ChallengeServices) {
    this.#services = services;
  }

  /** Throws Trouble when the proof cannot be put in place. */
  async present(proof: Proof, signal: AbortSignal): Promise<void> {
    const { type, name, token, keyAuthorization } = proof;
    if (!TOKEN.test(token)) throw new Trouble("protocol", "a token with characters that no token has");
    if (type === "dns-01") return await this.#runHook("add", proof, signal);
    if (type === "http-01") this.#http.set(token, keyAuthorization);
    else this.#alpn.set(name, await challengePair(name, keyAuthorization, this.#services.timing.nowMs()));
    await this.#publish();
  }

  async withdraw(proof: Proof): Promise<void> {
    try {
      if (proof.type === "dns-01") return await this.#runHook("remove", proof, new AbortController().signal);
      if (proof.type === "http-01") this.#http.delete(proof.token);
      else this.#alpn.delete(proof.name);
      await this.#publish();
    } catch (error) {
      this.#services.warn(
        `the ${proof.type} proof for ${proof.name} was left behind: ${troubleOf(error).message}`,
      );
    }
  }

  async #publish(): Promise<void> {
    const challenges = { http: Object.fromEntries(this.#http), alpn: Object.fromEntries(this.#alpn) };
    try {
      await this.#services.publish(challenges);
    } catch (error) {
      throw new Trouble("challenge", `workers did not confirm it: ${troubleOf(error).message}`);
    }
  }

  async #runHook(verb: "add" | "remove", proof: Proof, signal: AbortSignal): Promise<void> {
    if (proof.hook === undefined) throw new Trouble("challenge", "dns-01 needs tls.acme.dns.hook");
    const value = createHash("sha256").update(proof.keyAuthorization).digest("base64url");
    const said = await runHook([...proof.hook, verb, `_acme-challenge.${proof.name}`, value], signal);
    if (said !== "") this.#services.warn(`${proof.hook[0]} ${verb} ${proof.name}: ${said}`);
  }
}
