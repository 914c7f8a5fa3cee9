/**
 * Conversation: one connection made for one check: connect, secure, talk, close.
 *
 * why    a connection of its own: that one can be made is half of what a check is to find out. It is made with node:net,
 *        which lets go of a connection that nobody waits for any more; one of Bun.connect stays for two minutes, and a
 *        dead network would fill our table of files
 * out    an outcome, always, and once; the socket is gone by then
 * bound  time by `timeoutMs`, from the first SYN to the end; what is kept of an answer, by the talk
 */
import { connect, type Socket } from "node:net";
import { type SecureContext, type TLSSocket, connect as tlsConnect } from "node:tls";
import { alertText } from "../transport/dial-tls.ts";
import { type CheckOutcome, failed, spanText } from "./outcome.ts";

export type CheckAddress = { readonly ip: string; readonly port: number } | { readonly unix: string };

export interface CheckTls {
  readonly context: SecureContext;
  /** Name to ask for and to verify; "" = the address. */
  readonly serverName: string;
  readonly verify: boolean;
}

/** How the connection is made. */
export interface CheckLink {
  readonly address: CheckAddress;
  /** undefined = plain text. */
  readonly tls: CheckTls | undefined;
  readonly protocols: readonly ("http/1.1" | "h2")[];
  /** What goes first, before TLS. */
  readonly preface: Buffer | undefined;
}

/** What is said, and what comes of it. An outcome ends the conversation. */
export interface Talk {
  /** The connection is there, secured where it is to be. `protocol`: what ALPN chose, or "". */
  begin(say: (bytes: Uint8Array) => void, protocol: string): CheckOutcome | undefined;
  hear(bytes: Buffer): CheckOutcome | undefined;
  /** The other side has closed. `isReset`: by breaking off. */
  end(isReset: boolean): CheckOutcome;
}

export interface ConversationLimits {
  readonly timeoutMs: number;
  /** Aborted when nobody wants to know any more. */
  readonly signal: AbortSignal;
}

type Stage = "connecting" | "securing" | "talking" | "over";

interface SocketError extends Error {
  readonly code?: string;
}

export function converse(link: CheckLink, talk: Talk, limits: ConversationLimits): Promise<CheckOutcome> {
  return new Promise((resolve) => new Conversation(link, talk, resolve).start(limits));
}

class Conversation {
  readonly #link: CheckLink;
  readonly #talk: Talk;
  readonly #resolve: (outcome: CheckOutcome) => void;
  #stage: Stage = "connecting";
  #raw: Socket | undefined;
  #socket: Socket | undefined;
  #letGo = (): void => {};

  constructor(link: CheckLink, talk: Talk, resolve: (outcome: CheckOutcome) => void) {
    this.#link = link;
    this.#talk = talk;
    this.#resolve = resolve;
  }

  start({ timeoutMs, signal }: ConversationLimits): void {
    const abort = () => this.#finish(failed("check_failed", "called off"));
    const timer = setTimeout(() => this.#finish(this.#late(timeoutMs)), timeoutMs);
    this.#letGo = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    else this.#connect();
  }

  #connect(): void {
    const { address } = this.#link;
    const raw =
      "unix" in address ? connect({ path: address.unix }) : connect({ host: address.ip, port: address.port });
    this.#raw = raw;
    this.#listen(raw);
    raw.once("connect", () => this.#guard(() => this.#connected(raw)));
  }

  #connected(raw: Socket): void {
    if (this.#stage !== "connecting") return;
    const { preface, tls } = this.#link;
    raw.setNoDelay(true);
    if (preface !== undefined) raw.write(preface);
    if (tls === undefined) this.#begin(raw, "");
    else this.#secure(raw, tls);
  }

  #secure(raw: Socket, { context, serverName, verify }: CheckTls): void {
    this.#stage = "securing";
    const { address, protocols } = this.#link;
    const secured: TLSSocket = tlsConnect({
      socket: raw,
      secureContext: context,
      rejectUnauthorized: verify,
      ALPNProtocols: [...protocols],
      ...("ip" in address ? { host: address.ip } : {}),
      ...(serverName === "" ? {} : { servername: serverName }),
    });
    this.#listen(secured);
    secured.once("secureConnect", () => {
      this.#guard(() => this.#begin(secured, secured.alpnProtocol || ""));
    });
  }

  #listen(socket: Socket): void {
    this.#socket = socket;
    socket.on("error", (error: SocketError) => this.#broken(socket, error));
    socket.on("close", () => this.#ended(socket, true));
  }

  #begin(socket: Socket, protocol: string): void {
    if (this.#stage === "over") return;
    this.#stage = "talking";
    socket.on("data", (bytes: Buffer) => {
      if (this.#stage === "talking") this.#guard(() => this.#take(this.#talk.hear(bytes)));
    });
    socket.on("end", () => this.#ended(socket, false));
    this.#take(this.#talk.begin((bytes) => this.#say(socket, bytes), protocol));
  }

  #say(socket: Socket, bytes: Uint8Array): void {
    if (!socket.destroyed) socket.write(bytes);
  }

  /** Runs what a socket has called for: a defect there must not end this process, which all workers hang on. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (defect) {
      this.#finish(failed("check_failed", `a defect of Weir: ${String(defect)}`));
    }
  }

  #take(outcome: CheckOutcome | undefined): void {
    if (outcome !== undefined) this.#finish(outcome);
  }

  #broken(socket: Socket, error: SocketError): void {
    if (this.#stage === "connecting") this.#finish(failed("check_connect", connectText(error)));
    else if (this.#stage === "securing") this.#finish(failed("check_tls", tlsText(error)));
    else this.#ended(socket, true);
  }

  /** Whatever lies under TLS also tells; the talk hears of the upper one alone. */
  #ended(socket: Socket, isReset: boolean): void {
    if (this.#stage === "over") return;
    if (this.#stage === "connecting") this.#finish(failed("check_connect", "connection closed"));
    else if (this.#stage === "securing") {
      this.#finish(failed("check_tls", "the endpoint closed the connection during the TLS handshake"));
    } else if (socket === this.#socket) this.#guard(() => this.#finish(this.#talk.end(isReset)));
  }

  #late(timeoutMs: number): CheckOutcome {
    const what: Record<Stage, string> = {
      connecting: "no connection",
      securing: "no TLS handshake",
      talking: "no answer",
      over: "",
    };
    return failed("check_timeout", `${what[this.#stage]} in ${spanText(timeoutMs)}`);
  }

  #finish(outcome: CheckOutcome): void {
    if (this.#stage === "over") return;
    this.#stage = "over";
    this.#letGo();
    this.#socket?.destroy();
    this.#raw?.destroy();
    this.#resolve(outcome);
  }
}

/** The runtime calls every failure to connect over TCP "refused". */
function connectText({ code, message }: SocketError): string {
  if (code === "ECONNREFUSED") return "connection refused";
  return code === "ENOENT" ? "there is no such socket" : message;
}

function tlsText({ code, message }: SocketError): string {
  if (code === "ECONNRESET") return "the endpoint broke the TLS handshake off";
  if (message.startsWith("error:")) return alertText(message);
  return code === undefined ? message : `${message} (${code})`;
}
