/**
 * `weir check`: is this configuration right?
 *
 * out    0 and one line of counts, or 2 and every problem at once
 */

import type { Loaded } from "../app/load-config.ts";
import type { Config, Problem } from "../config/config.ts";
import { CONFIG_OPTION, type Command, EXIT_OK, EXIT_USAGE, JSON_OPTION, NO_OPERANDS } from "./command.ts";
import { countText, loadNamed, printProblems } from "./loading.ts";

export const checkCommand: Command = {
  name: "check",
  summary: "check the configuration, start nothing",
  usage: "[-c FILE] [--json]",
  operands: NO_OPERANDS,
  options: [CONFIG_OPTION, JSON_OPTION],
  about:
    "Every problem is listed at once, as file:line:column with what to do about it.\nExit code 0: right; 2: not.",
  examples: [
    ["weir check", "checks the file that `weir run` would take"],
    ["weir check -c staging.yaml && weir reload", "reloads only what is right"],
    ["weir check --json | jq .problems", "for programs"],
  ],
  async run(args, terminal) {
    const loaded = await loadNamed(args, terminal);
    const problems = [...loaded.problems, ...(await fileProblems(loaded))];
    const isRight = problems.every(({ severity }) => severity !== "error");
    const { file } = loaded;
    const config = isRight ? loaded.config : undefined;
    if (args.has("json")) {
      terminal.out(JSON.stringify(verdict(config, problems, file), null, 2));
      return config === undefined ? EXIT_USAGE : EXIT_OK;
    }
    await printProblems(problems, terminal);
    if (config === undefined) {
      const errors = problems.filter((problem) => problem.severity === "error").length;
      terminal.err(`${countText(errors, "problem")} in ${file}`);
      return EXIT_USAGE;
    }
    terminal.out(`${terminal.paint.good("ok")}: ${countsText(config)} ${terminal.paint.dim(`(${file})`)}`);
    return EXIT_OK;
  },
};

/** Certificates and other files of TLS are read too: expired, weak and mismatched ones are found before a start. */
async function fileProblems({ config, file, locate }: Loaded): Promise<readonly Problem[]> {
  const hasTls = [...(config?.listeners ?? []), ...(config?.upstreams ?? [])].some(
    ({ tls }) => tls !== undefined,
  );
  if (config === undefined || !hasTls) return [];
  const { checkFiles } = await import("../app/certificates.ts");
  return checkFiles({ config, file, locate });
}

function counts(config: Config) {
  return {
    listeners: config.listeners.length,
    routes: config.routes.length,
    upstreams: config.upstreams.length,
    endpoints: config.upstreams.reduce((sum, upstream) => sum + upstream.endpoints.length, 0),
  };
}

function countsText(config: Config): string {
  const { listeners, routes, upstreams, endpoints } = counts(config);
  const parts = [countText(listeners, "listener"), countText(routes, "route")];
  // a configuration that only answers, redirects and serves files needs no upstream
  const sources = config.upstreams.filter(({ discovery }) => discovery !== undefined).length;
  const more = sources === 0 ? "" : ` and ${countText(sources, "source")} of more`;
  if (upstreams > 0)
    parts.push(`${countText(upstreams, "upstream")} with ${countText(endpoints, "endpoint")}${more}`);
  return parts.join(", ");
}

function verdict(config: Config | undefined, problems: readonly Problem[], file: string) {
  return {
    ok: config !== undefined,
    file,
    counts: config === undefined ? undefined : counts(config),
    problems,
  };
}
