/**
 * HTTP dates: text as instants, in seconds; `core/http-clock.ts` writes them.
 *
 * in     the three forms a recipient must know: IMF-fixdate, RFC 850, asctime
 * out    ms since the epoch, or undefined: a date that is none is to be ignored
 * rule   the name of the weekday must be one, but is not checked against the date, as everywhere
 * spec   RFC 9110 §5.6.7
 */
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
const MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const TIME = "(\\d\\d):(\\d\\d):(\\d\\d)";
const IMF = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\\d\\d) ${MONTH} (\\d{4}) ${TIME} GMT$`);
const RFC_850 = new RegExp(
  `^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\\d\\d)-${MONTH}-(\\d\\d) ${TIME} GMT$`,
);
const ASCTIME = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${MONTH} ([ \\d]\\d) ${TIME} (\\d{4})$`);

/** in  `nowMs` places the two-digit years of RFC 850: none is more than 50 years ahead */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const imf = IMF.exec(text);
  if (imf !== null) return toInstant(Number(imf[3]), imf[2], imf[1], imf.slice(4));
  const asctime = ASCTIME.exec(text);
  if (asctime !== null) return toInstant(Number(asctime[6]), asctime[1], asctime[2], asctime.slice(3, 6));
  const old = RFC_850.exec(text);
  if (old === null) return undefined;
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(old[3]);
  return toInstant(year > thisYear + 50 ? year - 100 : year, old[2], old[1], old.slice(4));
}

function toInstant(
  year: number,
  month = "",
  day = "",
  time: readonly (string | undefined)[] = [],
): number | undefined {
  const [hours = 0, minutes = 0, seconds = 0] = time.map(Number);
  // 60 is a leap second; it counts as the first of the next minute
  if (hours > 23 || minutes > 59 || seconds > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, MONTHS.indexOf(month) / 3, Number(day));
  if (date.getUTCDate() !== Number(day)) return undefined;
  return date.setUTCHours(hours, minutes, seconds);
}
