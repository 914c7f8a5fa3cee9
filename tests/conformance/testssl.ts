/**
 * testssl.sh against a listener: what an auditor's program finds in our TLS.
 *
 * out    findings above LOW, as lines; none when all is well
 * note   version 3.0 gives no grade; 3.2 does, from the same findings
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isInstalled } from "../packages.mjs";
import { testAuthority } from "../support/certificates.ts";
import { freePort } from "../support/ports.ts";
import { startWeir } from "../support/weir.ts";

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

const RUN_MS = 300_000;
const GRAVE = new Set(["MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN"]);
/** What a test's own certificate and page are told of, and a proxy can do nothing about. */
const NOT_OURS = new Map([
  ["cert_revocation", "a test authority publishes no revocation list"],
  ["security_headers", "fields such as Content-Security-Policy are the application's"],
]);
const DAYS = 90;

export async function runTestssl(
  policy: "intermediate" | "modern",
  say: (line: string) => void,
): Promise<string[]> {
  if (!isInstalled("testssl")) {
    say("testssl is not installed (Debian package testssl.sh): nothing was tested");
    return ["testssl is not installed"];
  }
  const authority = await testAuthority();
  const { cert, key } = await authority.issue({ names: ["localhost"], days: DAYS });
  const port = await freePort();
  const text = `
listeners:
  web:
    bind: "127.0.0.1:${port}"
    tls: { certificates: [ { cert: a.crt, key: a.key } ], policy: ${policy}, hsts: true }
routes: [ { respond: { status: 200, body: "x" } } ]
`;
  const weir = await startWeir(text, { files: { "a.crt": cert, "a.key": key, "ca.pem": authority.caPem } });
  // a folder of its own: testssl leaves things where it runs
  const folder = mkdtempSync(join(weir.folder, "testssl-"));
  try {
    const file = join(folder, "findings.json");
    const flags = ["--quiet", "--color", "0", "--warnings", "off", "--add-ca", join(weir.folder, "ca.pem")];
    const command = ["testssl", ...flags, "--jsonfile", file, `localhost:${port}`];
    const child = Bun.spawn(command, { cwd: folder, stdio: ["ignore", "ignore", "ignore"] });
    const late = setTimeout(() => child.kill("SIGKILL"), RUN_MS);
    await child.exited;
    clearTimeout(late);
    const findings = JSON.parse(readFileSync(file, "utf8")) as Finding[];
    return judge(policy, findings, say);
  } finally {
    await weir.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function judge(policy: string, findings: readonly Finding[], say: (line: string) => void): string[] {
  const grave = findings.filter(({ severity }) => GRAVE.has(severity));
  for (const { id } of grave)
    if (NOT_OURS.has(id)) say(`${policy}: ${id} is not counted: ${NOT_OURS.get(id)}`);
  say(`${policy}: ${findings.length} findings, of them above low ${grave.length}`);
  if (findings.length < 50)
    return [`${policy}: only ${findings.length} findings: testssl did not run to its end`];
  return grave
    .filter(({ id }) => !NOT_OURS.has(id))
    .map(({ id, severity, finding }) => `${policy}: ${severity} ${id}: ${finding}`);
}
