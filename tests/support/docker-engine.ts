/**
 * Docker engine: a stand-in for the part of its API that is asked, on a unix socket.
 *
 * spec   Docker Engine API: GET /containers/json, GET /events
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestContainer {
  readonly name: string;
  readonly ip: string;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
}

export class DockerEngine {
  readonly socket: string;
  containers: readonly TestContainer[] = [];
  /** Status instead of a list. */
  status = 200;
  /** Questions for the list so far. */
  asked = 0;
  readonly #folder: string;
  readonly #streams = new Set<ServerResponse>();
  readonly #server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://docker");
    const filters = JSON.parse(searchParams.get("filters") ?? "{}") as { label?: string[] };
    if (request.method !== "GET") response.writeHead(405).end();
    else if (pathname === "/containers/json") this.#list(response, filters.label ?? []);
    else if (pathname === "/events") this.#follow(response);
    else response.writeHead(404).end('{"message":"page not found"}');
  });

  private constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), "weir-docker-"));
    this.socket = join(this.#folder, "docker.sock");
  }

  static async start(): Promise<DockerEngine> {
    const engine = new DockerEngine();
    await new Promise<void>((resolve) => engine.#server.listen(engine.socket, resolve));
    return engine;
  }

  get listeners(): number {
    return this.#streams.size;
  }

  /** As when a container starts or stops. */
  change(containers: readonly TestContainer[]): void {
    this.containers = containers;
    for (const stream of this.#streams) stream.write('{"Type":"container","Action":"start"}\n');
  }

  /** Breaks the streams of events, as a restart does. */
  breakStreams(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #list(response: ServerResponse, labels: readonly string[]): void {
    this.asked++;
    if (this.status !== 200) {
      response.writeHead(this.status).end('{"message":"the engine is unwell"}');
      return;
    }
    const found = this.containers.filter((container) => labels.every((label) => carries(container, label)));
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(found.map(shown)));
  }

  #follow(response: ServerResponse): void {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.flushHeaders();
    this.#streams.add(response);
    response.on("close", () => this.#streams.delete(response));
  }
}

function carries({ labels }: TestContainer, label: string): boolean {
  const [key = "", ...value] = label.split("=");
  return label.includes("=") ? labels[key] === value.join("=") : labels[key] !== undefined;
}

function shown({ name, ip, port, labels }: TestContainer): object {
  return {
    Id: name,
    Names: [`/${name}`],
    State: "running",
    Status: "Up 2 minutes",
    Labels: labels,
    Ports: [{ PrivatePort: port, Type: "tcp" }],
    NetworkSettings: { Networks: { front: { IPAddress: ip } } },
  };
}
