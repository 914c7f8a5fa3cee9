/**
 * Settings: what the peer has told about itself, with the defaults until then.
 *
 * spec   RFC 9113 §6.5.2, RFC 7541 §4.2, RFC 8441 §3
 */
import {
  DEFAULT_WINDOW_BYTES,
  FLOW_CONTROL_ERROR,
  MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
  PROTOCOL_ERROR,
  SETTING_ENABLE_CONNECT_PROTOCOL,
  SETTING_ENABLE_PUSH,
  SETTING_HEADER_TABLE_SIZE,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_FRAME_SIZE,
} from "./codes.table.ts";

const ENTRY_BYTES = 6;
const DEFAULT_TABLE_BYTES = 4096;
const LARGEST_FRAME_BYTES = 2 ** 24 - 1;

export class PeerSettings {
  headerTableBytes = DEFAULT_TABLE_BYTES;
  /** The smallest that the last SETTINGS frame named on the way there: our next header block has to say so. */
  leastTableBytes = DEFAULT_TABLE_BYTES;
  /** Streams that we may have open at once: no limit until the peer names one. */
  maxStreams = Number.POSITIVE_INFINITY;
  initialWindow = DEFAULT_WINDOW_BYTES;
  /** RFC 8441: the peer takes extended CONNECT. */
  takesExtendedConnect = false;

  /** Reads a SETTINGS payload. out  what is wrong with it, or undefined */
  read(
    bytes: Buffer,
    start: number,
    end: number,
    isFromServer: boolean,
  ): { readonly code: number; readonly detail: string } | undefined {
    this.leastTableBytes = this.headerTableBytes;
    for (let at = start; at < end; at += ENTRY_BYTES) {
      const wrong = this.#set(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2), isFromServer);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  #set(id: number, value: number, isFromServer: boolean) {
    switch (id) {
      case SETTING_HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        this.leastTableBytes = Math.min(value, this.leastTableBytes);
        return undefined;
      case SETTING_ENABLE_PUSH:
        return value > 1 || (isFromServer && value === 1) ? wrongValue("ENABLE_PUSH") : undefined;
      case SETTING_MAX_CONCURRENT_STREAMS:
        this.maxStreams = value;
        return undefined;
      case SETTING_INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES)
          return { code: FLOW_CONTROL_ERROR, detail: "INITIAL_WINDOW_SIZE is too large" };
        this.initialWindow = value;
        return undefined;
      case SETTING_MAX_FRAME_SIZE:
        return value < MAX_FRAME_BYTES || value > LARGEST_FRAME_BYTES
          ? wrongValue("MAX_FRAME_SIZE")
          : undefined;
      case SETTING_ENABLE_CONNECT_PROTOCOL:
        if (value > 1) return wrongValue("ENABLE_CONNECT_PROTOCOL");
        this.takesExtendedConnect = value === 1;
        return undefined;
      default:
        return undefined; // §6.5.2: unknown settings are ignored
    }
  }
}

function wrongValue(name: string) {
  return { code: PROTOCOL_ERROR, detail: `${name} of a value that it may not have` };
}
