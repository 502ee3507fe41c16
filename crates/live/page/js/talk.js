// What was said: each exchange as a block of bubbles, with the strings that the analyzer found in it.

import { inWords } from "./boxes.js";
import { button, fill, h, long, milliseconds, short, visible } from "./dom.js";
import { failure, t } from "./i18n.js";
import { address } from "./route.js";

const KINDS = { decrypted: "sealed", absent: "absent" };

/** One side of what was said. */
export const bubble = (side, who, text) => h(`div.said.${side}`, null, h("p.who", null, who), h("div.bubble", null, text));

/**
 * An exchange. `second` of a pair leaves out the message that both sent. `pick()` selects the exchange, `pickString(string)` a
 * string of it; `open` says whether the strings that are in no bubble are shown.
 */
export function exchangeBlock(exchange, { second, open, pick, pickString }) {
  const { wire } = exchange;
  const scheme = exchange.scheme.toUpperCase();
  const block = h(`article.exchange.${exchange.kind}`, { "data-id": exchange.id, "aria-label": `${scheme} ${exchange.id}` });
  const state = exchange.state === "sending" ? t.waitingFor(exchange.server) : exchange.status ?? t.failed;
  const found = wire.total ? t.readableOf(wire.readable, wire.total) : t.packets(wire.packets?.length ?? 0);
  const meta = h("p.meta", null, button([scheme, " · ", state, " · ", found], pick, { "aria-pressed": "false" }, "pick"));
  if (!["say", "call"].includes(exchange.kind)) return fill(block, h("p.quiet", null, t.kinds[exchange.kind]), meta);

  const used = new Set();
  const said = exchange.message != null && !second
    && bubble("you", t.you, marked(exchange, exchange.message, "request", used, pickString));
  const answer = exchange.answer != null
    && bubble("box", [exchange.kind === "call" ? "agent-b" : t.box, exchange.pair != null && ` · ${scheme}`], marked(exchange, exchange.answer, "answer", used, pickString));
  const rest = (wire.strings ?? []).filter((string) => !used.has(string.id));
  fill(block, said, answer, h("p.box-line"), exchange.error && failure(exchange.error),
    rest.length > 0 && h("details.rest", { open }, h("summary", null, t.alsoSent(rest.length)),
      h("p", null, rest.slice(0, 200).map((string) => [stringMark(string, short(string.text, 60), pickString), " "]))),
    meta);
  block.querySelector("[data-string]")?.setAttribute("tabindex", 0);
  return block;
}

// Not a `button`, which would not break across lines. One stop for Tab in a message; arrows lead from string to string.
const stringMark = (string, text, pickString) => h(`span.mark.${KINDS[string.level] ?? "readable"}`, {
  role: "button", tabindex: -1, "data-string": string.id, title: `${t.levels[string.level]}${string.path ? ` · ${visible(string.path)}` : ""}`,
  onclick: () => pickString(string), onkeydown: (event) => markKey(event, () => pickString(string)),
}, text);

function markKey(event, pick) {
  const marks = [...event.target.closest(".talk").querySelectorAll("[data-string]")].filter((of) => of.checkVisibility());
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const next = marks[marks.indexOf(event.target) + (step ?? NaN)];
  if (next) next.focus();
  else if (event.key === "Enter" || event.key === " ") pick();
  else return;
  event.preventDefault();
}

// A text with the strings in it that the analyzer found. What was found is the analyzer's word, not the page's.
function marked(exchange, text, side, used, pickString) {
  const strings = (exchange.wire.strings ?? []).filter((string) => string.in === side && string.text);
  const spans = [];
  for (const string of strings.sort((a, b) => b.text.length - a.text.length).slice(0, 300)) {
    let at = text.indexOf(string.text);
    const taken = () => spans.some((span) => at < span.end && at + string.text.length > span.at);
    while (at >= 0 && taken()) at = text.indexOf(string.text, at + string.text.length);
    if (at < 0) continue;
    spans.push({ at, end: at + string.text.length, string });
    used.add(string.id);
  }
  spans.sort((a, b) => a.at - b.at);
  return long(text, 1200, (part) => {
    const out = [];
    let from = 0;
    for (const { at, end, string } of spans.filter((span) => span.at < part.length)) {
      out.push(visible(part.slice(from, at), "\n\t"), stringMark(string, visible(part.slice(at, end), "\n\t"), pickString));
      from = end;
    }
    return [...out, visible(part.slice(from), "\n\t")];
  });
}

/** Beside an answer, the sandbox that gave it: what it was allowed, and what left it. */
export function describeBox(block, box) {
  const line = block.querySelector(".box-line");
  if (!line || !box) return;
  const memory = box.limits.find((of) => of.name === "memory_bytes");
  const facts = [t.itRan(milliseconds(box.took_ms)), memory && inWords(memory), box.network === "none" ? t.noNetwork : visible(box.network),
    box.frames_left !== null && t.leftIt(box.frames_left)];
  fill(line, h("a", { href: address("sandboxes") }, facts.filter(Boolean).join(" · ")));
}
