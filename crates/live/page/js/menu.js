// The user's conversations: continue one, or delete it.

import { api } from "./api.js";
import { button, fill, h } from "./dom.js";
import { failure, t } from "./i18n.js";
import { address } from "./route.js";

/** `over()` is the chosen scheme, `current()` the conversation that is shown; `deleted()` is called if that one is gone. */
export function conversationMenu({ user, over, current, deleted }) {
  const element = h("details.menu", {
    ontoggle: () => { if (element.open) list(); },
    onkeydown: (event) => { if (event.key === "Escape") { element.open = false; element.querySelector("summary").focus(); } },
    onfocusout: (event) => { if (event.relatedTarget && !element.contains(event.relatedTarget)) element.open = false; },
  });

  function label() {
    fill(element, h("summary", null, t.conversation, " ", h("b", null, current()?.slice(0, 8) ?? t.isNew)), h("div.menu-body"));
  }

  const query = (more = {}) => {
    const asked = { user, ...more };
    if (over() === "https") asked.scheme = "https";
    return new URLSearchParams(asked);
  };

  // The list crosses the wire like anything else, so it is fetched only when it is opened.
  async function list(cursor = "") {
    const body = element.querySelector(".menu-body");
    if (!cursor) fill(body, h("p.quiet", null, t.crossesToo));
    try {
      const page = await api("GET", `/api/conversations?${query(cursor ? { cursor } : {})}`);
      if (!cursor && !page.conversations.length) body.append(h("p", null, t.noConversations));
      body.append(h("ul", null, page.conversations.map(row)));
      if (!page.nextCursor) return;
      const more = button(t.older, () => { more.remove(); list(page.nextCursor); });
      body.append(more);
    } catch (error) { body.append(failure(error)); }
  }

  function row({ conversationId: id, createdAt, turns }) {
    const made = h("li", null,
      button([new Date(createdAt).toLocaleString(document.documentElement.lang), " ", h("span.quiet", null, t.turns(turns))], () => {
        element.open = false;
        location.hash = address("conversation", { user, conversation: id, over: over() === "http" ? null : over() });
      }, { "aria-current": id === current() ? "true" : null }, "row-button"),
      button("×", async () => {
        try {
          await api("DELETE", `/api/conversation/${id}?${query()}`);
          made.remove();
          if (id === current()) deleted();
        } catch (error) { made.after(failure(error)); }
      }, { "aria-label": t.delete }, "close"));
    return made;
  }

  return { element, label };
}
