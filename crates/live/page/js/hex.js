// Bytes as hex and text: every byte can be clicked and reached with the arrow keys.

import { h, visible } from "./dom.js";
import { VirtualList } from "./list.js";
import { t } from "./i18n.js";

const ROW = 20;
let made = 0;

export const fromHex = (text) => Uint8Array.from({ length: text.length / 2 }, (_, at) => parseInt(text.substr(at * 2, 2), 16));
const hex = (value, digits) => value.toString(16).padStart(digits, "0");

/** The character that begins at each byte: "" inside of one, "." for what is no visible text. */
export function characters(bytes, isText = () => true) {
  const texts = new Array(bytes.length).fill(".");
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (let at = 0; at < bytes.length; at += 1) {
    const lead = bytes[at];
    if (lead >= 0x20 && lead < 0x7f) texts[at] = String.fromCharCode(lead);
    const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
    if (length === 1 || !isText(at) || at + length > bytes.length) continue;
    try {
      const text = decoder.decode(bytes.subarray(at, at + length));
      // Combining marks would move their neighbours, and what has no glyph says nothing.
      if (!/^[\p{L}\p{N}\p{P}\p{S}]$/u.test(text) || visible(text) !== text) continue;
      texts.fill("", at, at + length);
      texts[at] = text;
      at += length - 1;
    } catch {
      // Not UTF-8.
    }
  }
  return texts;
}

export class HexView {
  /**
   * `fields` as in plainsight.explain/1. `marks` are `{start, end, sealed}`. `select(at)` is called when a byte is chosen,
   * `leave()` at Escape.
   */
  constructor({ label, bytes, fields, marks, select, leave }) {
    Object.assign(this, { bytes, fields, marks, select, leave, id: `hex${made += 1}`, at: null, range: [0, 0], wide: 16 });
    this.kinds = new Uint8Array(bytes.length);
    for (const field of fields) {
      const end = field.offset + field.length;
      if (/^(http|json|websocket)/.test(field.id)) this.kinds.fill(8, field.offset, end);
      else if (!/^(tls|tcp\.payload|data)/.test(field.id)) this.kinds.fill(4, field.offset, end);
    }
    // Only in text are two or three bytes a character; in headers and ciphertext that is chance.
    this.texts = characters(bytes, (at) => this.kinds[at] & 8);
    for (const { start, end, sealed } of marks) {
      for (let at = start; at < Math.min(end, bytes.length); at += 1) this.kinds[at] |= sealed ? 2 : 1;
    }
    this.element = h("div.hex", {
      role: "grid", tabindex: 0, "aria-label": label, "aria-readonly": "true",
      onkeydown: (event) => this.key(event), onclick: (event) => this.click(event),
    });
    this.list = new VirtualList(this.element, {
      rowHeight: ROW, render: (row) => this.render(row),
      stamp: (row) => `${this.wide}|${this.inRow(row) ? `${this.at}|${this.range}` : ""}`,
    });
    new ResizeObserver(() => this.fit()).observe(this.element);
    this.fit();
  }

  inRow(row) {
    const [start, end] = [row * this.wide, (row + 1) * this.wide];
    return this.at !== null && this.range[0] < end && Math.max(this.range[1], this.at + 1) > start;
  }

  // Sixteen bytes a row, eight where sixteen have no room.
  fit() {
    this.wide = this.element.clientWidth && this.element.clientWidth < 500 ? 8 : 16;
    const rows = Math.ceil(this.bytes.length / this.wide);
    this.element.setAttribute("aria-rowcount", rows);
    this.element.style.setProperty("--wide", `${this.wide * 3 + (this.wide > 8 ? 0.8 : 0)}ch`);
    this.element.style.setProperty("--rows", Math.max(2, rows));
    this.list.set(rows);
  }

  classes(at) {
    const kind = this.kinds[at];
    return [kind & 1 && "readable", kind & 2 && "sealed", kind & 4 && "headers",
      this.at !== null && at >= this.range[0] && at < this.range[1] && "field", at === this.at && "at"].filter(Boolean).join(" ");
  }

  render(row) {
    const start = row * this.wide;
    const here = [...this.bytes.subarray(start, start + this.wide)].map((value, i) => [start + i, value]);
    return h("div.row", { role: "row", "aria-rowindex": row + 1 },
      h("span.offset", { "aria-hidden": "true" }, hex(start, 4)),
      h("span.bytes", { role: "presentation" }, here.map(([at, value]) => h("b", {
        class: this.classes(at), "data-at": at, role: "gridcell", id: `${this.id}-${at}`,
        "aria-label": at === this.at ? this.told(at, value) : null, "aria-selected": at === this.at ? "true" : null,
      }, hex(value, 2)))),
      h("span.text", { "aria-hidden": "true" }, here.map(([at]) => this.character(at, start + here.length))));
  }

  // A character of several bytes has the room of all of them, as far as its row goes.
  character(at, end) {
    if (this.texts[at] === "" && at % this.wide !== 0) return null;
    let next = at + 1;
    while (next < end && this.texts[next] === "") next += 1;
    const made = h("i", { class: this.classes(at), "data-at": at }, this.texts[at]);
    if (next > at + 1) made.style.setProperty("width", `${next - at}ch`);
    return made;
  }

  // What a screen reader says of the byte that the arrow keys reached.
  told(at, value) {
    const field = this.fields.find((of) => at >= of.offset && at < of.offset + of.length);
    return t.byteAt(hex(value, 2), at, field?.id ?? "", field?.value === undefined ? "" : visible(field.value).slice(0, 80));
  }

  /** Marks the byte `at`, and the bytes of its field. */
  mark(at, range = at === null ? [0, 0] : [at, at + 1], reveal = true) {
    Object.assign(this, { at, range });
    const last = Math.min(range[1] - 1, range[0] + this.wide * 6);
    if (at !== null && reveal) for (const of of [last, at]) this.list.reveal(Math.floor(of / this.wide));
    else this.list.draw();
    if (at !== null) this.element.setAttribute("aria-activedescendant", `${this.id}-${at}`);
  }

  click(event) {
    const cell = event.target.closest("[data-at]");
    if (cell) this.select(Number(cell.dataset.at));
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.wide, ArrowUp: -this.wide, PageDown: this.wide * 8, PageUp: -this.wide * 8 }[event.key];
    const last = this.bytes.length - 1;
    const at = this.at ?? 0;
    let next = null;
    if (step !== undefined) next = at + step < 0 || at + step > last ? at : at + step;
    else if (event.key === "Home") next = event.ctrlKey ? 0 : at - at % this.wide;
    else if (event.key === "End") next = event.ctrlKey ? last : Math.min(last, at - at % this.wide + this.wide - 1);
    else if (event.key === "[" || event.key === "]") next = this.neighbour(at, event.key === "]" ? 1 : -1);
    else if (event.key === "Enter") next = at;
    else if (event.key === "Escape") this.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (next !== null) this.select(next);
  }

  // The first byte of the field before or after the one at a byte.
  neighbour(at, way) {
    const starts = [...new Set(this.fields.filter((field) => field.length).map((field) => field.offset))].sort((a, b) => a - b);
    const here = starts.findLastIndex((start) => start <= at);
    return starts[Math.min(starts.length - 1, Math.max(0, here + way))] ?? at;
  }
}
