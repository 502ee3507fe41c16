// The packet list: one wire, or two beside each other with the same rows aligned.

import { button, fill, h, milliseconds, number, visible } from "./dom.js";
import { VirtualList } from "./list.js";
import { t } from "./i18n.js";

const ARROWS = { out: "→", in: "←" };
let made = 0;

/** The rows of one or two wires: the phases of an exchange, each with its packets side by side. */
export function align(wires) {
  const phased = wires.map(phases);
  const rows = [];
  for (const [at, name] of ["connection", "request", "answer"].entries()) {
    const sides = phased.map((phase) => phase[at]);
    const longest = Math.max(...sides.map((side) => side.length));
    if (longest) rows.push({ phase: name });
    for (let i = 0; i < longest; i += 1) rows.push({ cells: sides.map((side) => side[i] ?? null) });
  }
  return rows;
}

// The strings show where the request and the answer begin; without any, the first payload of each side after the hellos.
function phases(packets) {
  const first = (direction, from) => {
    const of = (test) => packets.findIndex((packet, at) => at >= from && packet.direction === direction && test(packet));
    const marked = of((packet) => packet.marks_with_keys > 0);
    return marked >= 0 ? marked
      : of((packet) => packet.payload > 0 && !packet.what.some((what) => /Hello|ChangeCipherSpec|Certificate/.test(what)));
  };
  const request = first("out", 0);
  if (request < 0) return [packets, [], []];
  const answer = first("in", request);
  return answer < 0 ? [packets.slice(0, request), packets.slice(request), []]
    : [packets.slice(0, request), packets.slice(request, answer), packets.slice(answer)];
}

export class PacketList {
  /** `open(packet, column, enter)` is called when a packet is chosen; `leave()` at Escape. */
  constructor({ label, open, leave }) {
    Object.assign(this, { open, leave, id: `packets${made += 1}`, active: 0, column: 0, chosen: null, rows: [], seen: 0 });
    this.head = h("div.packet-head", { "aria-hidden": "true" });
    this.box = h("div.packets", {
      role: "grid", tabindex: 0, "aria-label": label, "aria-readonly": "true",
      onkeydown: (event) => this.key(event), onclick: (event) => this.click(event),
    });
    this.chip = button("", () => { this.list.reveal(this.list.count - 1); }, { hidden: true }, "chip");
    this.element = h("div.packet-box", null, this.head, this.box, this.chip);
    this.list = new VirtualList(this.box, {
      rowHeight: 26, render: (at) => this.render(at), stamp: (at) => this.stamp(at),
    });
    this.list.drawn = () => this.news();
  }

  /** Shows rows: an array, or `{length, at(i)}` for those that are still to be fetched. */
  set(rows, { columns = 1, keys = false } = {}) {
    const grown = rows.length > this.rows.length;
    const followed = this.list.count === 0 || this.list.atEnd();
    Object.assign(this, { rows, columns, keys });
    fill(this.head, Array.from({ length: columns }, () => h("span.packet", null,
      ["frame", "ms", "who", "bytes", "what"].map((name) => h("span", null, name === "who" ? "⇄" : t.columns[name])))));
    this.element.classList.toggle("two", columns === 2);
    this.box.setAttribute("aria-rowcount", rows.length);
    this.element.style.setProperty("--count", Math.max(3, rows.length));
    const last = Array.isArray(rows) ? Math.max(0, ...rows.slice(-8).flatMap((row) => row.cells ?? []).map((packet) => packet?.frame ?? 0)) : rows.last;
    this.element.style.setProperty("--digits", number(last).length);
    if (!grown || followed) this.seen = rows.length;
    if (this.row(this.active)?.phase) this.active += 1;
    this.list.set(rows.length);
    // A new row that is below what was in view does not move the view: the chip leads to it.
    this.news();
  }

  news() {
    if (this.list.atEnd()) this.seen = this.rows.length;
    const news = this.rows.length - this.seen;
    this.chip.hidden = news <= 0;
    this.chip.textContent = t.newRows(news);
  }

  row(at) { return Array.isArray(this.rows) ? this.rows[at] : this.rows.at(at); }

  stamp(at) {
    const row = this.row(at);
    return `${JSON.stringify(row)}${this.keys}${this.columns}${at === this.active ? this.column : ""}${row?.cells?.map((packet) => packet && this.isChosen(packet)).join("")}`;
  }

  isChosen(packet) { return this.chosen && packet.frame === this.chosen.frame && packet.of === this.chosen.of; }

  render(at) {
    const row = this.row(at);
    const props = { role: "row", "aria-rowindex": at + 1 };
    if (!row) return h("div.row", props, h("span", { role: "gridcell" }, "…"));
    if (row.phase) return h("div.row.phase", props, h("span", { role: "gridcell" }, t.phases[row.phase]));
    return h("div.row", { ...props, "data-at": at }, row.cells.map((packet, column) => {
      if (!packet) return h("span.packet", { role: "gridcell", "aria-label": t.nothingHere });
      const chosen = this.isChosen(packet);
      const marks = this.keys ? packet.marks_with_keys : packet.marks;
      const what = packet.what.length ? packet.what.map((w) => visible(w)).join(", ") : packet.payload ? t.goesOn : t.noPayload;
      return h(`span.packet${chosen ? ".chosen" : ""}${at === this.active && column === this.column ? ".active" : ""}`, {
        role: "gridcell", id: `${this.id}-${at}-${column}`, "data-column": column, "data-frame": packet.frame, "aria-selected": String(!!chosen),
      },
      h("span", null, number(packet.frame)), h("span", null, milliseconds(packet.ms)),
      h("span", { "aria-label": t.directions[packet.direction] ?? "", role: "img" }, ARROWS[packet.direction] ?? "·"),
      h("span", null, number(packet.bytes)),
      h(`span${packet.what.length ? "" : ".quiet"}`, { title: what }, what),
      marks > 0 && h(`span.marks.${packet.marks > 0 ? "readable" : "sealed"}`, { title: t.marks(marks), "aria-label": t.marks(marks), role: "img" },
        `${packet.marks > 0 ? "◼" : "◻"} ${marks}`));
    }));
  }

  click(event) {
    const cell = event.target.closest("[data-column]");
    if (!cell) return;
    this.active = Number(cell.parentElement.dataset.at);
    this.column = Number(cell.dataset.column);
    this.choose(false);
  }

  packet() { return this.row(this.active)?.cells?.[this.column] ?? null; }

  choose(enter) {
    this.point();
    const packet = this.packet();
    if (packet) this.open(packet, this.column, enter);
  }

  /** Marks a frame as the one that is shown, and brings it into view if `reveal`. */
  mark(chosen, reveal = true) {
    this.chosen = chosen;
    const at = chosen && Array.isArray(this.rows)
      ? this.rows.findIndex((row) => row.cells?.some((packet) => packet && this.isChosen(packet))) : -1;
    if (at >= 0) {
      this.active = at;
      this.column = this.rows[at].cells.findIndex((packet) => packet && this.isChosen(packet));
      if (reveal) this.list.reveal(at);
    }
    this.point();
  }

  point() {
    this.list.draw();
    const id = `${this.id}-${this.active}-${this.column}`;
    if (document.getElementById(id)) this.box.setAttribute("aria-activedescendant", id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / 26) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) this.move(step);
    else if (event.key === "ArrowRight" && this.columns === 2) { this.column = 1; this.follow(); }
    else if (event.key === "ArrowLeft" && this.columns === 2) { this.column = 0; this.follow(); }
    else if (event.key === "Enter" || event.key === " ") this.choose(true);
    else if (event.key === "Escape" && this.chosen) this.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  move(step) {
    const last = this.rows.length - 1;
    if (last < 0) return;
    let at = Math.min(last, Math.max(0, this.active + step));
    // Headings of phases, and places where only the other wire has a packet, are no stops.
    const way = Math.sign(step);
    const stop = (i) => !Array.isArray(this.rows) || this.rows[i]?.cells?.[this.column];
    let seek = Math.abs(step) === Infinity ? -way : way;
    for (let turns = 0; turns < 2 && !stop(at); turns += 1, seek = -seek) {
      while (at + seek >= 0 && at + seek <= last && !stop(at)) at += seek;
    }
    this.active = at;
    this.list.reveal(at);
    this.follow();
  }

  // As in Wireshark: once a packet is open, the arrows open the next one. Not at each step of a held key.
  follow() {
    this.point();
    clearTimeout(this.soon);
    if (this.chosen) this.soon = setTimeout(() => this.choose(false), 60);
  }
}
