/**
 * An HTTP/2 server of another make: answers each request with its own fields, and its path as x-path.
 *
 * use    node|bun echo-server.mjs TABLE_BYTES; prints its port, and ends with its standard input
 */
import { createServer } from "node:http2";

const server = createServer({ settings: { headerTableSize: Number(process.argv[2]) } });
server.on("stream", (stream, headers) => {
  const echoed = Object.entries(headers).filter(([name]) => !name.startsWith(":"));
  stream.respond(
    { ":status": 200, "x-path": headers[":path"], ...Object.fromEntries(echoed) },
    { endStream: true },
  );
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit());
