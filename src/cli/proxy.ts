/**
 * `weir proxy`: a proxy in one line, no file.
 */
import type { Loaded } from "../app/load-config.ts";
import { formatAddress, parseAddress } from "../core/address.ts";
import { type Arguments, type UsageError, usageError } from "./arguments.ts";
import { type Command, EXIT_OK, NO_OPERANDS } from "./command.ts";
import { loadOptions } from "./loading.ts";
import { runWeir } from "./running.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_LISTEN = ":8080";
/** What problems in a configuration without a file are blamed on. */
const PLACE = "weir proxy";

export const proxyCommand: Command = {
  name: "proxy",
  summary: "a proxy in one line, no file",
  usage: "--to ADDR [--to ADDR …] [--listen ADDR …] [--access-log] [--print]",
  operands: NO_OPERANDS,
  options: [
    {
      name: "listen",
      short: "l",
      value: "ADDR",
      isList: true,
      help: `where to listen (default ${DEFAULT_LISTEN})`,
    },
    {
      name: "to",
      short: "t",
      value: "ADDR",
      isList: true,
      help: "where to send requests; several take turns",
    },
    { name: "access-log", help: "one line for each request, on standard output" },
    { name: "print", help: "print the same as a configuration file, and stop" },
  ],
  about:
    "ADDR is host:port, :port, [v6]:port or unix:/path; --to also takes https://host. An empty host\nlistens everywhere and sends to 127.0.0.1.",
  examples: [
    ["weir proxy --listen :8080 --to 127.0.0.1:3000", "everything on port 8080 goes to port 3000"],
    ["weir proxy --to :3000 --to :3001 --access-log", "two endpoints in turn, on port 8080"],
    ["weir proxy --to :3000 --print > weir.yaml", "the step to a file"],
  ],
  run(args, terminal) {
    const plan = readPlan(args);
    if (plan.kind === "usage_error") return Promise.resolve(plan);
    if (args.has("print")) {
      terminal.out(planYaml(plan));
      return Promise.resolve(EXIT_OK);
    }
    terminal.err(planText(plan, terminal));
    return runWeir({ load: () => loadPlan(plan, terminal), watchFile: undefined });
  },
};

interface ProxyPlan {
  readonly kind: "plan";
  readonly listen: readonly string[];
  readonly to: readonly string[];
  readonly hasAccessLog: boolean;
}

function readPlan(args: Arguments): ProxyPlan | UsageError {
  const listen = args.has("listen") ? args.list("listen") : [DEFAULT_LISTEN];
  const to = withSchemes(args.list("to").map(endpointText));
  if (to.length === 0)
    return usageError("--to is missing: where shall requests go? For example --to 127.0.0.1:3000");
  for (const [option, written] of [
    ...listen.map((text) => ["listen", text]),
    ...to.map((text) => ["to", text]),
  ]) {
    if (option === "listen" && written?.startsWith("https://"))
      return usageError(`--listen ${written}: TLS needs a certificate: write a configuration file`);
    const address = option === "to" ? written?.replace(/^https?:\/\//, "") : written;
    if (parseAddress(address ?? "", "::") === undefined) {
      const meant = /^\d{1,5}$/.test(written ?? "") ? `; did you mean :${written}?` : "";
      return usageError(
        `--${option} ${written} is not an address like 127.0.0.1:3000, :3000 or unix:/path${meant}`,
      );
    }
  }
  return { kind: "plan", listen, to, hasAccessLog: args.has("access-log") };
}

const HTTPS = /^https:\/\//;

/** Beside an https address, one without a scheme is plain: the check says that they do not go together. */
function withSchemes(to: readonly string[]): readonly string[] {
  const isMixed = to.some((text) => HTTPS.test(text)) && to.some((text) => !HTTPS.test(text));
  return isMixed ? to.map((text) => (/^(?:https:|unix:)/.test(text) ? text : `http://${text}`)) : to;
}

/** `http://127.0.0.1:3000/` is taken as the address in it, https stays; an empty host is this machine. */
function endpointText(written: string): string {
  const scheme = HTTPS.test(written) ? "https://" : "";
  const plain = written.replace(/^https?:\/\//, "").replace(/\/$/, "");
  const text = scheme !== "" && !/:\d+$/.test(plain) ? `${plain}:443` : plain;
  const address = parseAddress(text, "127.0.0.1");
  return `${scheme}${address === undefined ? text : formatAddress(address)}`;
}

function planText(plan: ProxyPlan, terminal: Terminal): string {
  const { strong, dim } = terminal.paintErr;
  const turns = plan.to.length > 1 ? dim(", in turn") : "";
  return `weir: ${strong(plan.listen.join(" "))} → ${strong(plan.to.join(" "))}${turns}${dim("   Ctrl-C stops")}`;
}

function planYaml(plan: ProxyPlan): string {
  const quoted = (texts: readonly string[]) => texts.map((text) => JSON.stringify(text)).join(", ");
  const lines = [
    `listeners: { web: { bind: [${quoted(plan.listen)}] } }`,
    "routes: [ { to: app } ]",
    `upstreams: { app: [${quoted(plan.to)}] }`,
  ];
  if (plan.hasAccessLog) lines.push("observe: { accessLog: { format: combined, to: stdout } }");
  return lines.join("\n");
}

async function loadPlan(plan: ProxyPlan, terminal: Terminal): Promise<Loaded> {
  const { checkText } = await import("../app/load-config.ts");
  return checkText(planYaml(plan), PLACE, loadOptions(terminal));
}
