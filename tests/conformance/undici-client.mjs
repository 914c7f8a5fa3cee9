/**
 * undici over HTTP/2, in Node: the runtime under test has an undici of its own in its place.
 *
 * in     `node undici-client.mjs ORIGIN CA_FILE`
 * out    `{"answers":…,"echoed":…,"alpn":…}` as JSON; exit code 1 when a request fails
 */
import { readFileSync } from "node:fs";
import { connect } from "node:tls";
// its entrance asks for more of zlib than older versions of Node have
import api from "undici/lib/api/index.js";
import Client from "undici/lib/dispatcher/client.js";

const [origin = "", caFile = ""] = process.argv.slice(2);
const ca = readFileSync(caFile, "utf8");
const REQUESTS = 60;
const UPLOAD = Buffer.alloc(3 << 20, "upload");

const { hostname, port } = new URL(origin);
const alpn = await new Promise((resolve, reject) => {
  const socket = connect({
    host: "127.0.0.1",
    port: Number(port),
    servername: hostname,
    ca,
    ALPNProtocols: ["h2"],
  });
  socket.once("secureConnect", () => {
    resolve(socket.alpnProtocol);
    socket.destroy();
  });
  socket.once("error", reject);
});

const client = new Client(`https://127.0.0.1:${port}`, {
  allowH2: true,
  pipelining: 20,
  connect: { ca, servername: hostname },
});
const headers = { host: `${hostname}:${port}` };
const texts = await Promise.all(
  Array.from({ length: REQUESTS }, async (_, index) => {
    const { statusCode, body } = await api.request.call(client, {
      method: "GET",
      path: `/n/${index}`,
      headers,
    });
    return `${statusCode} ${await body.text()}`;
  }),
);
const answers = texts.filter((text, index) => text === `200 GET /n/${index} HTTP/1.1`).length;
const upload = await api.request.call(client, { method: "POST", path: "/length", headers, body: UPLOAD });
const echoed = Number(await upload.body.text());
await client.close();
console.log(JSON.stringify({ answers, echoed, alpn }));
process.exit(answers === REQUESTS && echoed === UPLOAD.length ? 0 : 1);
