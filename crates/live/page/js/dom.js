// Elements, and text that is safe to show. No string is ever parsed as HTML: captured bytes and users' words are hostile.

/** Makes an element: `h("p.note", { title: "…", onclick: f }, "text", child, …)`. */
export function h(name, props, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  put(made, ...children);
  return made;
}

/** Replaces what an element contains. */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, ...children);
  return element;
}

function put(element, ...children) {
  element.append(...children.flat(3).filter((child) => child != null && child !== false));
}

// Characters that move, hide or reorder text: the same set as in the report (`visible.rs`).
const HIDDEN = /[\p{Cc}\p{Cs}\u{ad}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180e}\u{200b}\u{200c}\u{200e}\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{3164}\u{feff}\u{ffa0}\u{fff9}-\u{fffb}\u{e0000}-\u{e007f}]/gu;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text with its control and direction-changing characters as visible escapes. `keep` are characters that stay. */
export function visible(text, keep = "") {
  return String(text).replace(HIDDEN, (character) => keep.includes(character)
    ? character : SHORT[character] ?? `\\u{${character.codePointAt(0).toString(16)}}`);
}

/** Like `visible`, at most `limit` characters. */
export function short(text, limit) {
  const some = [...String(text).slice(0, limit * 2 + 2)];
  return some.length > limit ? `${visible(some.slice(0, limit).join(""))}…` : visible(some.join(""));
}

/** A button; `classes` say what it looks like. */
export const button = (text, onclick, props, classes = "button") => h(`button.${classes}`, { type: "button", onclick, ...props }, text);

/** A table in a box of its own that scrolls: `rows` are arrays of cells, `numbers` the columns to align right. */
export function table(caption, head, rows, numbers = []) {
  const cell = (tag) => (content, at) => h(numbers.includes(at) ? `${tag}.n` : tag, tag === "th" && { scope: "col" }, content);
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": caption },
    h("table", null, h("caption", null, caption), h("thead", null, h("tr", null, head.map(cell("th")))),
      h("tbody", null, rows.map((row) => h("tr", null, row.map(cell("td")))))));
}

/** A text that can be long: cut, with a button for more of it. */
export function long(text, limit = 600, make = (part) => visible(part, "\n\t")) {
  const box = h("span.long");
  let shown = limit;
  const show = () => {
    // Not in the middle of a character.
    if (/[\ud800-\udbff]/.test(text[shown - 1] ?? "")) shown += 1;
    fill(box, make(text.slice(0, shown)));
    if (text.length > shown) {
      box.append("… ", button(long.more(text.length - shown), () => { shown *= 8; show(); }, null, "more"));
    }
  };
  show();
  return box;
}

/** Says something to a screen reader, at most once a second: only the last of many. */
let saying = 0;
export function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => { document.getElementById("said").textContent = text; }, 700);
}

const count = new Intl.NumberFormat("en");
export const number = (value) => value == null ? "–" : count.format(value);
export const milliseconds = (value) => value == null ? "" : value < 100 ? value.toFixed(1) : number(Math.round(value));
export function size(bytes) {
  if (bytes == null) return "–";
  if (bytes < 10_000) return `${number(bytes)} B`;
  return bytes < 1e7 ? `${number(Math.round(bytes / 1000))} kB` : `${number(Math.round(bytes / 1e6))} MB`;
}
