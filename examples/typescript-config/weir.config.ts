import { defineConfig } from "weir";

const { PORT = "8080", ORIGIN_A = "127.0.0.1:3000" } = process.env;

// A configuration may be computed: one route a team, all with the same rules.
const TEAMS = ["billing", "search", "accounts"];

export default defineConfig({
  listeners: { web: { bind: `:${PORT}` } },
  routes: [
    ...TEAMS.map((team) => ({
      name: team,
      match: { path: `/${team}/*` },
      to: "app",
      rewrite: { stripPrefix: `/${team}` },
      headers: { request: { set: { "X-Team": team } } },
    })),
    { name: "rest", respond: { status: 404, body: `Teams here: ${TEAMS.join(", ")}\n` } },
  ],
  upstreams: { app: [ORIGIN_A] },
});
