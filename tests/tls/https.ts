/**
 * HTTPS for tests: a client on one TLS connection, and configurations with certificates of a test's own.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import {
  type Issued,
  type IssueOptions,
  type TestAuthority,
  testAuthority,
} from "../support/certificates.ts";
import { within } from "../support/eventually.ts";
import { parseResponse, type RawResponse } from "../support/raw-client.ts";

export interface TlsClientOptions {
  readonly servername?: string;
  readonly ALPNProtocols?: readonly string[];
  readonly session?: Buffer;
  readonly cert?: string;
  readonly key?: string;
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** Sent before the hello. */
  readonly preface?: string;
}

const DEADLINE_MS = 5000;

export class TlsClient {
  readonly socket: TLSSocket;
  session: Buffer | undefined;
  isClosed = false;
  #text = "";
  #wake: () => void = () => {};

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("session", (session: Buffer) => {
      this.session = session;
    });
    socket.on("data", (bytes: Buffer) => {
      this.#text += bytes.toString("latin1");
      this.#wake();
    });
    const ended = () => {
      this.isClosed = true;
      this.#wake();
    };
    socket.on("end", ended);
    socket.on("close", ended);
  }

  /** Throws with the alert, when the server sends one, or "closed". */
  static async connect(port: number, options: TlsClientOptions = {}): Promise<TlsClient> {
    const { preface, ...rest } = options;
    const target =
      preface === undefined ? { host: "127.0.0.1", port } : { socket: connectPlain(port, preface) };
    const socket = connect({
      ...target,
      rejectUnauthorized: false,
      servername: "a.test",
      ...rest,
    } as Parameters<typeof connect>[0]);
    const opened = new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed")));
    });
    const client = new TlsClient(socket);
    await within(opened, DEADLINE_MS, "a TLS handshake");
    return client;
  }

  /** Common name of the certificate shown. */
  get shown(): string {
    return String(this.socket.getPeerCertificate().subject?.CN);
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, "latin1"));
  }

  /** out  the next response; throws when the connection ends before */
  async response(): Promise<RawResponse> {
    const deadlineMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const found = parseResponse(this.#text, "GET", this.isClosed);
      if (found !== undefined) {
        this.#text = this.#text.slice(found.raw.length);
        return found;
      }
      if (this.isClosed) throw new Error(`closed after ${JSON.stringify(this.#text)}`);
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error("no whole response in time");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async get(path = "/", host = "a.test"): Promise<RawResponse> {
    this.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    return await this.response();
  }

  close(): void {
    this.socket.destroy();
  }
}

function connectPlain(port: number, preface: string): Socket {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(preface);
  return socket;
}

/** What a client sees of a handshake: the certificate's common name, or why there was none. */
export async function shownBy(port: number, options: TlsClientOptions = {}): Promise<string> {
  try {
    const client = await TlsClient.connect(port, options);
    const { shown } = client;
    client.socket.end(); // a client that destroys its socket takes its last handshake message back
    return shown;
  } catch (error) {
    return String((error as Error).message);
  }
}

export const ca: TestAuthority = await testAuthority();

/** Certificates issued for a test, as files `NAME.pem` and `NAME.key`. */
export async function certificateFiles(
  wanted: Readonly<Record<string, IssueOptions>>,
): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const [name, options] of Object.entries(wanted))
    Object.assign(files, asFiles(name, await ca.issue(options)));
  return files;
}

export function asFiles(name: string, { cert, key }: Issued): Record<string, string> {
  return { [`${name}.pem`]: cert, [`${name}.key`]: key };
}

/** A configuration with one TLS listener `web` that answers everything itself. */
export function tlsListener(tls: string, certificates: readonly string[], listener = ""): string {
  const pairs = certificates.map((name) => `{ cert: ${name}.pem, key: ${name}.key }`).join(", ");
  return `
listeners: { web: { bind: "127.0.0.1:0", tls: { certificates: [ ${pairs} ], ${tls} }, ${listener} } }
routes: [ { match: { path: /* }, respond: { body: "hello\\n" } } ]
`;
}
