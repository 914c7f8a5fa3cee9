/**
 * Sample status: every part of a Status filled in, for tests.
 */
import type { Status } from "../../src/admin/status.ts";

export const SAMPLE_STATUS: Status = {
  program: "0.1.0",
  pid: 4711,
  startedAt: "2026-01-31T23:59:59.000Z",
  state: "running",
  configVersion: 3,
  configSource: "/etc/weir/weir.yaml",
  lastReload: {
    applied: false,
    configVersion: 3,
    at: "2026-02-01T00:00:00.000Z",
    problems: [
      {
        file: "weir.yaml",
        line: 3,
        column: 5,
        path: "routes[0].to",
        message: 'no upstream "<app>"',
        hint: 'Did you mean "api"?',
        severity: "error",
      },
    ],
  },
  workers: [
    { worker: 0, pid: 4712, state: "running", restarts: 0, heartbeatAgeMs: 120, memoryBytes: 41_943_040 },
    { worker: 1, pid: 4713, state: "starting", restarts: 2, heartbeatAgeMs: 12_345, memoryBytes: 0 },
  ],
  listeners: [
    { name: "web", addresses: ["[::]:8080"], connectionsActive: 12, connections: 1234567, requests: 7654321 },
  ],
  routes: [
    { name: "<b>&'\"", requests: 10, active: 1, errors5xx: 0, p50Ms: 1.234, p95Ms: 9.999, p99Ms: 123.4 },
    { name: "api", requests: 0, active: 0, errors5xx: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0 },
  ],
  upstreams: [
    {
      name: "app",
      waiting: 4,
      breakersOpen: 0,
      endpoints: [
        {
          name: "app.internal:3000",
          addresses: ["10.0.0.1", "10.0.0.2"],
          state: "ejected",
          reason: "failures",
          why: "failed several requests in a row: <reset>",
          since: "2026-01-31T23:50:00.000Z",
          ejectedUntil: "2026-02-01T00:00:30.000Z",
          operator: "up",
          weight: 2,
          isWeightSet: false,
          warmth: 1,
          requests: 5,
          active: 1,
          errors: 2,
          errors5xx: 0,
          connectionsOpen: 3,
          connectionsPooled: 2,
          p50Ms: 0.8,
          p95Ms: 2.5,
          p99Ms: 17,
        },
      ],
    },
  ],
  certificates: [
    {
      listener: "web",
      names: ["a.test", "*.a.test"],
      source: "file",
      origin: "/etc/weir/a.pem",
      isDefault: true,
      keyType: "EC P-256",
      issuer: "Example CA",
      notBefore: "2026-01-01T00:00:00.000Z",
      notAfter: "2026-04-01T00:00:00.000Z",
      renewsAt: undefined,
      lastError: undefined,
    },
    {
      listener: "web",
      names: ["<new>.test"],
      source: "acme",
      origin: "letsencrypt",
      isDefault: false,
      keyType: undefined,
      issuer: undefined,
      notBefore: undefined,
      notAfter: undefined,
      renewsAt: "2026-02-01T00:00:00.000Z",
      lastError: "the authority is down",
    },
  ],
  cache: {
    tiers: [
      { tier: "memory", usedBytes: 104_857_600, budgetBytes: 268_435_456, objects: 31_870, evicted: 1204 },
    ],
    purges: 3,
  },
};
