// The texts in the chosen language, the words that are explained, and what is kept of choices.

import { button, fill, h, long, visible } from "./dom.js";

// Only the chosen one is loaded.
const LANGUAGES = { en: () => import("./texts.en.js"), ko: () => import("./texts.ko.js") };

/** A choice that outlives the page, where the browser allows that. */
export const kept = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* Only this page knows it then. */ } },
};

/** The texts: `t.send`, `t.ofStrings(3, 14)`. */
export let t = null;
export let language = "en";

export async function setLanguage(code) {
  language = LANGUAGES[code] ? code : navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => LANGUAGES[tag]) ?? "en";
  t = (await LANGUAGES[language]()).texts;
  long.more = t.more;
  document.documentElement.lang = language;
}

/** A technical word with its explanation one click away. */
export function term(word, shown = t.terms[word]?.[0] ?? word) {
  if (!Object.hasOwn(t.terms, word)) return shown;
  return button(shown, (event) => explain(event.currentTarget, word), { "aria-haspopup": "true" }, "term");
}

function explain(from, word) {
  const box = document.getElementById("term");
  const [name, text] = t.terms[word];
  fill(box, h("strong", null, name), h("p", null, text));
  box.showPopover();
  const at = from.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8));
  const below = at.bottom + 6 + box.offsetHeight < innerHeight;
  box.style.setProperty("left", `${left}px`);
  box.style.setProperty("top", `${below ? at.bottom + 6 : Math.max(8, at.top - 6 - box.offsetHeight)}px`);
}

/** An error as the API gives it: what happened, and what mends it. */
export function failure({ code, message, remedy }, name = "div.failure") {
  return h(name, { role: "alert" }, h("p", null, h("strong", null, visible(message || t.failures[code] || code)), " ", code && h("code", null, visible(code))),
    (remedy || t.remedies[code]) && h("p", null, visible(remedy || t.remedies[code])));
}
