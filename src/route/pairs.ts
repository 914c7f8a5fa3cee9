/**
 * Pairs: lists of `key=value`, as cookies and queries are.
 *
 * cost   linear in the text, whatever it holds
 */

/** Is there a `key=value` in the list that passes? A part without "=" has the value "". */
export function somePair(
  list: string,
  separator: string,
  isIt: (key: string, value: string) => boolean,
): boolean {
  if (list === "") return false;
  let start = 0;
  while (start <= list.length) {
    const mark = list.indexOf(separator, start);
    const end = mark === -1 ? list.length : mark;
    const part = list.slice(start, end);
    const equals = part.indexOf("=");
    const isMatch = equals === -1 ? isIt(part, "") : isIt(part.slice(0, equals), part.slice(equals + 1));
    if (isMatch) return true;
    start = end + 1;
  }
  return false;
}

/** Text that does not decode stands for itself: it equals nothing that was meant. */
export function decodeForm(text: string): string {
  if (text.indexOf("%") === -1) return text.indexOf("+") === -1 ? text : text.replaceAll("+", " ");
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
