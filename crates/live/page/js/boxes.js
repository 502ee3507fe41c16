// Sandboxes in words, and which of them answered what.

import { number, visible } from "./dom.js";
import { t } from "./i18n.js";

/** Which sandbox answered which exchange: the server says so, or nothing else can have been meant. */
export function boxesOf(exchanges, boxes) {
  const found = new Map();
  const open = exchanges.filter((of) => of.kind === "say").sort((a, b) => b.at_unix_ms - a.at_unix_ms);
  for (const box of [...boxes].sort((a, b) => a.started_unix_ms - b.started_unix_ms)) {
    const [first, second] = open.filter((of) => of.id === box.exchange
      || box.exchange == null && !found.has(of.id) && of.conversation === box.conversation && of.at_unix_ms <= box.started_unix_ms + 5);
    if (first && (box.exchange != null || !second || first.at_unix_ms - second.at_unix_ms > 100)) found.set(first.id, box);
  }
  return found;
}

/** A limit as people say it; its name says the unit. */
export function inWords({ name, value }) {
  let said = value;
  if (/_bytes$/.test(name) && /^\d+$/.test(value)) {
    const power = value > 0 ? Math.min(3, Math.floor(Math.log2(value) / 10)) : 0;
    said = `${number(Math.round(value / 1024 ** power * 10) / 10)} ${["B", "KiB", "MiB", "GiB"][power]}`;
  } else if (/_ms$/.test(name)) said = `${value / 1000} s`;
  else if (/_seconds/.test(name)) said = `${value} s`;
  return visible(`${t.limitNames[name] ?? name} ${said}`);
}
