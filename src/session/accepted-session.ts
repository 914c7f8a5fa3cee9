/**
 * Accepted session: what an accepted socket reports to, and what the worker may ask of it.
 */
import type { SocketSession } from "../transport/wire.ts";

export interface AcceptedSession extends SocketSession {
  /** Ends soon when idle, else after the answer under way. */
  leave(): void;
  /** Ends now. */
  kill(): void;
}
