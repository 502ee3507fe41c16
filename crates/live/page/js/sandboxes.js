// What ran in which sandbox, under which limits, and what left it.

import { api, on } from "./api.js";
import { inWords } from "./boxes.js";
import { button, fill, h, milliseconds, number, table, visible } from "./dom.js";
import { failure, t } from "./i18n.js";
import { isolation } from "./result.js";

const IN_SHORT = ["memory_bytes", "processes", "cpus", "wall_ms", "network"];

const nowrap = (text) => h("span.nowrap", null, text);

const inShort = (limits) => IN_SHORT.map((name) => limits.find((limit) => limit.name === name)).filter(Boolean).map(inWords).join(" · ")
  || t.moreLimits(limits.length);

export function sandboxes(main, shared) {
  let boxes = [];
  const list = h("div");
  const phase = h("div");
  const result = h("div.stack");
  const tryButton = button(t.tryEveryWayOut, () => attempt(), null, "button.primary");
  fill(main, h("div.page", null, h("h1", null, t.view.sandboxes), h("p.lead", null, t.sandboxLead), list,
    h("section.stack", null, h("h2", null, t.doesAnythingGetOut), h("p.lead", null, t.attemptLead), h("p", null, tryButton), phase, result)));

  function draw() {
    if (!boxes.length) { fill(list, h("div.teach", null, h("p", null, t.noBoxes(shared.user)))); return; }
    const head = [t.started, t.ranFor, t.end, t.network, t.limits, t.output, t.framesLeft];
    fill(list, table(t.boxesOf(shared.user), head, boxes.toReversed().slice(0, 200).map((of) => [
      h("span", { title: visible(of.name) }, nowrap(new Date(of.started_unix_ms).toLocaleTimeString(document.documentElement.lang))), nowrap(`${milliseconds(of.took_ms)} ms`), nowrap(visible(of.exit)),
      of.network === "none" ? h("span.badge.sealed", null, t.none) : visible(of.network),
      h("details", null, h("summary", null, inShort(of.limits)), h("ul.limits", null, of.limits.map((limit) =>
        h("li", null, h("b", null, inWords(limit)), " ", h("span.quiet", null, visible(limit.mechanism)))))),
      nowrap(`${number(of.stdout_bytes)} B${of.stderr_bytes ? ` + ${number(of.stderr_bytes)} B` : ""}`),
      of.frames_left === null ? h("span.quiet", null, visible(of.why ?? "–")) : h(`span.badge.${of.frames_left ? "failed" : "sealed"}`, null, number(of.frames_left))])));
  }

  async function attempt() {
    try { show(await api("POST", "/api/experiment", { experiments: ["isolation"], count: null })); } catch (error) { fill(result, failure(error)); }
  }

  function show(run) {
    if (!run?.experiments.includes("isolation")) return;
    tryButton.disabled = run.state === "running";
    fill(phase, run.state === "running" && h("p", null, h("strong", null, t.runStates.running), " ", visible(run.phase)));
    const stamp = JSON.stringify([run.id, run.state, !!run.exposure]);
    if (result.dataset.stamp === stamp) return;
    result.dataset.stamp = stamp;
    fill(result, run.state === "failed" && failure({ code: "", message: visible(run.why ?? t.runStates.failed), remedy: run.remedy }),
      run.exposure?.isolation[0] && isolation(run.exposure.isolation[0]));
  }

  async function begin() {
    try {
      const now = (await api("GET", `/api/boxes?user=${encodeURIComponent(shared.user)}`)).boxes;
      if (!list.children.length || now.at(-1)?.name !== boxes.at(-1)?.name) { boxes = now; draw(); }
      show(await api("GET", "/api/experiment"));
    } catch (error) { fill(list, failure(error)); }
  }

  begin();
  const ends = [on("run", show), on("resync", begin), on("box", (box) => { if (box.user === shared.user) { boxes.push(box); draw(); } })];
  return { end: () => ends.forEach((end) => end()) };
}
