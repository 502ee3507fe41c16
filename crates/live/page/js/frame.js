// One frame: its bytes, and what each of them is.

import { button, fill, h, long, milliseconds, number, say, short, visible } from "./dom.js";
import { HexView, fromHex } from "./hex.js";
import { VirtualList } from "./list.js";
import { failure, language, t, term } from "./i18n.js";

const encoder = new TextEncoder();

/** A Wireshark display filter with a button that copies it. */
export function filter(text, label = "Wireshark ") {
  const copy = button(t.copy, async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without the permission the text is selected, so that Ctrl-C copies it.
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    copy.textContent = t.copied;
    say(t.copied);
    setTimeout(() => { copy.textContent = t.copy; }, 1500);
  }, { "aria-label": `${t.copy}: ${text}` }, "link");
  const code = h("code", null, visible(text));
  return h("span.filter", null, label, code, " ", copy);
}

/** Where in `bytes` a text is, as it is. */
function find(bytes, text) {
  const wanted = encoder.encode(text);
  const places = [];
  for (let at = 0; wanted.length > 3 && at + wanted.length <= bytes.length && places.length < 16; at += 1) {
    at = bytes.indexOf(wanted[0], at);
    if (at < 0) break;
    if (wanted.every((byte, i) => bytes[at + i] === byte)) places.push({ start: at, end: at + wanted.length });
  }
  return places;
}

export class FrameView {
  /**
   * `load(frame, keys)` fetches a document. `strings` are those of the exchange, with their places. `selected({at, string})`
   * is called when the selection changes, `leave()` at Escape, `go(frame, at, string)` for another place of a string.
   */
  constructor({ load, selected, leave, go, wantKeys }) {
    Object.assign(this, { load, selected, leave, go, wantKeys });
    this.element = h("section.frame", { hidden: true, "aria-label": t.frameDetails });
  }

  /** Shows a frame. `at` is a byte: "120", or "p0.35" for byte 35 of the first plaintext. */
  async show({ packet, frame, keys, strings = [], at, string, focus }) {
    const asked = this.asked = Symbol(frame);
    this.element.hidden = false;
    // For as long as a moment the frame before stays.
    const wait = () => { if (this.asked === asked) fill(this.element, this.head(frame, packet), h("p.later.quiet", null, t.readingFrame)); };
    const soon = setTimeout(wait, 200);
    let document_;
    try {
      document_ = await this.load(frame, keys);
    } catch (error) {
      if (this.asked === asked) fill(this.element, this.head(frame, packet), failure(error));
      return;
    } finally {
      clearTimeout(soon);
    }
    if (this.asked !== asked) return;
    Object.assign(this, { document: document_, packet, frame, keys, strings, plain: null });
    this.build();
    const place = string === undefined ? null : this.placesHere(string)[0];
    this.select(at ?? (place ? String(place.start) : null), { string, quiet: true });
    if (focus) this.main.element.focus({ preventScroll: true });
  }

  close() {
    this.asked = null;
    this.document = null;
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  placesHere(id) {
    return this.strings.find((string) => string.id === id)?.places.filter((place) => place.frame === this.frame) ?? [];
  }

  head(frame, packet) {
    return h("header", null, h("h3", null, term("frame", `${t.frame} ${number(frame)}`)),
      packet && h("span.quiet", null, [t.bytes(packet.bytes), packet.ms == null ? null : `${milliseconds(packet.ms)} ms`].filter(Boolean).join(" · ")),
      h("span.words", null, (packet?.what ?? []).slice(0, 5).map((what) => h("span.what", null, term(what, visible(what))))),
      filter(`frame.number == ${frame}`),
      button("×", () => this.leave(), { "aria-label": t.close }, "close"));
  }

  build() {
    const { bytes: text, fields } = this.document;
    const bytes = fromHex(text);
    const marks = this.strings.flatMap((string) => string.places.filter((place) => place.frame === this.frame)
      .map((place) => ({ ...place, sealed: place.level === "decrypted" })));
    this.main = new HexView({
      label: t.bytesOf(this.frame), bytes, fields, marks, leave: () => this.leave(), select: (at) => this.select(String(at)),
    });
    this.card = h("div.card");
    this.beside = h("div.beside");
    this.all = h("details.all", { ontoggle: () => this.list() }, h("summary", null, t.allFields(fields.length)));
    fill(this.element, this.head(this.frame, this.packet),
      h("div.body", null, h("div.hexes", null, this.main.element, this.beside), h("div.about", null, this.card, this.all)));
    this.main.fit();
  }

  // The fields one below the other, for those who would rather read than click on bytes.
  list() {
    if (!this.all.open || this.all.querySelector(".fields")) return;
    const { fields } = this.document;
    let active = 0;
    const choose = (at) => {
      active = Math.max(0, Math.min(fields.length - 1, at));
      this.select(String(fields[active].offset), { field: fields[active] });
      rows.reveal(active);
      box.setAttribute("aria-activedescendant", `field${active}`);
    };
    const box = h("div.fields", {
      role: "listbox", tabindex: 0, "aria-label": t.allFields(fields.length),
      onkeydown: (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
        if (event.key === "Escape") this.main.element.focus();
        if (step === undefined && event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        if (step) choose(active + step);
      },
      onclick: (event) => { const row = event.target.closest("[data-at]"); if (row) choose(Number(row.dataset.at)); },
    });
    this.all.append(box);
    const rows = new VirtualList(box, {
      rowHeight: 24, stamp: (at) => String(fields[at] === this.field),
      render: (at) => h("div.row", { role: "option", id: `field${at}`, "data-at": at, "aria-selected": String(fields[at] === this.field), "aria-setsize": fields.length, "aria-posinset": at + 1 },
        h("span.quiet", null, fields[at].layer[language]), " ", h("span", null, fields[at].path ? visible(fields[at].path) : fields[at].id), " ",
        h("span.value", null, fields[at].value === undefined ? t.bytes(fields[at].length) : short(fields[at].value, 60))),
    });
    this.fieldRows = rows;
    rows.set(fields.length);
  }

  /** Selects a byte; `string` if the selection came from one, `field` if from the list of fields. */
  select(at, { string, field, quiet } = {}) {
    const inPlain = /^p(\d+)\.(\d+)$/.exec(at ?? "");
    const offset = inPlain ? Number(inPlain[2]) : at === null ? null : Number(at);
    const source = inPlain ? this.document.plaintexts?.[Number(inPlain[1])] : this.document;
    const fields = source && offset !== null ? source.fields.filter((of) => offset >= of.offset && offset < of.offset + of.length) : [];
    this.field = field ?? fields[0] ?? null;
    const place = string === undefined || inPlain ? null : this.placesHere(string).find((of) => offset >= of.start && offset < of.end);
    // A string inside of a record: the record's plaintext, if there is one.
    const record = place && this.document.fields.find((of) => of.plaintext !== undefined && of.offset < place.end && of.offset + of.length > place.start);
    const index = inPlain ? Number(inPlain[1]) : this.field?.plaintext ?? record?.plaintext;
    this.open(index);
    const range = this.field && offset !== null ? [this.field.offset, this.field.offset + this.field.length] : undefined;
    let inside = null;
    if (inPlain) this.plain?.view.mark(offset, range);
    else {
      this.main.mark(offset, place ? [place.start, place.end] : range);
      inside = place && this.plain?.marks.find((mark) => mark.string.id === string);
      this.plain?.view.mark(inside ? inside.start : null, inside ? [inside.start, inside.end] : undefined);
    }
    this.fieldRows?.draw();
    const covering = inPlain ? this.plain?.marks.filter((mark) => offset >= mark.start && offset < mark.end).map((mark) => mark.string)
      : this.strings.filter((of) => of.places.some((place) => place.frame === this.frame && offset !== null && offset >= place.start && offset < place.end));
    // A record carries many strings: only a place of its own selects one of them.
    const chosen = this.strings.find((of) => of.id === string)
      ?? (covering?.length === 1 || inPlain || covering?.[0]?.level !== "decrypted" ? covering?.toSorted((a, b) => a.text.length - b.text.length)[0] : undefined);
    const inner = inside ? [...this.document.plaintexts[index].fields.filter((of) => inside.start >= of.offset && inside.start < of.offset + of.length), record] : null;
    this.describe(inner ?? (fields.length ? fields : this.field ? [this.field] : []), inner ? inside.start : offset, chosen, inner ? null : source);
    this.selected({ at, string: chosen?.id ?? null, quiet });
  }

  // The plaintext beside its record.
  open(index) {
    const text = index === undefined ? null : this.document.plaintexts?.[index];
    if (!text) { this.plain = null; this.beside.replaceChildren(); return; }
    if (this.plain?.index === index) return;
    const bytes = fromHex(text.bytes);
    const marks = this.strings.flatMap((string) => find(bytes, string.text).map((place) => ({ ...place, sealed: true, string })));
    const view = new HexView({
      label: t.plaintextOf(this.frame), bytes, fields: text.fields, marks, leave: () => this.main.element.focus(),
      select: (at) => this.select(`p${index}.${at}`),
    });
    this.plain = { index, view, marks };
    fill(this.beside, h("h4", null, term("plaintext", t.beforeEncryption), " ", h("span.quiet", null, visible(text.content_type), " · ", t.bytes(bytes.length))), view.element);
    view.fit();
  }

  describe(fields, offset, string, source) {
    if (offset === null || !fields.length && !string) {
      fill(this.card, h("p.quiet", null, t.clickAByte), h("p.quiet", null, t.hexKeys));
      return;
    }
    const sealed = fields.find((field) => field.plaintext !== undefined || /encrypted|app_data|ciphertext/.test(field.id));
    fill(this.card,
      string && h(`p.string.${string.level === "decrypted" ? "sealed" : "readable"}`, null, h("q", null, long(string.text, 160)), " ",
        h("span.badge", { class: `badge ${string.level === "decrypted" ? "sealed" : "readable"}` }, term(string.level, t.levels[string.level])), " ",
        string.encoding && string.encoding !== "as it is" && h("span.quiet", null, visible(string.encoding)), this.places(string)),
      fields.slice(0, 12).map((field) => h("div.field", null,
        h("p.crumbs", null, h("span", null, field.layer[language]), " › ", h("code", null, field.id), field.path && [" ", h("code.path", null, visible(field.path))]),
        field.value !== undefined && field.value !== string?.text && h("p.value", null, long(String(field.value), 240, (part) => visible(part))),
        h("p", null, field.explanation[language]),
        (field.begins_before || field.goes_on) && h("p.quiet", null, field.begins_before && t.beginsBefore, " ", field.goes_on && t.goesOnLater))),
      sealed && !this.keys && h("p", null, t.sealedHere, " ", button(t.withKeys, () => this.wantKeys(), null, "link")),
      h("p.quiet", null, t.position(offset, fields[0], source === this.document ? this.document.file_offset + offset : null)));
  }

  places(string) {
    const others = string.places.filter((place, at) => string.places.findIndex((of) => of.frame === place.frame && of.start === place.start) === at);
    if (others.length < 2) return null;
    return h("span.places", null, " ", t.alsoIn, " ", others.slice(0, 16).map((place) => [
      button(`${t.frame} ${place.frame}`, () => this.go(place.frame, place.start, string.id), { "aria-current": place.frame === this.frame ? "true" : null }, "link"), " "]));
  }
}
