// Captures: those of a folder, those that were opened, and the way in for new ones.

import { api, on, upload } from "./api.js";
import { walk, words } from "./capture.js";
import { button, fill, h, size, table, visible } from "./dom.js";
import { failure, t } from "./i18n.js";
import { verdict } from "./result.js";
import { address, read } from "./route.js";

const COMPANIONS = ["keys", "strings", "json", "journal"];

export function captures(main) {
  const { id } = read();
  return id ? walk(main, id) : list(main);
}

/** What a file is, by its name and its first bytes; the user can change it. */
async function guess(file) {
  const head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
  const magic = [...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (/^(a1b2c3d4|d4c3b2a1|a1b23c4d|4d3cb2a1|0a0d0d0a|1f8b|28b52ffd)/.test(magic)) return "capture";
  const text = new TextDecoder().decode(head);
  if (/^(#.*\n)*(CLIENT_|SERVER_|EXPORTER_|EARLY_)\w+ [0-9a-f]{64} /m.test(text) || /\.keys?$|keylog/i.test(file.name)) return "keys";
  if (/"schema":"plainsight.journal/.test(text)) return "journal";
  if (/\.(pcap|pcapng|cap)(\.gz|\.zst)?$/i.test(file.name)) return "capture";
  return /\.jsonl?$/i.test(file.name) || /^\s*[[{]/.test(text) ? "json" : /\.(txt|list)$/i.test(file.name) && !text.includes("\0") ? "strings" : "capture";
}

function list(main) {
  const known = new Map();
  let files = [];
  const problem = h("div");
  const chosen = h("div");
  const all = h("div");
  const input = h("input", { type: "file", multiple: true, class: "sr", id: "files", onchange: () => take(input.files) });
  const zone = h("div.drop", {
    ondragover: (event) => { event.preventDefault(); zone.classList.add("over"); }, ondragleave: () => zone.classList.remove("over"),
    ondrop: (event) => { event.preventDefault(); zone.classList.remove("over"); take(event.dataTransfer.files); },
  }, h("p", null, h("strong", null, t.dropHere)), h("p.quiet", null, t.dropWhat), input, h("label.button", { for: "files" }, t.chooseFiles),
  h("p.quiet", null, t.staysHere));
  fill(main, h("div.page", null, h("h1", null, t.view.captures), zone, problem, chosen, all));

  async function take(given) {
    problem.replaceChildren();
    files = await Promise.all([...given].map(async (file) => ({ file, kind: await guess(file) })));
    pick();
  }

  // What was chosen, before it is opened.
  function pick() {
    if (!files.length) { chosen.replaceChildren(); return; }
    const scope = h("input", { id: "scope", placeholder: "*:443", size: 24, spellcheck: "false", "aria-describedby": "scope-help" });
    const secrets = h("input", { type: "checkbox" });
    const go = button(t.open, () => sendAll(scope.value, secrets.checked), null, "button.primary");
    fill(chosen, h("form.picked", { onsubmit: (event) => { event.preventDefault(); go.click(); } },
      h("ul", null, files.map((of) => h("li", null, h("b", null, visible(of.file.name)), " ", h("span.quiet", null, size(of.file.size)), " ",
        h("select", { "aria-label": t.kindOf(visible(of.file.name)), onchange: (event) => { of.kind = event.target.value; } },
          ["capture", ...COMPANIONS].map((kind) => h("option", { value: kind, selected: kind === of.kind }, t.fileKinds[kind])))))),
      h("p", null, h("label", { for: "scope" }, t.scope), " ", scope, " ", h("span.quiet", { id: "scope-help" }, t.scopeHelp)),
      h("p", null, h("label", null, secrets, " ", t.showSecrets)),
      h("p.row", null, go, button(t.cancel, () => { files = []; pick(); }))));
  }

  async function sendAll(scope, secrets) {
    const main_ = files.find((of) => of.kind === "capture");
    if (!main_) { fill(problem, failure({ code: "", message: t.noCapture, remedy: t.noCaptureRemedy })); return; }
    let cancel = () => {};
    const bar = h("progress", { max: files.reduce((sum, of) => sum + of.file.size, 0), value: 0, "aria-label": t.sending });
    let before = 0;
    const send = (path, file) => {
      const going = upload(path, file, (sent) => { bar.value = before + sent; });
      cancel = going.cancel;
      return going.sent.finally(() => { before += file.size; });
    };
    // A small file is there before a bar would be seen.
    const soon = setTimeout(() => fill(chosen, h("p.row", null, bar, button(t.cancel, () => cancel()))), 200);
    try {
      const opened = await send(`/api/captures?name=${encodeURIComponent(main_.file.name)}`, main_.file);
      for (const of of files) {
        if (of !== main_ && of.kind !== "capture") await send(`/api/captures/${opened.id}/companion?kind=${of.kind}&name=${encodeURIComponent(of.file.name)}`, of.file);
      }
      await api("POST", `/api/captures/${opened.id}/open`, { scope: words(scope), show_secrets: secrets });
      location.hash = address(`captures/${opened.id}`);
    } catch (error) {
      if (error.code !== "cancelled") fill(problem, failure(error));
      files = [];
      pick();
    } finally {
      clearTimeout(soon);
    }
  }

  function remove(of) {
    api("DELETE", `/api/captures/${of.id}`).then(() => { known.delete(of.id); draw(); }, (error) => fill(problem, failure(error)));
  }

  const result = ({ summary, why }) => {
    if (!summary) return why ? visible(why) : "–";
    return summary.total ? [verdict(summary.verdict), " ", t.readableOf(summary.readable, summary.total)] : t.noVerdict;
  };

  function draw() {
    fill(all, known.size > 0 && table(t.openedCaptures, [t.file, t.size, t.state, t.result, t.delete], [...known.values()].map((of) => [
      h("a", { href: address(`captures/${of.id}`) }, visible(of.name)), size(of.bytes), t.captureStates[of.state], result(of),
      of.source === "upload" && button("×", () => remove(of), { "aria-label": `${t.delete}: ${visible(of.name)}` }, "close")])));
  }

  async function begin() {
    try {
      known.clear();
      for (const of of (await api("GET", "/api/captures")).captures) known.set(of.id, of);
      draw();
    } catch (error) { fill(problem, failure(error)); }
  }
  begin();
  const changed = (of) => {
    if (of.state === "closed" && of.source === "upload") known.delete(of.id);
    else known.set(of.id, of);
    draw();
  };
  const ends = [on("capture", changed), on("resync", begin)];
  return { update: (next) => !next.id, end: () => ends.forEach((end) => end()) };
}
