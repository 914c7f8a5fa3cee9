/**
 * Message rules: what a request must look like in HTTP/2 (RFC 9113 §8), and its header block (RFC 7541).
 */
import {
  CODE,
  data,
  type FieldList,
  fieldBlock,
  headers,
  hpackInteger,
  hpackString,
  literal,
  SETTING,
} from "../support/h2-frames.ts";
import type { H2Peer } from "../support/h2-peer.ts";
import {
  answered,
  connectionError,
  get,
  isAlive,
  type Outcome,
  post,
  pseudo,
  type Rule,
  requestTo,
  streamError,
} from "./rule.ts";

const malformed = streamError(1, CODE.protocol);

/** A request of these fields is malformed, without a body. */
function malformedRequest(section: string, what: string, fields: (peer: H2Peer) => FieldList): Rule {
  return {
    section,
    rule: `${what} is malformed`,
    act: (peer) => peer.send(headers(1, fields(peer))),
    outcome: malformed,
  };
}

function request(section: string, rule: string, fields: (peer: H2Peer) => FieldList, outcome: Outcome): Rule {
  return { section, rule, act: (peer) => peer.send(headers(1, fields(peer))), outcome };
}

/** A POST in these pieces; the last one ends the stream. */
function upload(fields: FieldList, ...pieces: readonly string[]): (peer: H2Peer) => void {
  return (peer) => {
    peer.send(headers(1, post(peer, ...fields), { end: false }));
    for (const [index, piece] of pieces.entries())
      peer.send(data(1, piece, { end: index === pieces.length - 1 }));
  };
}

const EXCHANGES: readonly Rule[] = [
  request("8.1", "GET is answered", get, answered(1)),
  request("8.1", "HEAD is answered without a body", (peer) => requestTo(peer, "/", "HEAD"), answered(1, 200, "")),
  { section: "8.1", rule: "POST is answered", act: upload([], "test"), outcome: answered(1) },
  {
    section: "8.1",
    rule: "POST with trailers is answered",
    act(peer) {
      peer.send(headers(1, post(peer, ["trailer", "x-test"]), { end: false }), data(1, "test"));
      peer.send(headers(1, [["x-test", "ok"]]));
    },
    outcome: answered(1),
  },
  {
    section: "8.1",
    rule: "a request with an empty body of its own frame is answered",
    act: upload([], ""),
    outcome: answered(1),
  },
  {
    section: "8.1",
    rule: "a second HEADERS that does not end the stream is malformed",
    act(peer) {
      peer.send(headers(1, post(peer), { end: false }), data(1, "test"));
      peer.send(headers(1, [["x-test", "ok"]], { end: false }));
    },
    outcome: malformed,
  },
  {
    section: "8.1",
    rule: "a pseudo-header field in trailers is malformed",
    act(peer) {
      peer.send(headers(1, post(peer), { end: false }), data(1, "test"));
      peer.send(headers(1, [[":method", "POST"]]));
    },
    outcome: malformed,
  },
  {
    section: "8.1.1",
    rule: "a body longer than its Content-Length is malformed",
    act: upload([["content-length", "1"]], "test"),
    outcome: malformed,
  },
  {
    section: "8.1.1",
    rule: "bodies longer than their Content-Length together are malformed",
    act: upload([["content-length", "5"]], "test", "test"),
    outcome: malformed,
  },
  {
    section: "8.1.1",
    rule: "a body shorter than its Content-Length is malformed",
    act: upload([["content-length", "9"]], "test"),
    outcome: malformed,
  },
  malformedRequest("8.1.1", "a Content-Length without a body", (peer) => post(peer, ["content-length", "4"])),
  malformedRequest("8.1.1", "two Content-Length fields that differ", (peer) =>
    post(peer, ["content-length", "0"], ["content-length", "1"]),
  ),
  malformedRequest("8.1.1", "a Content-Length that is no number", (peer) => post(peer, ["content-length", "0x0"])),
];

const FIELDS: readonly Rule[] = [
  malformedRequest("8.2", "a field name in upper case", (peer) => get(peer, ["X-TEST", "ok"])),
  ...([" ", "\0", "\x7f", "\x80", "(", "\t"] as const).map((char) =>
    malformedRequest("8.2.1", `a field name with ${JSON.stringify(char)}`, (peer) => get(peer, [`x${char}y`, "ok"])),
  ),
  malformedRequest("8.2.1", "an empty field name", (peer) => get(peer, ["", "ok"])),
  malformedRequest("8.2.1", "a field name with a colon", (peer) => get(peer, ["x:y", "ok"])),
  ...(["\0", "\r", "\n", "\r\nx-smuggled: 1"] as const).map((bytes) =>
    malformedRequest("8.2.1", `a field value with ${JSON.stringify(bytes)}`, (peer) => get(peer, ["x-a", `a${bytes}b`])),
  ),
  malformedRequest("8.2.1", "a field value that begins with a space", (peer) => get(peer, ["x-a", " b"])),
  malformedRequest("8.2.1", "a field value that ends in a tab", (peer) => get(peer, ["x-a", "b\t"])),
  ...(
    [
      ["connection", "keep-alive"],
      ["keep-alive", "timeout=5"],
      ["proxy-connection", "keep-alive"],
      ["transfer-encoding", "chunked"],
      ["upgrade", "h2c"],
    ] as const
  ).map(([name, value]) =>
    malformedRequest("8.2.2", `a field of HTTP/1 connections, ${name},`, (peer) => get(peer, [name, value])),
  ),
  malformedRequest("8.2.2", "TE with more than trailers", (peer) => get(peer, ["te", "trailers, deflate;q=0.5"])),
  request("8.2.2", "TE with trailers is taken", (peer) => get(peer, ["te", "trailers"]), answered(1)),
  request("8.2.3", "cookies may come in crumbs", (peer) => get(peer, ["cookie", "a=1"], ["cookie", "b=2"]), answered(1)),
];

const PSEUDO: readonly Rule[] = [
  malformedRequest("8.3", "an unknown pseudo-header field", (peer) => get(peer, [":test", "ok"])),
  malformedRequest("8.3", "a pseudo-header field of responses", (peer) => [...pseudo(peer, "GET"), [":status", "200"]]),
  malformedRequest("8.3", "a pseudo-header field after another field", (peer) => [
    ...pseudo(peer, "GET", ":path"),
    ["x-test", "ok"],
    [":path", "/"],
  ]),
  malformedRequest("8.3.1", "an empty :path", (peer) => requestTo(peer, "")),
  malformedRequest("8.3.1", "a :path that does not begin with a slash", (peer) => requestTo(peer, "x")),
  malformedRequest("8.3.1", "a :path with a space", (peer) => requestTo(peer, "/a b")),
  malformedRequest("8.3.1", "a :path with a line break", (peer) => requestTo(peer, "/ HTTP/1.1\r\nx: y")),
  malformedRequest("8.3.1", "a :method with a space", (peer) => requestTo(peer, "/", "GET /x")),
  malformedRequest("8.3.1", "an empty :method", (peer) => requestTo(peer, "/", "")),
  ...([":method", ":scheme", ":path"] as const).flatMap((name) => [
    malformedRequest("8.3.1", `a request without ${name}`, (peer) => pseudo(peer, "GET", name)),
    malformedRequest("8.3.1", `a request with two ${name}`, (peer) => [
      ...pseudo(peer, "GET"),
      ...pseudo(peer, "GET").filter(([key]) => key === name),
    ]),
  ]),
  malformedRequest("8.3.1", "two :authority", (peer) => [...pseudo(peer, "GET"), [":authority", "a.test"]]),
  malformedRequest("8.3.1", "a Host that is not :authority", (peer) => get(peer, ["host", "b.test"])),
  malformedRequest("8.3.1", "an :authority with user information", (peer) => [
    ...pseudo(peer, "GET", ":authority"),
    [":authority", "user@a.test"],
  ]),
  request("8.3.1", "a Host that is :authority is taken", (peer) => get(peer, ["host", "a.test"]), answered(1)),
  request(
    "8.3.1",
    "Host may stand for :authority",
    (peer) => [...pseudo(peer, "GET", ":authority"), ["host", "a.test"]],
    answered(1),
  ),
  malformedRequest("8.5", "CONNECT with :path and :scheme", (peer) => requestTo(peer, "/", "CONNECT")),
];

const rawBlock = (peer: H2Peer, ...extra: readonly Uint8Array[]) =>
  Buffer.concat([fieldBlock(get(peer)), ...extra]);
const compressionError = connectionError(CODE.compression);
/** A table size in the form of RFC 7541 §6.3. */
const tableSize = (bytes: number) => hpackInteger(bytes, 5, 0x20);
const tableLimit = (peer: H2Peer) => peer.settings.get(SETTING.headerTableSize) ?? 4096;

function block(section: string, rule: string, make: (peer: H2Peer) => Buffer, outcome: Outcome): Rule {
  const act = (peer: H2Peer) => peer.send(headers(1, make(peer)));
  return { section: `RFC 7541 ${section}`, rule, act, outcome };
}

const HPACK: readonly Rule[] = [
  block("2.3.3", "an index of 0 is a decoding error", (peer) => rawBlock(peer, Buffer.from([0x80])), compressionError),
  block(
    "2.3.3",
    "an index beyond both tables is a decoding error",
    (peer) => rawBlock(peer, hpackInteger(70, 7, 0x80)),
    compressionError,
  ),
  block(
    "2.3.3",
    "a name index beyond both tables is a decoding error",
    (peer) => rawBlock(peer, hpackInteger(70, 4, 0), hpackString("x")),
    compressionError,
  ),
  block(
    "4.2",
    "a table size within a block, not at its start, is a decoding error",
    (peer) => rawBlock(peer, tableSize(0)),
    compressionError,
  ),
  block(
    "4.2",
    "two table sizes at the start of a block are taken",
    (peer) => Buffer.concat([tableSize(0), tableSize(tableLimit(peer)), rawBlock(peer)]),
    answered(1),
  ),
  block("5.1", "an integer without end is a decoding error", (peer) => rawBlock(peer, Buffer.alloc(20, 0xff)), compressionError),
  block(
    "5.1",
    "an integer that is longer than it need be, but small, is taken or a decoding error",
    (peer) => rawBlock(peer, Buffer.from([0x0f, 0x80, 0x00]), hpackString("x")),
    async (peer) => {
      // index 15, accept-charset: the octets of zero at its end say nothing
      await peer.until(() => peer.isEnded(1) || peer.goawayCode === CODE.compression, "one or the other");
    },
  ),
  block(
    "5.2",
    "Huffman padding of 8 bits or more is a decoding error",
    (peer) => rawBlock(peer, Buffer.from("\0\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff", "latin1")),
    compressionError,
  ),
  block(
    "5.2",
    "Huffman padding with zeros is a decoding error",
    (peer) => rawBlock(peer, Buffer.from("\0\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90", "latin1")),
    compressionError,
  ),
  block(
    "5.2",
    "the end-of-string symbol in a Huffman string is a decoding error",
    (peer) => rawBlock(peer, Buffer.from("\0\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f", "latin1")),
    compressionError,
  ),
  block(
    "5.2",
    "a string longer than its block is a decoding error",
    (peer) => rawBlock(peer, Buffer.from([0]), hpackInteger(200, 7, 0), Buffer.from("short")),
    compressionError,
  ),
  block(
    "6.2",
    "a literal of each form is taken",
    (peer) => rawBlock(peer, literal("x-a", "1", 0x40), literal("x-b", "2", 0x10), literal("x-c", "3", 0)),
    answered(1),
  ),
  block(
    "6.3",
    "a table size above SETTINGS_HEADER_TABLE_SIZE is a decoding error",
    (peer) => Buffer.concat([tableSize(tableLimit(peer) + 1), rawBlock(peer)]),
    compressionError,
  ),
  {
    section: "RFC 7541 2.2",
    rule: "a field put into the table by one request is there for the next, malformed ones included",
    act(peer) {
      const indexed = literal("x-kept", "value", 0x40);
      // malformed for its upper case, and yet the table has its field
      peer.send(headers(1, Buffer.concat([fieldBlock(get(peer, ["X-UPPER", "1"])), indexed])));
      peer.send(headers(3, rawBlock(peer, Buffer.from([0x80 | 62]))));
    },
    outcome: answered(3),
  },
  {
    section: "RFC 7541 4.4",
    rule: "a field larger than the table empties it",
    act(peer) {
      const large = literal("x-large", "v".repeat(tableLimit(peer)), 0x40);
      peer.send(headers(1, rawBlock(peer, literal("x-a", "b", 0x40), large)));
      peer.send(headers(3, rawBlock(peer, Buffer.from([0x80 | 62]))));
    },
    outcome: compressionError,
  },
  {
    section: "10.5.1",
    rule: "a request with too many bytes of fields is refused with 431, and the connection goes on",
    async act(peer) {
      peer.send(headers(1, get(peer, ...Array.from({ length: 9 }, (_, at) => [`x-${at}`, "v".repeat(4000)] as const).slice(0, 3))));
      await answered(1)(peer);
      const many = Array.from({ length: 99 }, (_, at) => [`x-${at}`, "v"] as const);
      peer.send(headers(3, get(peer, ...many, ...many)));
    },
    async outcome(peer) {
      await peer.until(() => peer.isEnded(3), "the refusal");
      if (peer.status(3) !== 431) throw new Error(`status ${peer.status(3)}: ${peer.story()}`);
      await isAlive(peer);
    },
  },
];

export const MESSAGES: readonly Rule[] = [...EXCHANGES, ...FIELDS, ...PSEUDO, ...HPACK];
