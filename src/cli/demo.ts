/**
 * `weir demo`, which is also `weir` in a folder without a configuration: something to try at once.
 */
import type { Demo } from "../app/demo.ts";
import type { Loaded } from "../app/load-config.ts";
import { type Command, columns, EXIT_FAILED, EXIT_OK, NO_OPERANDS } from "./command.ts";
import { loadOptions } from "./loading.ts";
import { runWeir } from "./running.ts";
import type { Terminal } from "./terminal.ts";

const PLACE = "weir demo";

/** The origins' ports are found anew each time: without this line the file would look complete. */
const PRINTED_NOTE = "# The demo brings its own servers, and they end with it: name yours under `upstreams`.";

export const demoCommand: Command = {
  name: "demo",
  summary: "two small built-in origins behind a proxy, to try things on",
  usage: "[--print]",
  operands: NO_OPERANDS,
  options: [{ name: "print", help: "print the demo's configuration, and stop" }],
  about: "The same as `weir` alone in a folder without a configuration file.",
  examples: [["weir demo --print", "what the demo looks like as a file"]],
  async run(args, terminal) {
    const { startDemo } = await import("../app/demo.ts");
    let demo: Demo;
    try {
      demo = startDemo();
    } catch (error) {
      terminal.err(
        `weir demo: ${(error as Error).message}. Stop one of the programs there, or use weir proxy --listen`,
      );
      return EXIT_FAILED;
    }
    try {
      if (args.has("print")) {
        terminal.out(`${PRINTED_NOTE}\n${demo.yaml.trimEnd()}`);
        return EXIT_OK;
      }
      terminal.err(welcome(demo, terminal));
      return await runWeir({ load: () => loadDemo(demo, terminal), watchFile: undefined });
    } finally {
      await demo.stop();
    }
  },
};

async function loadDemo(demo: Demo, terminal: Terminal): Promise<Loaded> {
  const { checkText } = await import("../app/load-config.ts");
  return checkText(demo.yaml, PLACE, loadOptions(terminal));
}

function welcome(demo: Demo, terminal: Terminal): string {
  const { strong, dim, warn, accent } = terminal.paintErr;
  const site = `http://localhost:${demo.port}`;
  const moved = demo.isMoved ? `\n${warn(`Port 8080 is in use, so this is port ${demo.port}.`)}` : "";
  const tries: [string, string][] = [
    [`curl ${site}/`, "do it twice: the origins take turns"],
    [`curl ${site}/ping`, "answered by Weir itself"],
    [`curl ${site}/hello/you`, "the origin sees /greet/you"],
    [`curl -L ${site}/old/you`, "a redirect to /hello/you"],
    [`curl -i ${site}/kept/for-10s`, "kept and compressed: Cache-Status says what happened"],
    [`curl -N ${site}/events`, "server-sent events, as they happen"],
    [`npx wscat -c ws://localhost:${demo.port}/ws`, "a WebSocket echo"],
  ];
  return [
    `${strong("Weir demo")}: two small origins behind ${accent(site)}${moved}`,
    columns(tries),
    `  admin    ${accent(`http://127.0.0.1:${demo.adminPort}/`)}\n  as file  weir demo --print   ${dim("Ctrl-C stops")}\n`,
  ].join("\n\n");
}
