// Starts the page: the header, the views, what all views share.

import { api, listen, on } from "./api.js";
import { button, fill, h, visible } from "./dom.js";
import { failure, kept, language, setLanguage, t } from "./i18n.js";
import { address, read, visited } from "./route.js";

// Each is loaded when it is first shown.
const VIEWS = {
  conversation: () => import("./conversation.js"),
  experiment: () => import("./experiment.js"),
  sandboxes: () => import("./sandboxes.js"),
  captures: () => import("./captures.js"),
};
const THEMES = ["system", "light", "dark"];
const main = document.getElementById("main");
const shared = { user: kept.get("user") || "alice", state: null };
let view = null;
let shown = "";

function drawHeader() {
  const { view: here } = read();
  const theme = kept.get("theme") ?? "system";
  const names = Object.keys(VIEWS).filter((name) => shared.state?.mode !== "captures" || name === "captures");
  document.getElementById("skip").textContent = t.skip;
  fill(document.getElementById("top"), h("a.brand", { href: "#/" }, "plainsight"),
    h("nav", { "aria-label": t.views }, names.map((name) => h("a", {
      href: address(name), onclick: (event) => { event.currentTarget.href = visited.get(name) ?? address(name); },
      "aria-current": name === here ? "page" : null,
    }, t.view[name]))),
    h("div.choices", null,
      h("div", { role: "group", "aria-label": t.language }, ["en", "ko"].map((code) =>
        button(code === "en" ? "en" : "한국어", async () => {
          kept.set("language", code);
          await setLanguage(code);
          shown = "";
          await route();
          notices();
          document.querySelector(`#top [lang=${code}]`).focus();
        },
          { lang: code, "aria-pressed": String(code === language) }))),
      button(["◐ ", h("span", null, t.themes[theme])], () => {
        kept.set("theme", THEMES[(THEMES.indexOf(theme) + 1) % 3]);
        globalThis.applyTheme(kept.get("theme"));
        drawHeader();
        document.querySelector("#top .theme").focus();
      }, { "aria-label": `${t.theme}: ${t.themes[theme]}`, title: t.theme }, "theme")));
}

async function route() {
  const next = read();
  if (!VIEWS[next.view] || (shared.state?.mode === "captures" && next.view !== "captures")) {
    location.replace(address(shared.state?.mode === "captures" ? "captures" : "conversation", { user: shared.user }));
    return;
  }
  if (next.user && next.user !== shared.user) {
    shared.user = next.user;
    kept.set("user", next.user);
    listen(shared.user);
  }
  visited.set(next.view, location.hash);
  drawHeader();
  document.title = `${t.view[next.view]} · plainsight`;
  if (shown === next.view + language && view?.update?.(next)) return;
  view?.end?.();
  const moved = shown && !shown.startsWith(next.view);
  shown = next.view + language;
  document.body.dataset.view = next.view;
  main.replaceChildren();
  view = null;
  const loaded = await VIEWS[next.view]();
  // Meanwhile another one may have been asked for.
  if (read().view !== next.view || view) return;
  view = loaded[next.view](main, shared);
  // A new view begins at its start, for a screen reader as well.
  if (moved) main.focus({ preventScroll: true });
}

/** What does not work, and how to mend it: for as long as it does not. */
let linked = true;
let problem = null;
function notices() {
  const { state } = shared;
  const down = [...(state?.services ?? []), ...(state?.captures ?? [])].filter((of) => of.state === "down");
  fill(document.getElementById("notices"),
    problem ? failure(problem) : !linked && failure({ code: "unreachable", message: "" }),
    down.map((of) => {
      const what = of.service ? `${of.service} (${of.scheme.toUpperCase()})` : `${t.capture} ${of.name}`;
      return failure({ code: "", message: [t.down(what), of.why].filter(Boolean).join(" "), remedy: of.remedy });
    }),
    (state?.problems ?? []).map((of) => failure({ code: "", message: of.what, remedy: of.remedy })));
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && view?.focus) {
    event.preventDefault();
    view.focus();
  }
});
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });

const fetchState = async () => {
  try {
    shared.state = await api("GET", "/api/state");
    problem = null;
  } catch (error) {
    problem = error;
  }
};
on("state", (state) => { shared.state = state; notices(); });
on("link", (up) => { linked = up; notices(); });
on("resync", async () => { await fetchState(); notices(); });

await setLanguage(kept.get("language"));
drawHeader();
await fetchState();
shared.user = read().user || shared.user;
listen(shared.user);
notices();
addEventListener("hashchange", route);
route();
