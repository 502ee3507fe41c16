// The number above the wire: how many of the strings anyone can read.

import { fill, h, milliseconds, number, visible } from "./dom.js";
import { t, term } from "./i18n.js";

/** The headline of one wire, as an element that is renewed by `set(exchange, keys)`. */
export function headline() {
  const element = h("div.headline");
  return {
    element,
    set(exchange, keys) {
      const wire = exchange?.wire;
      const sealed = exchange?.scheme === "https";
      // That nothing is readable can be said when all frames are there and every string was found under the keys.
      const none = wire?.state === "complete" && !wire.why && wire.total > 0 && wire.with_keys === wire.total && !wire.readable;
      element.className = `headline ${!wire ? "" : wire.state === "unavailable" ? "failed" : wire.readable > 0 ? "readable" : none ? "sealed" : ""}`;
      if (!wire || wire.state === "unavailable") {
        fill(element, h("p.label", null, exchange && [h("strong", null, exchange.scheme.toUpperCase()), " "], h("span", null, t.readableByAnyone)), h("p.big", null, h("b", null, "–")),
          h("p.still", null, exchange ? t.wireUnavailable : t.nothingSent));
        return;
      }
      const bar = h("span.bar", { "aria-hidden": "true" }, h("span.fill"));
      bar.firstChild.style.setProperty("inline-size", `${wire.total ? 100 * wire.readable / wire.total : 0}%`);
      fill(element,
        h("p.label", null, h("strong", null, exchange.scheme.toUpperCase()), " ", h("span", null, t.readableByAnyone)),
        h("p.big", null, h("b", null, number(wire.readable)), " ", t.ofStrings(number(wire.total)), " ",
          (wire.readable > 0 || none) && h(`span.badge.${wire.readable ? "readable" : "sealed"}`, null, wire.readable ? t.exposed : t.noneReadable)),
        bar,
        h("p.still", null, keys && wire.with_keys !== wire.readable && [h("strong", null, t.withKeysCount(number(wire.with_keys), number(wire.total))), " · "],
          sealed || wire.tls ? still(exchange) : [t.bytes(wire.bytes), " · ", t.packets(wire.packets?.length ?? 0)]));
    },
  };
}

// What TLS does not hide stays in the same place.
function still({ wire, server }) {
  const times = wire.packets?.length ? `${milliseconds(wire.packets.at(-1).ms)} ms` : null;
  return [t.stillVisible, " ",
    wire.tls?.server_name && [term("SNI", t.serverName), " ", h("b", null, visible(wire.tls.server_name)), " · "],
    h("span.address", null, h("b", null, visible(server)), " · "),
    wire.tls?.version && [term("TLS", visible(wire.tls.version)), " · "],
    times && [t.times, " ", h("b", null, times), " · "],
    t.sizes, " ", h("b", null, t.bytes(wire.bytes)), ` (${t.packets(wire.packets?.length ?? 0)})`];
}
