import { expect, test } from "bun:test";
import { startDemo } from "./demo.ts";
import { startOrigin } from "./demo-origin.ts";
import { checkText } from "./load-config.ts";

test("the demo's configuration is right, and names the ports that its origins really have", async () => {
  const demo = startDemo();
  try {
    const { config, problems } = checkText(demo.yaml, "demo", { env: {}, cores: 1 });
    expect(problems).toEqual([]);
    const endpoints =
      config?.upstreams.flatMap((upstream) => upstream.endpoints.map(({ name }) => name)) ?? [];
    const bodies = await Promise.all(
      endpoints.map(async (name) => await (await fetch(`http://${name}/`)).text()),
    );
    expect(bodies.map((body) => body.slice(0, 16))).toEqual(["This is origin A", "This is origin B"]);
    expect(demo.isMoved).toBe(demo.port !== 8080);
  } finally {
    await demo.stop();
  }
});

test("a port that somebody listens on is not taken for free", async () => {
  const first = startDemo();
  const hog = Bun.listen({ hostname: "0.0.0.0", port: first.port, socket: { data() {} } });
  const second = startDemo();
  expect(second.port).toBeGreaterThan(first.port);
  expect(second.isMoved).toBe(true);
  hog.stop(true);
  await Promise.all([first.stop(), second.stop()]);
});

test("an origin greets by decoded name, and a name that does not decode as it is", async () => {
  const origin = startOrigin({ name: "A", where: { port: 0 } });
  const greet = async (name: string) => await (await fetch(new URL(`/greet/${name}`, origin.url))).text();
  expect(await greet("J%C3%BCrgen")).toBe("Hello, Jürgen! (origin A)\n");
  expect(await greet("%FF")).toBe("Hello, %FF! (origin A)\n");
  expect(await greet("")).toBe("Hello, world! (origin A)\n");
  await origin.stop(true);
});
