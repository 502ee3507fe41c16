// The analyzer's result (plainsight.exposure/1) as a page: verdicts, levels, controls, doubts.

import { h, long, number, short, size, table, visible } from "./dom.js";
import { filter } from "./frame.js";
import { t, term } from "./i18n.js";

const LEVELS = ["verbatim", "reassembled", "decoded", "decrypted", "absent"];
const TONES = { exposed: "readable", sealed: "sealed", isolated: "sealed", proven: "sealed", leaked: "failed", refuted: "failed" };

export const verdict = (name) => name && h("span", { class: `badge ${TONES[name] ?? ""}` }, term(name, t.verdicts[name] ?? visible(name)));
const passed = (value) => value === null ? h("span.quiet", null, t.notApplicable)
  : h("span", { class: `badge ${value ? "sealed" : "failed"}` }, value ? `✓ ${t.passed}` : `✗ ${t.notPassed}`);

/** The conclusion over several captures. */
export function conclusion(exposure) {
  const name = exposure.conclusion;
  return name && h(`section.banner.${TONES[name] ?? "doubtful"}`, null, h("h2", null, t.conclusions[name]),
    exposure.reasons.map((reason) => h("p", null, visible(reason))));
}

/** How many strings are at each level, as a bar and in words. */
export function levels(summary) {
  const bar = h("div.levels", { role: "img", "aria-label": LEVELS.filter((name) => summary[name]).map((name) => `${t.levels[name]} ${summary[name]}`).join(", ") });
  for (const name of LEVELS.filter((of) => summary[of])) {
    const part = h(`span.${name}`);
    part.style.setProperty("flex-grow", summary[name]);
    bar.append(part);
  }
  return h("div", null, bar, h("p.legend", null, LEVELS.filter((name) => summary[name]).map((name) =>
    h("span", null, h(`i.${name}`), term(name, t.levels[name]), " ", h("b", null, number(summary[name]))))));
}

export const doubts = (list) => list.length > 0 && h("section.doubts", null, h("h3", null, t.doubts),
  h("ul", null, list.slice(0, 100).map((doubt) => h("li", null, h("code", null, visible(doubt.code)), " ", visible(doubt.text)))));

/** One capture: verdict, levels, doubts, what TLS shows. */
export function capture(of, name = of.name) {
  const readable = of.summary.verbatim + of.summary.reassembled + of.summary.decoded;
  return h(`article.result.${TONES[of.verdict] ?? (of.readable_total ? "readable" : "doubtful")}`, null,
    h("header", null, h("h2", null, visible(name)), verdict(of.verdict),
      h("span.quiet", null, [of.backend, t.frames(of.frames), size(of.bytes)].filter(Boolean).join(" · "))),
    of.summary.total > 0
      ? [h("p.count", null, h("b", null, number(readable)), " ", t.ofStrings(number(of.summary.total)), " ", t.readableByAnyone), levels(of.summary)]
      : [h("p.count", null, h("b", null, number(of.readable_total)), " ", t.stringsReadable), h("p.quiet", null, t.noStrings)],
    of.scope && h("p", null, term("scope"), ": ",
      t.scopeIs(of.scope.connections_total, of.scope.outside.connections, of.scope.outside.frames),
      of.scope.asked.length > 0 && [" ", h("code", null, visible(of.scope.asked.join(" ")))]),
    doubts((of.doubts ?? []).filter((doubt) => of.verdict || doubt.code !== "journal.missing")),
    of.scope?.outside.doubts.length > 0 && h("details", null, h("summary", null, t.outsideDoubts), doubts(of.scope.outside.doubts)),
    of.fragments?.length > 0 && table(t.fragments, [t.level, t.string, t.path, t.longest, t.framesHead], of.fragments.map((part) => [
      term(part.level, t.levels[part.level]), t.sources[part.source], h("code", null, visible(part.path ?? part.label ?? "–")),
      number(part.longest_bytes), filter(part.locations[0].filter, "")]), [3]),
    of.tls?.sessions.length > 0 && h("p.quiet", null, t.stillVisible, " ", [...new Set(of.tls.sessions.flatMap(({ visible: shown, server }) =>
      [shown.server_name, server, shown.version, shown.cipher_suite, shown.named_group].filter(Boolean)))].slice(0, 12).map((text) => visible(text)).join(" · "), " · ", t.timesAndSizes));
}

/** The controls: whether "not found" means "not there". */
export function controls(captures) {
  const rows = captures.flatMap(({ name, controls: of, completeness: whole }) => [
    [of.positive.passed, "positive", `${number(of.positive.found)} / ${number(of.positive.strings)}`],
    [of.decoys.passed, "decoys", `${of.decoys.found} / ${of.decoys.searched}`],
    of.wrong_key && [of.wrong_key.passed, "wrongKey", `${of.wrong_key.authenticated} / ${of.wrong_key.tried}`],
    of.planted && [of.planted.passed, "planted", `${of.planted.found} / ${of.planted.planted}`],
    of.coverage && [of.coverage.passed, "coverage", size(of.coverage.captured_bytes)],
    [whole.passed, "whole", `${whole.messages_accounted} / ${whole.messages_expected}`],
  ].filter(Boolean).map(([ok, key, count]) => [visible(name), term(key), count, passed(ok)]));
  const from = captures.length > 1 ? 0 : 1;
  return table(t.controls, [t.capture, t.control, t.found, t.result].slice(from), rows.map((row) => row.slice(from)), [2 - from]);
}

/** What of the users' traffic is accounted for, and whether the captures were alive. */
function accounts(traffic, beacons) {
  const rows = [
    [t.accounted.connections, traffic.connections_accounted, traffic.connections],
    [t.accounted.bytes, traffic.bytes_accounted, traffic.bytes],
    [t.accounted.boxes, traffic.boxes_answered, traffic.boxes],
    [t.accounted.beacons, beacons.seen, beacons.expected],
  ];
  return table(t.accounts, [t.control, t.found, t.result], rows.map(([what, found, of]) => [what, `${number(found)} / ${number(of)}`, passed(of > 0 && found === of)]), [1]);
}

/** An isolation run: each kind of attempt, then the control where it is seen. */
export function isolation(run) {
  const attempts = (phase) => table(phase === "isolated" ? t.refusals : t.controlSeen, [t.attempt, t.target, t.outcome, t.seen],
    run.attempts.filter((of) => of.phase === phase).map((of) => [h("b", null, visible(of.kind)), h("code", null, visible(of.target)), short(of.outcome, 160),
      of.seen || of.secrets ? of.first ? [t.seenAt(visible(of.first.interface ?? of.first.file)), " ", filter(of.first.location.filter)] : t.seen : t.notSeen]));
  return h("div.stack", null,
    h(`section.banner.${TONES[run.verdict] ?? "doubtful"}`, null, h("h2", null, t.isolationVerdicts[run.verdict]),
      h("p", null, t.leftTheSandboxes(run.box_frames, run.box_canaries, run.secrets_crossed)),
      run.reasons.slice(0, 20).map((reason) => h("p", null, visible(reason)))),
    table(t.byKind, [t.attempt, t.triedInBox, t.seen, t.triedWithNetwork, t.seen, t.control],
      run.kinds.map((of) => [term(of.kind, visible(of.kind)), of.tried, of.seen, of.control_tried, of.control_seen, passed(of.control_passed)]), [1, 2, 3, 4]),
    run.measured.map((of) => h("p", null, t.measured(visible(of.kind), of.right, of.bits, of.control_right, of.control_bits))),
    accounts(run.traffic, run.controls.beacons),
    attempts("isolated"), attempts("control"),
    table(t.interfaces, [t.phase, t.interface, t.framesHead, t.beaconFrames, t.ofBoxes], run.interfaces.map((of) =>
      [t.phasesOfRun[of.phase] ?? of.phase, h("code", null, visible(of.interface ?? "–")), number(of.frames), number(of.beacon_frames), number(of.box_frames)]), [2, 3, 4]));
}

/** Strings with the place of each: level, text, path, frame, offset, filter. `open` shows a frame. */
export function strings(list, total, open) {
  return table(t.stringsShown(list.length, total), [t.level, t.string, t.path, t.frame, t.offset, "Wireshark"], list.map((of) => {
    const at = (of.locations ?? [of.location])[0];
    return [of.level ? term(of.level, t.levels[of.level]) : "–", of.value === null || of.value === "[hidden]" ? h("i.quiet", null, t.hidden) : long(of.value, 80), h("code", null, visible(of.path)),
      at ? h("button.link", { type: "button", onclick: () => open(at.frames[0]) }, number(at.frames[0])) : "–", at ? number(at.file_offset) : "–", at ? filter(at.filter, "") : "–"];
  }), [4]);
}
