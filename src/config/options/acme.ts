/**
 * Option types of ACME: names that an authority can certify.
 */
import { parseIp } from "../../core/address.ts";
import { describe, quote } from "../problem.ts";
import { isHostName } from "./addresses.ts";
import type { Type } from "./types.ts";

/** A DNS name in lower case, or `*.` before one. */
export const certifiableName: Type<string> = {
  name: "DNS name",
  schema: { type: "string" },
  read(value, place) {
    if (typeof value !== "string") {
      place.error(`${describe(value)} is not a name`, "Write app.example.com.");
      return undefined;
    }
    const name = value.toLowerCase().replace(/(?<=.)\.$/, "");
    const wrong = wrongName(name);
    if (wrong === undefined) return name;
    place.error(`${quote(value)} ${wrong[0]}`, wrong[1]);
    return undefined;
  },
};

function wrongName(name: string): readonly [wrong: string, hint: string] | undefined {
  if (parseIp(name.replace(/^\[(.+)\]$/, "$1")) !== undefined) {
    return ["is an IP address", "ACME is for names here: give a certificate for it in `certificates`."];
  }
  const [, inUrl] = /^https?:\/\/([^/:]+)/.exec(name) ?? [];
  if (inUrl !== undefined) return ["is a URL", `Write the name alone: ${inUrl}.`];
  if (/[^ -~]/.test(name)) return ["is not ASCII", "Write the name in its xn-- form."];
  if (/:\d*$/.test(name)) return ["has a port", "Certificates are for names: remove the port."];
  const base = name.startsWith("*.") ? name.slice(2) : name;
  if (base.includes("*"))
    return ["has a `*` in the wrong place", "Only *.example.com, as the first label, is known."];
  if (!isHostName(base) || base.includes("_"))
    return ["is not a DNS name", "Write app.example.com or *.example.com."];
  return undefined;
}
