// Follow a stream: what both sides sent, in two colours.

import { api } from "./api.js";
import { button, fill, h, visible } from "./dom.js";
import { characters, fromHex } from "./hex.js";
import { failure, t, term } from "./i18n.js";

const PIECES = 200;

/** `path` is the capture's; `show(frame)` opens a frame, `only(stream)` leaves the packets of others out. */
export function streamView({ path, show, only }) {
  const element = h("section.stack");
  let following = null;
  let keys = false;

  async function more(box, from) {
    const got = await api("GET", `${path}/stream/${following}?keys=${keys ? 1 : 0}&from=${from}&count=${PIECES}`);
    box.append(...got.pieces.map(piece));
    const next = from + got.pieces.length;
    if (got.pieces.length && next < got.total_pieces) {
      const rest = button(t.more(got.total_pieces - next), () => {
        rest.remove();
        more(box, next).catch((error) => box.append(failure(error)));
      });
      box.append(rest);
    }
    return got;
  }

  function piece({ direction, frame, bytes: text, decrypted }) {
    const bytes = fromHex(text);
    return h(`div.piece.${direction}`, null,
      h("p.quiet", null, direction === "out" ? "→ " : "← ", t.directions[direction], " · ", button(`${t.frame} ${frame}`, () => show(frame), null, "link"),
        ` · ${t.bytes(bytes.length)}`, decrypted && [" · ", term("decrypted", t.levels.decrypted)]),
      h("pre", null, asText(bytes)));
  }

  async function follow(stream, withKeys) {
    following = stream;
    keys = withKeys;
    const box = h("div.pieces", { tabindex: 0, role: "region", "aria-label": t.followStream(stream) });
    try {
      const { client, server } = await more(box, 0);
      fill(element, h("header.row", null, h("h2", null, t.followStream(stream)), h("span.quiet", null, visible(client), " → ", visible(server)),
        button(t.onlyThis, () => only(stream), null, "link"), button("×", close, { "aria-label": t.close }, "close")), box);
    } catch (error) { fill(element, failure(error)); }
  }

  function close() {
    following = null;
    element.replaceChildren();
  }

  return { element, follow, again: (withKeys) => following !== null && follow(following, withKeys) };
}

// Bytes as text: line ends stay, what is no text is a dot. In ciphertext, characters of several bytes are chance.
function asText(bytes) {
  const controls = bytes.filter((byte) => byte === 0x7f || byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13).length;
  const texts = characters(bytes, () => controls < bytes.length / 50);
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at] === 10) texts[at] = "\n";
    else if (bytes[at] === 13) texts[at] = bytes[at + 1] === 10 ? "" : ".";
    else if (bytes[at] === 9) texts[at] = "\t";
  }
  return texts.join("");
}
