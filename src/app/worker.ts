/**
 * Worker: the entry of a data-plane process; started by the control process, of no use alone.
 */
import { Dataplane } from "./dataplane.ts";
import { runWorker } from "./worker-loop.ts";

runWorker((options) => new Dataplane(options));
