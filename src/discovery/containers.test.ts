import { expect, test } from "bun:test";
import { endpointsOfContainers } from "./containers.ts";

const WEB = {
  Id: "0123456789abcdef",
  Names: ["/web-1"],
  State: "running",
  Status: "Up 2 minutes",
  Labels: { "weir.upstream": "app" },
  Ports: [{ PrivatePort: 8080, Type: "tcp" }],
  NetworkSettings: { Networks: { front: { IPAddress: "172.18.0.2" } } },
};
const named = ({ endpoints }: ReturnType<typeof endpointsOfContainers>) => endpoints.map(({ name }) => name);

const ROWS: readonly [rule: string, container: object, network: string, name: string][] = [
  ["the only exposed port is used", {}, "", "172.18.0.2:8080"],
  ["the label weir.port names another", { Labels: { "weir.port": "9000" } }, "", "172.18.0.2:9000"],
  [
    "one port on IPv4 and IPv6 is one port",
    {
      Ports: [
        { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 1, Type: "tcp" },
        { IP: "::", PrivatePort: 80, PublicPort: 1, Type: "tcp" },
        { PrivatePort: 53, Type: "udp" },
      ],
    },
    "",
    "172.18.0.2:80",
  ],
  [
    "the named network is used",
    { NetworkSettings: { Networks: { a: { IPAddress: "10.0.0.1" }, b: { IPAddress: "10.0.1.1" } } } },
    "b",
    "10.0.1.1:8080",
  ],
  [
    "IPv6 is used where there is no IPv4",
    { NetworkSettings: { Networks: { six: { IPAddress: "", GlobalIPv6Address: "fd00::2" } } } },
    "",
    "[fd00::2]:8080",
  ],
  [
    "a container on the host's network is here",
    {
      Ports: [],
      Labels: { "weir.port": "80" },
      HostConfig: { NetworkMode: "host" },
      NetworkSettings: { Networks: { host: { IPAddress: "" } } },
    },
    "",
    "127.0.0.1:80",
  ],
  ["a healthy container is used", { Status: "Up 2 minutes (healthy)" }, "", "172.18.0.2:8080"],
];

test.each(ROWS)("%s", (_rule, changes, network, name) => {
  const got = endpointsOfContainers([{ ...WEB, ...changes }], network);
  expect([named(got), got.notes]).toEqual([[name], []]);
});

const LEFT_OUT: readonly [rule: string, container: object, network: string, note: string | undefined][] = [
  ["two ports and no label", { Ports: [{ PrivatePort: 1 }, { PrivatePort: 2 }] }, "", "it exposes 2 ports"],
  ["no port", { Ports: null }, "", "it exposes no port"],
  ["a port that is none", { Labels: { "weir.port": "http" } }, "", "weir.port is no port"],
  ["a weight that is none", { Labels: { "weir.weight": "-1" } }, "", "weir.weight"],
  ["another network", {}, "back", "not on the network back"],
  [
    "no address yet",
    { NetworkSettings: { Networks: { front: { IPAddress: "" } } } },
    "",
    "no address on front",
  ],
  ["its own check fails", { Status: "Up 2 minutes (unhealthy)" }, "", undefined],
  ["its own check has not passed yet", { Status: "Up 1 second (health: starting)" }, "", undefined],
  ["it has stopped", { State: "exited" }, "", undefined],
];

test.each(LEFT_OUT)("a container is left out alone: %s", (_rule, changes, network, note) => {
  const ip = { IPAddress: "172.18.0.9" };
  const other = { ...WEB, NetworkSettings: { Networks: { front: ip, back: ip } } };
  const got = endpointsOfContainers([{ ...WEB, ...changes }, other], network || "front");
  expect(named(got)).toEqual(["172.18.0.9:8080"]);
  expect(got.notes).toEqual(note === undefined ? [] : [expect.stringContaining(note)]);
});

test("a container on several networks needs one named", () => {
  const networks = { a: { IPAddress: "10.0.0.1" }, b: { IPAddress: "10.0.1.1" } };
  const { endpoints, notes } = endpointsOfContainers(
    [{ ...WEB, NetworkSettings: { Networks: networks } }],
    "",
  );
  expect(endpoints).toEqual([]);
  expect(notes).toEqual(["container web-1 is left out: it is on a and b: name one by `network`"]);
});

test("labels say weight and zone", () => {
  const labels = { "weir.weight": "7", "weir.zone": "north" };
  expect(endpointsOfContainers([{ ...WEB, Labels: labels }], "").endpoints).toEqual([
    expect.objectContaining({ weight: 7, zone: "north" }),
  ]);
});

test.each([{ message: "no" }, [null], ["x"], 7])(
  "an answer that is no list of containers is refused: %j",
  (answer) => {
    expect(() => endpointsOfContainers(answer, "")).toThrow("no list of containers");
  },
);
