/**
 * gRPC, in short: the full campaign is `npm run campaign -- grpc`.
 */
import { expect, test } from "bun:test";
import { runGrpc } from "./grpc.ts";

for (const front of ["h2c", "tls"] as const) {
  for (const upstream of ["h2c", "tls"] as const) {
    test(`gRPC calls of every kind, from ${front} to ${upstream}, end as they should`, async () => {
      const report = await runGrpc({
        front,
        upstream,
        unary: 200,
        streams: 40,
        lanes: 20,
        say: () => undefined,
      });
      expect(report.wrong.slice(0, 10)).toEqual([]);
      expect(report.leftAtServer).toBe(0);
      expect(report.right["unary"]).toBe(200);
      expect(report.right["both ways, cancelled"]).toBe(4);
    }, 30_000);
  }
}
