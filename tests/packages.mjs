/**
 * Packages: the Debian programs that tests and benchmarks use, and getting those that are missing.
 *
 * why    one table for the test runner, the benchmarks and the "skipped" messages
 * out    `provide` answers with what is still missing and why; it installs only as root, with apt-get
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** @type {readonly { program: string, package: string, purpose: string, for: readonly ("test" | "bench")[] }[]} */
export const PACKAGES = [
  { program: "curl", package: "curl", purpose: "an independent HTTP client", for: ["test"] },
  { program: "openssl", package: "openssl", purpose: "makes certificates as people do", for: ["test"] },
  { program: "ss", package: "iproute2", purpose: "shows what the kernel knows of a socket", for: ["test"] },
  { program: "slowhttptest", package: "slowhttptest", purpose: "slow clients in numbers", for: ["test"] },
  { program: "nghttp", package: "nghttp2-client", purpose: "an independent HTTP/2 client", for: ["test"] },
  { program: "h2load", package: "nghttp2-client", purpose: "HTTP/2 load", for: ["test", "bench"] },
  { program: "pebble", package: "pebble", purpose: "an ACME authority for tests", for: ["test"] },
  { program: "redis-server", package: "redis-server", purpose: "a TCP service to check", for: ["test"] },
  { program: "nginx", package: "nginx-light", purpose: "origin and peer of the benchmarks", for: ["bench"] },
  { program: "haproxy", package: "haproxy", purpose: "peer of the benchmarks", for: ["bench"] },
  { program: "varnishd", package: "varnish", purpose: "peer of the cache benchmarks", for: ["bench"] },
  { program: "wrk", package: "wrk", purpose: "load for the benchmarks", for: ["bench"] },
  { program: "taskset", package: "util-linux", purpose: "pins processes to cores", for: ["bench"] },
];

const UPDATE_MS = 120_000;
const INSTALL_MS = 240_000;
/** RUNLEVEL: programs are wanted, not the services that their packages would start (invoke-rc.d). */
const ENV = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };

/** @param {string} program */
export function isInstalled(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Installs what is missing when that is possible.
 *
 * @param {"test" | "bench"} use
 * @param {(line: string) => void} say
 * @returns {string[]} programs that are still missing, each with the reason
 */
export function provide(use, say) {
  const missing = PACKAGES.filter((row) => row.for.includes(use) && !isInstalled(row.program));
  if (missing.length === 0) return [];
  const why = whyNotInstall();
  if (why === undefined)
    install(
      missing.map((row) => row.package),
      say,
    );
  return missing
    .filter((row) => !isInstalled(row.program))
    .map((row) => `${row.program}: ${why ?? `apt-get could not install ${row.package}`} (${row.purpose})`);
}

function whyNotInstall() {
  if (process.platform !== "linux" || !existsSync("/usr/bin/apt-get"))
    return "not a Debian system, not installed";
  if (process.getuid?.() !== 0) return "not root, not installed";
  return undefined;
}

/**
 * @param {string[]} packages
 * @param {(line: string) => void} say
 */
function install(packages, say) {
  say(`installing ${packages.join(" ")}`);
  const wanted = ["-y", "-qq", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "install", ...packages];
  // A first try without `update`: fresh package lists are common and the update is the slow part.
  if (run(wanted, INSTALL_MS)) return;
  run(["-qq", "update"], UPDATE_MS);
  if (run(wanted, INSTALL_MS)) return;
  for (const name of packages) run([...wanted.slice(0, -packages.length), name], INSTALL_MS);
}

/**
 * @param {string[]} args
 * @param {number} timeout
 */
function run(args, timeout) {
  return (
    spawnSync("apt-get", args, { env: ENV, stdio: ["ignore", "ignore", "inherit"], timeout }).status === 0
  );
}
