// The two experiments: run them, see messages arrive, then the verdicts and the report.

import { api, link, on } from "./api.js";
import { button, fill, h, number, say, table, visible } from "./dom.js";
import { failure, t } from "./i18n.js";
import { capture, conclusion, controls, isolation } from "./result.js";

export function experiment(main) {
  let run = null;
  const known = new Set();
  const problem = h("div");
  const choice = (value) => h("label", null,
    h("input", { type: "radio", name: "experiment", value, checked: value === "lab", onchange: () => { count.parentElement.hidden = value !== "lab"; } }),
    h("span", null, t.experiments[value]));
  const reports = (lang) => h("span", null, lang === "en" ? "English " : "한국어 ", run.reports.map((kind) => [
    h("a", { href: link(`/api/experiment/report.${kind}?lang=${lang}`), target: "_blank", rel: "noopener", hreflang: lang, download: kind !== "html" },
      kind.toUpperCase()), " "]));
  const count = h("input", { type: "number", min: 1, max: 10_000, placeholder: "12", id: "count" });
  const startButton = button(t.run, () => start(), null, "button.primary");
  const stopButton = button(t.cancel, () => act("DELETE"), { hidden: true });
  const phase = h("div");
  const result = h("div.stack");
  const arrived = h("details.log", { open: true });
  const log = h("details.log", null, h("summary", null, t.log), h("pre", { tabindex: 0 }));
  fill(main, h("div.page", null, h("h1", null, t.view.experiment), h("p.lead", null, t.experimentLead),
    h("div.bar-form", null, h("fieldset.switch", null, h("legend.sr", null, t.view.experiment), ["lab", "isolation"].map(choice)),
      h("label", null, t.calls, " ", count), startButton, stopButton), problem, phase, result, arrived, log));

  async function act(method, data) {
    problem.replaceChildren();
    try {
      const answer = await api(method, "/api/experiment", data);
      if (answer) show(answer);
    } catch (error) { fill(problem, failure(error)); }
  }

  const start = () => act("POST", {
    experiments: main.querySelector("[name=experiment]:checked").value === "lab" ? ["http", "https"] : ["isolation"],
    count: count.value ? Number(count.value) : null,
  });

  function show(next) {
    const before = run;
    run = next;
    const running = run?.state === "running";
    startButton.disabled = running;
    stopButton.hidden = !running;
    arrived.hidden = !run?.messages.length;
    log.hidden = !run?.log.length;
    if (!run) { fill(phase, h("div.teach", null, h("p", null, t.experimentEmpty))); return; }
    if (before?.state === "running" && !running) say(run.conclusion ? t.conclusions[run.conclusion] : t.runStates[run.state]);
    fill(phase, h("p", null, h("strong", null, t.runStates[run.state]), " ", running && visible(run.phase), " ",
      Object.entries(run.frames).map(([name, frames]) => h("span.quiet", null, `${visible(name)}: ${t.frames(frames)} `))));
    log.querySelector("pre").textContent = run.log.slice(-400).map((line) => visible(line)).join("\n");
    if (before?.id !== run.id) { arrived.replaceChildren(); known.clear(); }
    arrive();
    // What is there already is not made again: one may be reading it.
    const stamp = JSON.stringify([run.id, run.state, !!run.exposure, run.reports, run.why]);
    if (result.dataset.stamp === stamp) return;
    if (run.exposure && !result.querySelector(".banner")) arrived.open = false;
    result.dataset.stamp = stamp;
    fill(result, (run.state === "failed" || run.why) && failure({ code: "", message: visible(run.why ?? t.runStates.failed), remedy: run.remedy }),
      run.exposure && conclusion(run.exposure),
      run.reports.length > 0 && h("p.reports", null, h("strong", null, t.report), ["en", "ko"].map(reports)),
      run.exposure && [h("div.pair", null, run.exposure.captures.map((of) => capture(of))),
        run.exposure.captures.length > 0 && controls(run.exposure.captures), run.exposure.isolation.map(isolation)]);
  }

  // New messages go above those that are there.
  function arrive() {
    if (!run.messages.length) return;
    if (!arrived.children.length) {
      const head = [t.capture, t.frame, t.columns.who, t.columns.what, t.columns.bytes, t.whoReads];
      arrived.append(h("summary", null, t.messagesAsTheyComplete), table(t.messagesAsTheyComplete, head, [], [1, 4]));
    }
    const body = arrived.querySelector("tbody");
    for (const of of run.messages) {
      const key = JSON.stringify(of);
      if (known.has(key)) continue;
      known.add(key);
      body.prepend(h("tr", null, h("td", null, visible(of.capture)), h("td.n", null, number(of.frame)),
        h("td", { "aria-label": t.directions[of.direction] }, of.direction === "out" ? "→" : "←"),
        h("td", null, visible(of.what)), h("td.n", null, number(of.bytes)),
        h("td", null, h(`span.badge.${of.needs_keys ? "sealed" : "readable"}`, null, of.needs_keys ? t.needsKeys : t.anyone))));
      if (body.children.length > 400) body.lastChild.remove();
    }
  }

  act("GET").then(() => { if (!run) show(null); });
  const ends = [on("run", show), on("resync", () => act("GET"))];
  return { end: () => ends.forEach((end) => end()) };
}
