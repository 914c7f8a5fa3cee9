/**
 * Phases: the life of one exchange, in order, as data.
 *
 * why    a newcomer reads one table and knows the proxy; run.ts enforces it, and no phase names another
 *        except through what it returns
 * rule   every arrow points down the list but one: forward → choose, the retry.
 *        A phase that must wait for a socket returns WAIT; the event it waits for resumes the exchange.
 */
export const PHASES = {
  //          may go to                                what it settles
  receive: { next: ["match", "answer"] },              // the request is well formed and means one thing
  match:   { next: ["guard", "answer"] },              // which route
  guard:   { next: ["lookup", "choose", "serve", "answer"] }, // may it pass, and what does the route do
  lookup:  { next: ["choose", "answer"] },             // does the cache answer, or somebody's fetch
  serve:   { next: ["answer"] },                       // a file of the route's root is opened
  choose:  { next: ["forward", "answer"] },            // which endpoint, which attempt
  forward: { next: ["answer", "choose"] },             // request sent, response head here
  answer:  { next: ["relay"] },                        // response head edited and sent
  relay:   { next: ["record"] },                       // both bodies moved
  record:  { next: [] },                               // always last: metrics and log
} as const satisfies Record<string, { readonly next: readonly string[] }>;

export type PhaseName = keyof typeof PHASES;
/** Nothing to do until an event resumes the exchange. */
export const WAIT = "wait";
/** What phase `N` may return; the compiler rejects any other. */
export type NextOf<N extends PhaseName> = (typeof PHASES)[N]["next"][number] | typeof WAIT;
