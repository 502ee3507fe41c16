//! Writes an isolation run for a person at a terminal.

use std::fmt::{Result, Write as _};

use anstyle::AnsiColor;
use comfy_table::{Attribute, Cell, CellAlignment, Color as CellColor, Table};
use exposure_schema::{
    BeaconControl, Credential, Identity, Isolation, IsolationVerdict, MeasuredEntry, Occurrence, PhaseName,
    ProtectedAnswer, ProtectionEntry, TrafficAccount,
};

use super::{FAINT, MAX_ROWS, STRONG, heading, narrow, safe, shortened, styled, table};

pub(super) fn write(out: &mut String, run: &Isolation, columns: usize) -> Result {
    let (colour, meaning) = meaning(run.verdict);
    writeln!(out, "{}: {meaning}\n", styled(colour, run.verdict.name()))?;
    heading(out, "What left the sandboxes")?;
    writeln!(
        out,
        "  {FAINT}{} ({}, {} sandboxes){FAINT:#}",
        safe(&run.file),
        safe(&run.backend),
        run.boxes_total
    )?;
    writeln!(out, "{}", ways(run, columns))?;
    for MeasuredEntry { kind, bits, right, control_bits, control_right } in &run.measured {
        writeln!(
            out,
            "  {FAINT}{}: {right} of {bits} bits right, outside any sandbox {control_right} of {control_bits}; no sandbox closes \
             this way, and half are right by chance{FAINT:#}",
            safe(kind)
        )?;
    }
    writeln!(out)?;
    heading(out, "Where the captures were made")?;
    writeln!(out, "{}\n", interfaces(run, columns))?;
    accounts(out, run)?;
    limits(out, run)?;
    if let Some(identity) = &run.identity {
        lesson(out, identity)?;
    }
    if !run.protections.is_empty() {
        heading(out, "The same replay where users are authenticated over TLS")?;
        run.protections.iter().try_for_each(|protection| self::protection(out, protection))?;
        writeln!(out)?;
    }
    let leaks = run.leaks.iter().map(|leak| ("leak", leak));
    let findings = leaks.chain(run.doubts.iter().map(|doubt| ("doubt", doubt)));
    for (word, finding) in findings.take(MAX_ROWS) {
        writeln!(out, "    {}  \t{}", styled(AnsiColor::Yellow, word), safe(&finding.text))?;
    }
    if run.reasons.len() > MAX_ROWS {
        writeln!(out, "    … and {} more", run.reasons.len() - MAX_ROWS)?;
    }
    writeln!(out, "Isolation: {}: {meaning}", styled(colour, run.verdict.name()))
}

fn meaning(verdict: IsolationVerdict) -> (AnsiColor, &'static str) {
    match verdict {
        IsolationVerdict::Isolated => (
            AnsiColor::Green,
            "nothing from any sandbox reached a network interface or another user; the captures would have shown it",
        ),
        IsolationVerdict::Leaked => {
            (AnsiColor::Red, "something from a sandbox reached a network interface or another user")
        }
        IsolationVerdict::Inconclusive => (AnsiColor::Yellow, "doubts remain, so nothing is proven"),
    }
}

fn number(count: u64, colour: CellColor) -> Cell {
    let cell = Cell::new(count).set_alignment(CellAlignment::Right);
    if count > 0 { cell.fg(colour).add_attribute(Attribute::Bold) } else { cell }
}

fn plain(count: u64) -> Cell {
    Cell::new(count).set_alignment(CellAlignment::Right)
}

/// A table of the kinds of escape attempts, without and with a network.
fn ways(run: &Isolation, columns: usize) -> Table {
    let mut table = table(columns);
    table.set_header(["attempt", "tried in a sandbox", "seen", "tried with a network", "seen", "control"]);
    for kind in &run.kinds {
        let control = match kind.control_passed {
            true => Cell::new("passed").fg(CellColor::Green),
            false => Cell::new("failed").fg(CellColor::Yellow).add_attribute(Attribute::Bold),
        };
        table.add_row([
            Cell::new(safe(&kind.kind)),
            plain(kind.tried),
            number(kind.seen, CellColor::Red),
            plain(kind.control_tried),
            plain(kind.control_seen),
            control,
        ]);
    }
    narrow(&mut table);
    table
}

fn interfaces(run: &Isolation, columns: usize) -> Table {
    let mut table = table(columns);
    table.set_header(["phase", "interface", "frames", "users' traffic", "of sandboxes", "dropped"]);
    for interface in &run.interfaces {
        let (phase, colour) = match interface.phase {
            PhaseName::Isolated => ("no network", CellColor::Red),
            PhaseName::Control => ("control", CellColor::Green),
        };
        table.add_row([
            Cell::new(phase),
            Cell::new(safe(interface.interface.as_deref().unwrap_or("?"))),
            plain(interface.frames),
            plain(interface.talk_frames + interface.arp_frames),
            number(interface.box_frames, colour),
            interface.kernel_drops.map_or_else(|| Cell::new("?"), plain),
        ]);
    }
    narrow(&mut table);
    table
}

/// What of the users' traffic is accounted for, and whether the captures were alive.
fn accounts(out: &mut String, run: &Isolation) -> Result {
    heading(out, "What is accounted for")?;
    let TrafficAccount { connections, connections_accounted, bytes, bytes_accounted, boxes, boxes_answered } =
        run.traffic;
    let BeaconControl { expected, seen, .. } = run.controls.beacons;
    for (done, of, what) in [
        (connections_accounted, connections, "connections of users are planned requests and their answers"),
        (bytes_accounted, bytes, "bytes of these connections are accounted for"),
        (boxes_answered, boxes, "sandboxes without network gave exactly one of these answers"),
        (seen, expected, "beacons of the host are in their captures, at start and end"),
    ] {
        let is_all = done == of && of > 0;
        let mark = if is_all { styled(AnsiColor::Green, "✓") } else { styled(AnsiColor::Yellow, "✗") };
        writeln!(out, "  {mark} {done} of {of} {what}")?;
    }
    writeln!(out)
}

/// The limits of the first sandbox; all sandboxes have the same.
fn limits(out: &mut String, run: &Isolation) -> Result {
    let Some(first) = run.boxes.iter().find(|one| one.phase == PhaseName::Isolated) else { return Ok(()) };
    heading(out, "What limits a sandbox, read back from the kernel")?;
    for limit in &first.limits {
        let (value, mechanism) = (shortened(&limit.value, 17), safe(&limit.mechanism));
        writeln!(out, "  {:<23} {value:<17} \t{FAINT}{mechanism}{FAINT:#}", shortened(&limit.name, 23))?;
    }
    writeln!(out)
}

fn lesson(out: &mut String, identity: &Identity) -> Result {
    heading(out, "A user id in a header is a claim that anyone can repeat")?;
    let from = |from: &Option<String>| safe(from.as_deref().unwrap_or("no client"));
    let user = safe(&identity.user);
    writeln!(
        out,
        "  read      \t{STRONG}{user}{STRONG:#} from {}, {}",
        from(&identity.read_from),
        place(&identity.read)
    )?;
    let replayed = place(&identity.replayed);
    writeln!(out, "  replayed  \tby {}, {replayed}", from(&identity.replayed_from))?;
    writeln!(out, "  answered  \twith the secret of {user}, {}\n", place(&identity.answered))
}

/// One gateway that authenticates its users.
fn protection(out: &mut String, protection: &ProtectionEntry) -> Result {
    let ProtectionEntry { auth, user, read, owner, replays, shown, .. } = protection;
    let mark = if *shown { styled(AnsiColor::Green, "✓") } else { styled(AnsiColor::Yellow, "✗") };
    writeln!(
        out,
        "  {mark} {STRONG}{}{STRONG:#}: id, secret and credentials of {} readable without a key {read} time(s)",
        safe(auth),
        safe(user)
    )?;
    let answer = |word: &str, answer: &ProtectedAnswer| {
        let with = match answer.credential {
            Credential::Token => "its token",
            Credential::Certificate => "its certificate",
            Credential::WrongToken => "a wrong token",
            Credential::Nothing => "X-User-Id alone",
        };
        format!(
            "    {word:<8}  \t{} with {with}, by {}, {}",
            answer.status,
            safe(&answer.from),
            place(&answer.answered)
        )
    };
    match owner {
        Some(owner) => writeln!(out, "{}", answer("owner", owner))?,
        None => writeln!(out, "    owner     not seen")?,
    }
    replays.iter().try_for_each(|replay| writeln!(out, "{}", answer("replayed", replay)))
}

fn place(seen: &Option<Occurrence>) -> String {
    match seen {
        Some(Occurrence { file, location, .. }) => {
            let frame = location.frames.first().copied().unwrap_or_default();
            format!("frame {frame} of {}", safe(file))
        }
        None => "not seen".to_owned(),
    }
}
