// What was said on the left, what crossed the wire on the right.

import { api, on } from "./api.js";
import { boxesOf } from "./boxes.js";
import { button, fill, h, long, say, short } from "./dom.js";
import { FrameView, filter } from "./frame.js";
import { headline } from "./headline.js";
import { failure, kept, t, term } from "./i18n.js";
import { conversationMenu } from "./menu.js";
import { PacketList, align } from "./packets.js";
import { address, note, read } from "./route.js";
import { bubble, describeBox, exchangeBlock } from "./talk.js";

// As many exchanges as the server keeps; the oldest are forgotten.
const MOST = 200;
const SCHEMES = ["http", "https", "both"];
// Exchanges of this visit that belong to no conversation yet, or to none: calls, lists. They outlive a look at another view.
const session = new Set();
let sessionOf = "";

export function conversation(main, shared) {
  const exchanges = new Map();  // `listed` ones lack their packets and strings
  const blocks = new Map();
  const { user } = shared;
  let open = read();
  let scheme = SCHEMES.includes(open.over) ? open.over : "http";
  const own = `${user} ${open.conversation ?? ""}`;
  if (own !== sessionOf) session.clear();
  sessionOf = own;
  let keys = open.keys === "1";
  let earlier = [];
  let boxes = [];
  let selected = { exchange: Number(open.exchange) || null, frame: Number(open.frame) || null, at: open.at ?? null, string: null };

  // --- The parts of the page.
  const heads = [headline(), headline()];
  const talk = h("div.talk", { role: "group", "aria-labelledby": "said-title", tabindex: 0 });
  const chip = button("", () => { talk.scrollTop = talk.scrollHeight; chip.hidden = true; }, { hidden: true }, "chip");
  const message = h("textarea", {
    id: "message", rows: 2, placeholder: t.typeAMessage, "aria-label": t.typeAMessage,
    onkeydown: (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); } },
  });
  const sendButton = button(t.send, () => send(), null, "button.primary");
  const problem = h("div");
  const streamed = h("input", { type: "checkbox", id: "stream", onchange: () => note({ stream: streamed.checked ? 1 : null }) });
  streamed.checked = open.stream === "1";
  const form = h("div.compose", null, problem, h("div.row", null, message, sendButton), h("label", null, streamed, " ", t.streamTheAnswer));
  const list = new PacketList({
    label: t.whatCrossed,
    open: (packet, column, enter) => choose({ exchange: packet.of, frame: packet.frame, at: null, string: null }, { focus: enter }),
    leave: () => choose({ ...selected, frame: null, at: null, string: null }),
  });
  const frame = new FrameView({
    load: (number_, withKeys) => api("GET", `/api/exchange/${selected.exchange}/frame/${number_}?keys=${withKeys ? 1 : 0}`),
    selected: ({ at, string, quiet }) => {
      selected = { ...selected, at, string: string ?? (quiet ? selected.string : null) };
      note({ at });
      light();
    },
    leave: () => { list.leave(); list.box.focus({ preventScroll: true }); },
    go: (number_, start, string) => choose({ ...selected, frame: number_, at: String(start), string }),
    wantKeys: () => setKeys(true),
  });
  const keySwitch = h("input", { type: "checkbox", id: "keys", "aria-label": t.withKeys, onchange: () => setKeys(keySwitch.checked) });
  keySwitch.checked = keys;
  const wireBody = h("div.wire-body");
  const wireNote = h("div");
  const wholeFilter = h("span.quiet");
  const who = h("input", { id: "user", value: user, maxlength: 320, spellcheck: "false", autocomplete: "off", autocapitalize: "none", list: "users",
    onchange: () => { if (who.value.trim()) { location.hash = address("conversation", { user: who.value.trim(), over: scheme }); } } });
  const menu = conversationMenu({ user, over: () => scheme, current: () => open.conversation, deleted: () => start() });

  fill(main, h("div.conversation", null,
    h("div.strip", null,
      h("fieldset.switch", null, h("legend.sr", null, t.over), SCHEMES.map((name) => h("label", null,
        h("input", { type: "radio", name: "scheme", value: name, checked: name === scheme, onchange: () => setScheme(name) }),
        h("span", null, name === "both" ? t.both : name.toUpperCase())))),
      h("div.heads", { id: "heads" }, heads.map((head) => head.element))),
    h("div.panes", null,
      h("section.left", { "aria-labelledby": "said-title" },
        h("header", null, h("h1.sr", null, t.view.conversation), h("h2.sr", { id: "said-title" }, t.whatWasSaid),
          h("label", null, t.user, " ", who), h("datalist", { id: "users" }, usersBefore().map((name) => h("option", { value: name }))),
          menu.element, h("a.button", { href: address("conversation", { user, over: scheme }), onclick: (event) => { event.preventDefault(); start(); } }, t.newConversation)),
        h("div.talk-box", null, talk, chip), form),
      h("section.right", { "aria-labelledby": "wire-title" },
        h("header", null, h("h2", { id: "wire-title" }, t.whatCrossed), wholeFilter,
          h("span.nowrap", null, h("label.keys", null, keySwitch, " ", t.withThe, " "), term("key log"))),
        wireNote, wireBody))));
  menu.label();

  // --- Which exchanges are shown.
  const shown = () => [...exchanges.values()].filter((exchange) => session.has(exchange.id)
    || (open.conversation && exchange.conversation === open.conversation));
  const current = () => exchanges.get(selected.exchange) ?? null;
  const pairOf = (exchange) => exchange?.pair == null ? [exchange]
    : [...exchanges.values()].filter((other) => other.pair === exchange.pair).sort((a, b) => a.scheme.localeCompare(b.scheme));

  function receive(exchange) {
    if (exchange.user !== user) return;
    const known = exchanges.get(exchange.id);
    exchanges.set(exchange.id, exchange);
    forget();
    if (!["say", "call"].includes(exchange.kind) && exchange.state === "sending") session.add(exchange.id);
    // A new conversation gets its name with the first answer.
    if (!open.conversation && exchange.conversation && exchange.kind === "say" && session.has(exchange.id)) {
      open.conversation = exchange.conversation;
      sessionOf = `${user} ${exchange.conversation}`;
      note({ conversation: exchange.conversation });
      menu.label();
    }
    if (!shown().some((of) => of.id === exchange.id)) return;
    drawTalk(exchange);
    if (pairOf(current()).some((of) => of?.id === exchange.id)) drawWire();
    const { wire } = exchange;
    if (wire.state === "complete" && known && known.wire.state !== "complete") {
      say(exchange.error ? exchange.error.message : t.answered(exchange.wire.readable, exchange.wire.total));
    }
  }

  function forget() {
    const [oldest] = exchanges.keys();
    if (exchanges.size <= MOST || oldest === selected.exchange) return;
    exchanges.delete(oldest);
    session.delete(oldest);
    blocks.get(oldest)?.remove();
    blocks.delete(oldest);
  }

  // --- The left side.
  function drawTalk(exchange) {
    // What looks the same stays, with the focus and the selection that may be in it.
    const { wire } = exchange;
    const stamp = JSON.stringify([exchange.state, exchange.status, exchange.answer, wire.strings?.length, wire.readable, wire.packets?.length]);
    if (blocks.get(exchange.id)?.dataset.stamp === stamp) return;
    const followed = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
    const before = blocks.get(exchange.id);
    const block = exchangeBlock(exchange, {
      second: exchange.pair != null && [...exchanges.values()].some((of) => of.pair === exchange.pair && of.id < exchange.id),
      open: before?.querySelector("details")?.open ?? false,
      pick: () => choose({ exchange: exchange.id, frame: null, at: null, string: null }),
      pickString: (string) => pickString(exchange, string),
    });
    block.dataset.stamp = stamp;
    talk.querySelector(".empty")?.remove();
    if (before) before.replaceWith(block);
    else talk.insertBefore(block, [...talk.children].find((of) => Number(of.dataset.id) > exchange.id) ?? null);
    blocks.set(exchange.id, block);
    drawBoxes();
    if (followed) talk.scrollTop = talk.scrollHeight;
    else if (!before) { chip.textContent = t.newMessages; chip.hidden = false; }
    light();
  }

  function drawBoxes() {
    const found = boxesOf([...exchanges.values()], boxes);
    for (const [id, block] of blocks) describeBox(block, found.get(id));
  }

  function pickString(exchange, string) {
    const places = string.places ?? [];
    // A second click goes to the next place.
    const here = string.id === selected.string && exchange.id === selected.exchange
      ? places.findIndex((place) => place.frame === selected.frame && String(place.start) === selected.at) : -1;
    const place = places[(here + 1) % places.length];
    choose({ exchange: exchange.id, frame: place?.frame ?? null, at: place ? String(place.start) : null, string: string.id });
    // Where the wire is below the conversation, what was asked for is brought into view.
    if (matchMedia("(max-width: 56.25rem)").matches) frame.element.scrollIntoView({ block: "start" });
  }

  // --- The right side.
  function drawWire() {
    const exchange = current();
    const wires = exchange ? pairOf(exchange) : [];
    for (const [at, head] of heads.entries()) {
      head.element.hidden = at > 0 && wires.length < 2;
      head.set(wires[at] ?? null, keys);
    }
    if (!exchange) {
      fill(wireBody, teach());
      wireNote.replaceChildren();
      wholeFilter.replaceChildren();
      delete wholeFilter.dataset.of;
      return;
    }
    if (!list.element.isConnected) fill(wireBody, list.element, frame.element);
    const streams = wires.map((of) => of.wire.stream).filter((of) => of != null).map((of) => `tcp.stream == ${of}`).join(" || ");
    if (wholeFilter.dataset.of !== streams) fill(wholeFilter, streams && filter(streams));
    wholeFilter.dataset.of = streams;
    const broken = wires.filter((of) => of.wire.state === "unavailable");
    fill(wireNote, broken.map(({ wire }) => failure({ code: "", message: wire.why ?? t.wireUnavailable, remedy: wire.remedy }, "div.failure")));
    if (!broken.length && wires.every((of) => of.wire.state === "waiting")) fill(wireNote, h("p.quiet.later", null, t.waitingForPackets));
    list.element.hidden = broken.length > 0 && wires.every((of) => !of.wire.packets?.length);
    const rows = align(wires.map((of) => (of.wire.packets ?? []).map((packet) => ({ ...packet, of: of.id }))));
    list.set(rows, { columns: wires.length, keys });
  }

  const teach = () => h("div.empty", null, h("h3", null, t.emptyTitle), h("p", null, t.emptyText),
    button(t.sendCall, () => send("call"), null, "button.primary"), shared.state?.examples?.call && h("pre.example", null, short(shared.state.examples.call, 400)),
    h("p.quiet", null, t.emptyKeys));

  function setKeys(value) {
    keys = value;
    keySwitch.checked = value;
    note({ keys: value ? 1 : null });
    drawWire();
    if (selected.frame) showFrame();
  }

  function setScheme(name) {
    scheme = name;
    note({ over: name === "http" ? null : name });
  }

  function choose(next, { focus = false } = {}) {
    const other = next.exchange !== selected.exchange;
    selected = next;
    note({ exchange: next.exchange, frame: next.frame, at: next.at });
    if (other && (!next.exchange || exchanges.has(next.exchange))) { drawWire(); whole(next.exchange); }
    showFrame(focus);
    light();
  }

  function showFrame(focus = false) {
    const exchange = current();
    const packet = exchange?.wire.packets?.find((of) => of.frame === selected.frame);
    if (!selected.frame || !exchange) { frame.close(); list.mark(null); return; }
    frame.show({
      packet, frame: selected.frame, keys, strings: exchange.wire.strings ?? [], at: selected.at ?? undefined, string: selected.string ?? undefined, focus,
    });
    // After that, because the frame takes room from the list.
    list.mark({ frame: selected.frame, of: selected.exchange });
  }

  // The selection is one: whatever is selected is lit on the left as well.
  function light() {
    for (const [id, block] of blocks) {
      const chosen = id === selected.exchange;
      block.classList.toggle("chosen", chosen || pairOf(current()).some((of) => of?.id === id));
      block.querySelector(".pick")?.setAttribute("aria-pressed", String(chosen));
      for (const mark of block.querySelectorAll("[data-string]")) {
        const lit = chosen && selected.string !== null && Number(mark.dataset.string) === selected.string;
        mark.classList.toggle("lit", lit);
        mark.setAttribute("aria-pressed", String(lit));
      }
    }
  }

  // --- What the user does.
  async function send(call) {
    const text = message.value;
    if (call !== "call" && !text.trim()) return;
    problem.replaceChildren();
    sendButton.disabled = true;
    try {
      const { exchanges: ids } = call === "call" ? await api("POST", "/api/call", { user, scheme })
        : await api("POST", "/api/say", { user, scheme, message: text, conversation: open.conversation ?? null, stream: streamed.checked || undefined });
      if (call !== "call") message.value = "";
      for (const id of ids) session.add(id);
      talk.scrollTop = talk.scrollHeight;
      // The events can overtake the answer.
      for (const id of ids) if (exchanges.has(id)) drawTalk(exchanges.get(id));
      choose({ exchange: ids[0], frame: null, at: null, string: null });
      talk.scrollTop = talk.scrollHeight;
      for (const id of ids) if (!exchanges.has(id)) whole(id);
    } catch (error) {
      fill(problem, failure(error));
    }
    sendButton.disabled = false;
    message.focus();
  }

  async function whole(id) {
    const known = exchanges.get(id);
    if (!id || known && !known.listed) return;
    try {
      receive(await api("GET", `/api/exchange/${id}`));
      if (selected.exchange === id) { drawWire(); showFrame(); }
    } catch (error) {
      if (selected.exchange === id) fill(wireNote, failure(error));
    }
  }

  function start() {
    open = { ...open, conversation: undefined };
    session.clear();
    sessionOf = `${user} `;
    earlier = [];
    note({ conversation: null });
    choose({ exchange: null, frame: null, at: null, string: null });
    menu.label();
    redraw();
    message.focus();
  }

  function redraw() {
    blocks.clear();
    fill(talk, earlier.map(({ role, text }) => bubble(role === "user" ? "you" : "box", role === "user" ? t.you : t.box, long(text, 1200))));
    const all = shown().sort((a, b) => a.id - b.id);
    for (const exchange of all) drawTalk(exchange);
    if (!talk.children.length) talk.append(h("p.empty", null, t.talkEmpty));
    drawWire();
    talk.scrollTop = talk.scrollHeight;
  }

  async function begin() {
    problem.replaceChildren();
    try {
      const known = await api("GET", `/api/exchanges?user=${encodeURIComponent(user)}`);
      for (const exchange of known.exchanges) if (!exchanges.has(exchange.id)) exchanges.set(exchange.id, { ...exchange, listed: true });
      const chosen = exchanges.get(selected.exchange);
      if (chosen) {
        session.add(chosen.id);
        // A call belongs to no conversation: the others that were made are shown with it.
        if (!chosen.conversation) for (const of of exchanges.values()) if (!of.conversation) session.add(of.id);
        for (const of of pairOf(chosen)) { session.add(of.id); await whole(of.id); }
      }
      if (open.conversation) {
        const ours = shown().filter((of) => of.kind === "say" && of.conversation === open.conversation && of.state === "answered").length;
        // What was said before this server ran has no packets. Asking for it crosses the wire, so only when needed.
        if (!ours) {
          const { messages } = await api("GET", `/api/conversation/${encodeURIComponent(open.conversation)}?user=${encodeURIComponent(user)}${scheme === "https" ? "&scheme=https" : ""}`);
          earlier = messages;
        }
        if (!chosen && ours) selected.exchange = shown().at(-1).id;
      }
    } catch (error) {
      fill(problem, failure(error));
    }
    redraw();
    for (const of of shown()) whole(of.id);
    if (selected.frame) showFrame();
    await fetchBoxes();
  }

  async function fetchBoxes() {
    try {
      boxes = (await api("GET", `/api/boxes?user=${encodeURIComponent(user)}`)).boxes;
      drawBoxes();
    } catch {
      // The view of the sandboxes says what is wrong with them.
    }
  }

  // Some events were missed: what changed is fetched, what did not stays as it is.
  async function again() {
    try {
      const { exchanges: now } = await api("GET", `/api/exchanges?user=${encodeURIComponent(user)}`);
      for (const next of now) {
        const known = exchanges.get(next.id);
        if (!known) exchanges.set(next.id, { ...next, listed: true });
        else if (known.state !== next.state || known.wire.state !== next.wire.state || known.wire.bytes !== next.wire.bytes) {
          receive(await api("GET", `/api/exchange/${next.id}`));
        }
      }
      for (const of of shown()) await whole(of.id);
      await fetchBoxes();
    } catch (error) {
      fill(problem, failure(error));
    }
  }

  function usersBefore() {
    const names = new Set([user, ...(kept.get("users") ?? "").split("\n").filter(Boolean)]);
    kept.set("users", [...names].slice(0, 8).join("\n"));
    return [...names];
  }

  const ends = [on("exchange", receive), on("resync", again), on("box", (box) => { if (box.user === user) { boxes.push(box); drawBoxes(); } }), on("state", () => { if (!current()) drawWire(); })];
  drawWire();
  begin();

  return {
    // The address changed by a link or by the buttons of the browser.
    update(next) {
      if (next.user && next.user !== user || (next.conversation ?? null) !== (open.conversation ?? null)) return false;
      open = next;
      const same = { exchange: Number(next.exchange) || null, frame: Number(next.frame) || null, at: next.at ?? null, string: null };
      if (keys !== (next.keys === "1")) setKeys(next.keys === "1");
      choose(same);
      return true;
    },
    focus: () => message.focus(),
    end: () => { for (const end of ends) end(); },
  };
}
