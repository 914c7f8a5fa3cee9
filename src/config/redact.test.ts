import { expect, test } from "bun:test";
import { checkConfig } from "./check.ts";
import { NOWHERE } from "./problem.ts";
import { redactConfig } from "./redact.ts";

const SECRETS = [
  "secret-of-admin",
  "secret-of-storage-0001",
  "c2VjcmV0LW9mLWFjY291bnQ",
  "secret-of-field",
  "secret-of-cookies-0001",
  "secret-of-checks",
  "secret-of-bypass",
];

test("no secret is left in what is shown of a configuration, and nothing else is missing", () => {
  const { config, problems } = checkConfig(
    {
      file: "weir.yaml",
      value: {
        listeners: {
          http: { bind: ":80" },
          https: {
            bind: ":443",
            tls: {
              acme: {
                names: "a.example.com",
                storageKey: SECRETS[1],
                directory: { name: "zerossl", eab: { keyId: "kid", hmacKey: SECRETS[2] } },
              },
            },
          },
        },
        routes: [
          {
            match: { headers: { authorization: SECRETS[3] } },
            to: "127.0.0.1:3000",
            headers: { request: { set: { "X-Api-Key": SECRETS[3] } } },
            cache: { bypass: { header: "X-Purge-Token", value: SECRETS[6] } },
          },
        ],
        upstreams: {
          app: {
            endpoints: ["127.0.0.1:3001", "127.0.0.1:3002"],
            sticky: { secret: SECRETS[4] },
            health: { active: { headers: { Authorization: SECRETS[5], Accept: "text/plain" } } },
          },
        },
        admin: { token: SECRETS[0] },
      },
      locate: () => NOWHERE,
      written: () => undefined,
    },
    { env: {}, cores: 1, folder: "/", kindOf: () => "missing", readText: () => ({ error: "none" }) },
  );
  expect(problems).toEqual([]);
  if (config === undefined) throw new Error("refused");
  const whole = JSON.stringify(config);
  const shown = JSON.stringify(redactConfig(config));
  for (const secret of SECRETS) {
    expect(whole).toContain(secret);
    expect(shown).not.toContain(secret);
  }
  expect(shown.replaceAll(/"\[hidden\]"/g, '""')).toBe(
    SECRETS.reduce((text, secret) => text.replaceAll(`"${secret}"`, '""'), whole),
  );
});
