// A walk through one capture: its verdict, packets, streams, messages and strings.

import { api, on } from "./api.js";
import { button, fill, h, number, say, size, table, visible } from "./dom.js";
import { FrameView } from "./frame.js";
import { failure, t, term } from "./i18n.js";
import { PacketList } from "./packets.js";
import { capture, controls, strings } from "./result.js";
import { address, note, read } from "./route.js";
import { streamView } from "./stream.js";

const PAGE = 500;
// Far pages are forgotten: a capture can have millions of frames.
const PAGES = 40;
const LEVELS = ["verbatim", "reassembled", "decoded", "decrypted", "absent"];

/** The words of a text. */
export const words = (text) => text.split(/[\s,]+/).filter(Boolean);

export function walk(main, id) {
  const path = `/api/captures/${id}`;
  let opened = null;
  let now = read();
  let drawn = false;
  let waiting = 0;
  const bar = h("progress", { "aria-label": t.captureStates.reading });
  const sofar = h("span.quiet");
  const body = h("div.stack");
  fill(main, h("div.page.wide", null, h("p", null, h("a", { href: address("captures") }, `← ${t.view.captures}`)), body));

  async function draw() {
    try {
      const result = await api("GET", path);
      opened = result.opened;
      if (opened.state === "done" && result.exposure) {
        drawn = true;
        fill(body, contents(path, id, opened, result.exposure, now, openIt));
      } else if (opened.state === "closed" || opened.state === "uploaded") await openIt();
      else progress();
    } catch (error) { fill(body, failure(error)); }
  }

  async function openIt({ secrets = false, scope = "" } = {}) {
    drawn = false;
    waiting = 0;
    await api("POST", `${path}/open`, { scope: words(scope), show_secrets: secrets });
    await draw();
  }

  function progress() {
    const head = h("h1", null, visible(opened.name));
    if (opened.state === "failed") {
      fill(body, head, failure({ code: "", message: visible(opened.why ?? t.captureStates.failed), remedy: opened.remedy ?? t.remedies.capture }));
    }
    if (opened.state !== "reading") return;
    bar.max = opened.bytes || 1;
    bar.value = opened.read_bytes;
    sofar.textContent = `${size(opened.read_bytes)} / ${size(opened.bytes)}`;
    if (waiting) return;
    // What is read within a moment needs no bar.
    waiting = setTimeout(() => { if (opened.state === "reading") fill(body, head, h("p.row", null, bar, sofar, button(t.cancel, cancel))); }, 200);
  }

  const cancel = () => api("DELETE", path).then(() => { location.hash = address("captures"); }, (error) => body.append(failure(error)));

  function changed(of) {
    if (of.id !== id || drawn) return;
    opened = of;
    if (of.state !== "done") { progress(); return; }
    draw();
    say(t.captureStates.done);
  }

  draw();
  const ends = [on("capture", changed), on("resync", () => { if (!drawn) draw(); })];
  return {
    update(next) {
      if (next.id !== id) return false;
      now = next;
      draw();
      return true;
    },
    end: () => ends.forEach((end) => end()),
  };
}

// Everything about an opened capture.
function contents(path, id, opened, exposure, now, openIt) {
  const of = exposure.captures[0];
  const tryOpen = (options) => openIt(options).catch((error) => trouble.replaceChildren(failure(error)));
  const trouble = h("div");
  const packets = packetsPart(path, id, opened, now, (withKeys) => stream.again(withKeys));
  const stream = streamView({ path, show: packets.show, only: packets.only });
  return [h("h1", null, visible(opened.name)), capture(of, t.result), exposure.errors.map((error) => failure({ code: "", message: visible(error) })), trouble,
    of.scope && scopeForm(of.scope, (scope) => tryOpen({ scope })), packets.element, stream.element,
    connections(of, (number_) => { stream.follow(number_, packets.keys()); stream.element.scrollIntoView({ block: "nearest" }); }),
    messages(of, packets.show), stringsPart(of, packets.show, () => tryOpen({ secrets: true })), of.strings.length > 0 && controls([of])];
}

// The same file once more, with another scope.
function scopeForm(scope, open) {
  const input = h("input", { id: "scope", placeholder: "*:443", size: 24, spellcheck: "false", value: scope.asked.join(" "), "aria-describedby": "scope-help" });
  return h("form.row", { onsubmit: (event) => { event.preventDefault(); open(input.value); } }, h("label", { for: "scope" }, t.scope), input,
    h("button.button", null, t.openAgain), h("span.quiet", { id: "scope-help" }, t.scopeHelp));
}

// The packet list, of which pages are fetched as they are scrolled to, and the chosen frame.
function packetsPart(path, id, opened, now, keysChanged) {
  const pages = new Map();
  let total = opened.frames ?? 0;
  let keys = now.keys === "1";
  let stream = null;
  const trouble = h("div");
  const filterNote = h("span.quiet");
  const rows = {
    get length() { return total; },
    last: opened.frames ?? 0,
    at(index) {
      const page = Math.floor(index / PAGE);
      if (!pages.has(page)) fetchPage(page);
      const packet = pages.get(page)?.[index - page * PAGE];
      return packet && { cells: [packet] };
    },
  };

  async function fetchPage(page) {
    const of = stream;
    pages.set(page, null);
    if (pages.size > PAGES) pages.delete(pages.keys().next().value);
    try {
      const got = await api("GET", `${path}/packets?from=${page * PAGE + 1}&count=${PAGE}${of === null ? "" : `&stream=${of}`}`);
      if (of !== stream) return;
      pages.set(page, got.packets.map((packet) => ({ ...packet, of: id })));
      total = got.total;
      list.set(rows, { keys });
    } catch (error) {
      pages.delete(page);
      fill(trouble, failure(error));
    }
  }

  const list = new PacketList({
    label: t.packetList, open: (packet, column, enter) => show(packet.frame, { packet, focus: enter }),
    leave: () => { list.mark(null); frame.close(); note({ frame: null, at: null }); },
  });
  list.element.classList.add("tall");
  const frame = new FrameView({
    load: (number_, withKeys) => api("GET", `${path}/frame/${number_}?keys=${withKeys ? 1 : 0}`), selected: ({ at }) => note({ at }),
    leave: () => { list.leave(); list.box.focus({ preventScroll: true }); }, go: (number_, at) => show(number_, { at }), wantKeys: () => setKeys(true),
  });

  function show(number_, { at, packet, focus } = {}) {
    note({ frame: number_, at });
    frame.show({ frame: number_, packet, keys, at, focus });
    list.mark({ frame: number_, of: id }, false);
    // Without a filter, row and frame number are the same.
    if (!packet && stream === null) list.active = number_ - 1;
    list.list.reveal(list.active);
    if (!packet) element.scrollIntoView({ block: "nearest" });
  }

  function setKeys(value) {
    keys = value;
    keySwitch.checked = value;
    note({ keys: value ? 1 : null });
    if (list.chosen) frame.show({ frame: list.chosen.frame, keys });
    keysChanged(keys);
  }

  function only(value) {
    stream = value;
    note({ stream: value });
    pages.clear();
    total = value === null ? opened.frames ?? 0 : 1;
    list.active = 0;
    list.set(rows, { keys });
    fill(filterNote, value !== null && [t.onlyStream(value), " ", button(t.showAll, () => only(null), null, "link")]);
  }

  const keySwitch = h("input", { type: "checkbox", "aria-label": t.withKeys, onchange: () => setKeys(keySwitch.checked) });
  keySwitch.checked = keys;
  const element = h("section.stack", null,
    h("header.row", null, h("h2", null, t.packetList), filterNote, h("span.nowrap", null, h("label.keys", null, keySwitch, " ", t.withThe, " "), term("key log"))), trouble,
    h("div.walker", null, list.element, frame.element));
  // The list needs its place on the page to know what is visible.
  requestAnimationFrame(() => {
    if (now.stream) only(now.stream);
    else list.set(rows, { keys });
    if (now.frame) show(Number(now.frame), { at: now.at });
  });
  return { element, show: (number_) => show(number_), only, keys: () => keys };
}

const frameLink = (frame, show) => button(number(frame), () => show(frame), null, "link");

function connections(of, follow) {
  const head = ["TCP", t.client, t.server, t.framesHead, t.columns.bytes, t.end, t.follow];
  return of.connections.length > 0 && table(t.connections(of.connections_total), head, of.connections.slice(0, 100).map((to) => [
    to.stream, h("code", null, visible(to.client)), h("code", null, visible(to.server)), number(to.frames), number(to.wire_bytes), t.ended[to.ended],
    button(t.follow, () => follow(to.stream), null, "link")]), [0, 3, 4]);
}

function messages(of, show) {
  const what = ({ method, target, status, layers }) => method ? `${method} ${target}` : status ?? (layers.includes("websocket") ? "WebSocket" : "–");
  const head = [t.frame, t.columns.what, t.type, t.columns.bytes, t.level];
  return of.http.length > 0 && table(t.messages(of.http_total), head, of.http.slice(0, 100).map((message) => [
    frameLink(message.first_frame ?? message.last_frame, show), visible(what(message)), visible(message.content_type ?? "–"), number(message.body_bytes),
    term(message.level, t.levels[message.level])]), [3]);
}

function stringsPart(of, show, secrets) {
  const all = of.strings.length ? of.strings : of.readable;
  const box = h("div");
  let limit = 50;
  const draw = () => {
    const some = all.filter((string) => !level.value || string.level === level.value);
    fill(box, strings(some.slice(0, limit), some.length, show),
      some.length > limit && button(t.more(some.length - limit), () => { limit *= 4; draw(); }));
  };
  const level = h("select", { onchange: draw }, ["", ...LEVELS].map((name) => h("option", { value: name }, name ? t.levels[name] : t.all)));
  const hidden = all.some((string) => string.value === null || string.value === "[hidden]");
  draw();
  return all.length > 0 && h("section.stack", null, h("header.row", null, h("h2", null, t.strings),
    of.strings.length > 0 && h("label", null, t.level, " ", level), hidden && button(t.showSecrets, secrets)), box);
}
