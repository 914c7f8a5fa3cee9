/**
 * `weir explain`: what would happen to a request, and why, without sending it.
 *
 * out    0 with the explanation, also of a refusal; 2 for a wrong question or configuration
 */
import { CONFIG_OPTION, type Command, EXIT_OK, JSON_OPTION } from "./command.ts";
import { loadOrPrint } from "./loading.ts";

export const explainCommand: Command = {
  name: "explain",
  summary: "show what would happen to a request, and why",
  usage: "[-c FILE] METHOD URL [-H 'Name: value' …] [--from IP] [--listener NAME] [--json]",
  operands: { names: ["METHOD", "URL"], min: 2, max: 2 },
  options: [
    CONFIG_OPTION,
    {
      name: "header",
      short: "H",
      value: "LINE",
      isList: true,
      help: "a header line, as in curl",
    },
    { name: "from", value: "IP", help: "address of the client (default 127.0.0.1)" },
    {
      name: "listener",
      value: "NAME",
      help: "listener (default: the one with the port of the URL)",
    },
    JSON_OPTION,
  ],
  about:
    "Shows the listener, the certificate for the name, the route and why the others were passed over, what the\n" +
    "cache would do, rewrites, the request as an endpoint would get it, endpoints and their shares, time-outs,\n" +
    "compression and changes to the response. Nothing is sent.",
  examples: [
    ["weir explain GET http://app.example.com/v1/x", "by the file that `weir run` would take"],
    [
      "weir explain -c weir.yaml POST /login -H 'Host: app.test' --from 203.0.113.9",
      "a path with a Host line",
    ],
    ["weir explain GET https://shop.example.com/", "and which certificate that name gets"],
    ["weir explain GET '/a/../b%2f..'", "what the proxy makes of an odd path"],
  ],
  async run(args, terminal) {
    const config = await loadOrPrint(args, terminal);
    if (typeof config === "number") return config;
    const { readQuestion } = await import("./explain-request.ts");
    const [method = "", url = ""] = args.operands;
    const question = {
      method,
      url,
      headers: args.list("header"),
      from: args.text("from") ?? "127.0.0.1",
      listener: args.text("listener"),
    };
    const asked = readQuestion(question, config);
    if (asked.kind === "usage_error") return asked;
    const { explain } = await import("./explain-plan.ts");
    const explanation = await explain(asked, config);
    if (args.has("json")) terminal.out(JSON.stringify(explanation, null, 2));
    else {
      const { explanationText } = await import("./explain-text.ts");
      terminal.out(explanationText(explanation, terminal.paint));
    }
    return EXIT_OK;
  },
};
