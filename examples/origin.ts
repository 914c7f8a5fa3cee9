/**
 * Origin: a small server to put behind an example: it says who it is and what arrived.
 *
 *   node_modules/.bin/bun examples/origin.ts A 3000        on 127.0.0.1:3000
 *   node_modules/.bin/bun examples/origin.ts A unix:/tmp/app.sock
 */
import { startOrigin } from "../src/app/demo-origin.ts";

const [name = "A", place = "3000"] = process.argv.slice(2);
const where = place.startsWith("unix:") ? { unix: place.slice("unix:".length) } : { port: Number(place) };
const origin = startOrigin({ name, where });
process.stdout.write(`origin ${name} listens on ${origin.url ?? place}\n`);
