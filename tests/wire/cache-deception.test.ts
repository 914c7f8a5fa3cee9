/**
 * Deception: a personal page that somebody is led to under the name of a picture is not stored there.
 *
 * why    `/account/x.css` is `/account` for many applications; whoever asks for it next would read the page
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { response } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, cachedTo, FRESH } from "./cached.ts";

let origin: CountingOrigin;
let weir: Weir;

beforeAll(async () => {
  origin = await CountingOrigin.start((request) => {
    const type = request.field("x-type");
    return response(
      `${request.field("cookie")}`,
      type === undefined ? [FRESH] : [FRESH, `Content-Type: ${type}`],
    );
  });
  weir = await startWeir(cachedTo(origin.address));
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

for (const [target, type, isStored] of [
  ["/account/x.css", "text/html", false],
  ["/account/x.js", "text/html; charset=utf-8", false],
  ["/account/x.png", "application/json", false],
  ["/account/x.jpg", "text/html", false],
  ["/account/x.ico", "text/html", false],
  ["/account/x.woff2", "text/html", false],
  ["/account/x.svg", "text/html", false],
  ["/account/x.CSS", "text/html", false],
  ["/account/x.css?v=1", "text/html", false],
  ["/account;x.css", "text/html", false],
  ["/account/x.css;y", "text/html", false],
  ["/account/x%2ecss", "text/html", false],
  ["/account/%2e%2e/account2/x.css", "text/html", false],
  ["/account%3Fx.css", "text/html", false],
  ["/account%23x.css", "text/html", false],
  ["/site/x.css", "text/css", true],
  ["/site/x.css?v=2", "text/css; charset=utf-8", true],
  ["/site/x.js", "application/javascript", true],
  ["/site/y.js", "text/javascript", true],
  ["/site/x.png", "image/webp", true],
  ["/site/x.svg", "image/svg+xml", true],
  ["/site/x.html", "text/html", true],
  ["/site/x.php", "text/html", true],
  ["/site/v1.2", "text/html", true],
  ["/site/page", "text/html", true],
] as const) {
  test(`${type} under ${target} is ${isStored ? "" : "not "}stored`, async () => {
    const answers: string[] = [];
    for (const user of ["mallory=1", "alice=1"]) {
      const { status, body } = await ask(weir.port(), get(target, `X-Type: ${type}`, `Cookie: ${user}`));
      expect(status).toBe(200);
      answers.push(body);
    }
    expect(answers).toEqual(["mallory=1", isStored ? "mallory=1" : "alice=1"]);
  });
}
