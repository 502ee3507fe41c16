//! Writes the result for a person at a terminal.

mod contents;
mod datagrams;
mod isolation;
mod scope;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Color, Style};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comfy_table::{Attribute, Cell, CellAlignment, Color as CellColor, ContentArrangement, Table, presets};
use exposure_schema::{
    Capture, Conclusion, Exposure, FragmentEntry, FragmentSource, HandshakeField, Level, Location, Pair,
    SearchedAs, ServerKeyEntry, StringEntry, Tls, TlsSession, Verdict, WordKind,
};
use unicode_width::UnicodeWidthStr;

use super::safe_text::{safe, shortened};
use super::{excerpt, layout};

/// Longest display filter that is shown, in bytes: one that takes three lines is not copied by hand.
const MAX_FILTER: usize = 120;

/// Columns of a table of levels beside the names of captures, with the longest verdict.
const BESIDE_NAMES: usize = 73;

/// Columns that the name of a capture always has.
const MIN_NAME: usize = 7;

/// Columns in front of what is said about a place.
const INDENTATION: usize = 17;

/// Maximum number of TLS connections shown; the others are counted.
const MAX_SESSIONS: usize = 3;

/// Maximum number of strings, messages and reasons shown of one capture.
const MAX_ROWS: usize = 12;

/// Maximum number of messages and secrets shown of which parts are readable.
const MAX_FRAGMENTS: usize = 3;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// Returns the whole text with terminal styles, in the columns of the terminal; the caller strips the styles where the output is
/// no terminal.
pub fn text(exposure: &Exposure) -> String {
    let mut out = String::new();
    let columns = layout::columns();
    // Writing to a string does not fail.
    let _ = write(exposure, &mut out, columns);
    layout::fold(&out, columns)
}

fn write(exposure: &Exposure, out: &mut String, columns: usize) -> std::fmt::Result {
    if let Some(conclusion) = exposure.conclusion {
        let (colour, meaning) = meaning(conclusion);
        writeln!(out, "{}: {meaning}\n", styled(colour, conclusion.name()))?;
    }
    let (judged, foreign): (Vec<_>, Vec<_>) =
        exposure.captures.iter().partition(|capture| capture.verdict.is_some());
    if !judged.is_empty() {
        let of =
            if judged.iter().all(|capture| capture.scope.is_some()) { "strings" } else { "agents' messages" };
        heading(out, &format!("What an eavesdropper can read of the {of}"))?;
        writeln!(out, "{}\n", levels(&judged, columns))?;
        heading(out, "Proof")?;
        for capture in &judged {
            proof(out, capture, columns)?;
        }
        if judged.iter().any(|capture| capture.tls.is_some()) {
            heading(out, "What TLS still shows")?;
            for capture in &judged {
                tls(out, capture)?;
            }
            writeln!(out)?;
        }
        datagrams::write(out, &judged)?;
        for capture in &judged {
            beside_frames(out, capture)?;
        }
        heading(out, "Controls")?;
        let width = judged.iter().map(|capture| safe(&capture.name).width()).max().unwrap_or(0);
        for capture in &judged {
            controls(out, capture, width)?;
        }
        writeln!(out)?;
        scope::write(out, &judged)?;
    }
    for capture in foreign {
        without_journal(out, capture)?;
    }
    for run in &exposure.isolation {
        isolation::write(out, run, columns)?;
    }
    conclusion(out, exposure)
}

fn heading(out: &mut String, text: &str) -> std::fmt::Result {
    writeln!(out, "{STRONG}{text}{STRONG:#}")
}

fn levels(captures: &[&Capture], columns: usize) -> Table {
    let mut table = table(columns);
    let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut head = vec![Cell::new("capture"), Cell::new("verdict")];
    head.extend(["sent", "verbatim", "reassembled", "decoded", "with keys", "absent"].map(right));
    table.set_header(head);
    for capture in captures {
        let summary = &capture.summary;
        let count = |count: u64, colour: Option<CellColor>| {
            let cell = right(&count.to_string());
            match colour {
                Some(colour) if count > 0 => cell.fg(colour).add_attribute(Attribute::Bold),
                _ => cell,
            }
        };
        let verdict = capture.verdict.unwrap_or(Verdict::Inconclusive);
        let colour = match verdict {
            Verdict::Exposed => CellColor::Red,
            Verdict::Sealed => CellColor::Green,
            Verdict::Inconclusive => CellColor::Yellow,
        };
        table.add_row(vec![
            Cell::new(layout::middle(
                &safe(&capture.name),
                columns.saturating_sub(BESIDE_NAMES).max(MIN_NAME),
            )),
            Cell::new(match &capture.scope {
                Some(_) if verdict == Verdict::Sealed => "sealed\nin its scope",
                _ => verdict.name(),
            })
            .fg(colour)
            .add_attribute(Attribute::Bold),
            count(summary.total, None),
            count(summary.verbatim, Some(CellColor::Red)),
            count(summary.reassembled, Some(CellColor::Red)),
            count(summary.decoded, Some(CellColor::Red)),
            count(summary.decrypted, Some(CellColor::Green)),
            count(summary.absent, Some(CellColor::Yellow)),
        ]);
    }
    narrow(&mut table);
    table
}

/// An empty table that fits the columns.
fn table(columns: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).enforce_styling();
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    table
}

/// Leaves two columns between those of a table.
fn narrow(table: &mut Table) {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 1));
    });
}

/// Shows, for each level that occurs, the first string and where to find it.
fn proof(out: &mut String, capture: &Capture, columns: usize) -> std::fmt::Result {
    let about = columns.saturating_sub(capture.name.width() + 30).max(20);
    let file = layout::middle(&safe(&capture.file), about);
    let from = match &capture.backend {
        Some(backend) => format!("{file} ({backend}, {} frames)", capture.frames),
        None => format!("{file} ({} frames)", capture.frames),
    };
    writeln!(out, "  {STRONG}{}{STRONG:#}  {FAINT}{from}{FAINT:#}", safe(&capture.name))?;
    for level in Level::ALL.into_iter().take(4) {
        let of_level = || {
            capture.strings.iter().filter(move |string| string.level == level && !string.locations.is_empty())
        };
        // A string that was found by itself is better evidence than one that was found with its message.
        let by_itself = of_level().find(|string| string.searched_as != SearchedAs::Message);
        if let Some(string) = by_itself.or_else(|| of_level().next()) {
            one_proof(out, capture, string, columns)?;
        }
    }
    for fragment in capture.fragments.iter().take(MAX_FRAGMENTS) {
        one_fragment(out, fragment, columns)?;
    }
    if capture.fragments.len() > MAX_FRAGMENTS {
        let more = capture.fragments.len() - MAX_FRAGMENTS;
        writeln!(out, "    … and parts of {more} more messages or secrets; --format json lists them")?;
    }
    for string in capture.strings.iter().filter(|string| string.level == Level::Absent).take(3) {
        let value = shortened(&string.value, 40);
        writeln!(out, "    {:<12} \t{value}  {FAINT}{}{FAINT:#}", "absent", safe(&string.path))?;
    }
    for reason in capture.reasons.iter().take(MAX_ROWS) {
        writeln!(out, "    {}  \t{}", styled(AnsiColor::Yellow, "doubt"), safe(reason))?;
    }
    if capture.reasons.len() > MAX_ROWS {
        writeln!(out, "    … and {} more doubts", capture.reasons.len() - MAX_ROWS)?;
    }
    writeln!(out)
}

fn one_proof(out: &mut String, capture: &Capture, string: &StringEntry, columns: usize) -> std::fmt::Result {
    let Some(place) = string.locations.first() else { return Ok(()) };
    let value = shortened(&string.value, 40);
    let what = format!("\"{value}\"  {FAINT}{}{FAINT:#}", safe(&string.path));
    one_place(out, string.level, &what, place, opened(capture, string, place).as_deref(), columns)
}

/// What the keys make of the bytes from a string on, if they are those of the first exchange.
fn opened(capture: &Capture, string: &StringEntry, place: &Location) -> Option<String> {
    let exhibit = capture.exhibit.as_ref().filter(|exhibit| place.stream == Some(exhibit.stream))?;
    let at = place.stream_offset?;
    let record = exhibit.opened.iter().find(|record| {
        let is_within = at.checked_sub(record.stream_offset).is_some_and(|at| at < record.wire_bytes);
        Some(record.direction) == place.direction && is_within
    })?;
    let bytes = STANDARD.decode(&record.bytes).ok()?;
    let at = memchr::memmem::find(&bytes, string.value.as_bytes())?;
    let end = bytes.len().min(at + excerpt::EXCERPT as usize);
    Some(excerpt::escape(&bytes[at..end]))
}

/// Shows where a part of a message or of a secret can be read.
fn one_fragment(out: &mut String, fragment: &FragmentEntry, columns: usize) -> std::fmt::Result {
    let Some(place) = fragment.locations.first() else { return Ok(()) };
    let id = fragment.message_id.as_deref().unwrap_or("without id");
    let whole = match fragment.source {
        FragmentSource::Message => format!("message {}", safe(id)),
        FragmentSource::String => {
            format!("string {} of message {}", safe(fragment.path.as_deref().unwrap_or_default()), safe(id))
        }
        FragmentSource::Secret => {
            format!("secret {} of the key log", fragment.label.as_deref().unwrap_or_default())
        }
    };
    let what = match fragment.longest_bytes >= fragment.source_bytes {
        true => whole,
        false => format!("{} of {} bytes of {whole}", fragment.longest_bytes, fragment.source_bytes),
    };
    one_place(out, fragment.level, &what, place, None, columns)
}

fn one_place(
    out: &mut String,
    level: Level,
    what: &str,
    place: &Location,
    opened: Option<&str>,
    columns: usize,
) -> std::fmt::Result {
    let frames = match place.frames.as_slice() {
        [] => "no frame".to_owned(),
        [frame] => format!("frame {frame}"),
        [first, .., last] => format!("frames {first}–{last}"),
    };
    let layers = match place.layers.is_empty() {
        true => String::new(),
        false => format!("  through {}", place.layers.join(", ")),
    };
    let colour = if level.is_keyless() { AnsiColor::Red } else { AnsiColor::Green };
    // Bytes that need the keys are shown beside what the keys make of them.
    let wire = if level.is_keyless() { "" } else { "on the wire: " };
    let level = styled(colour, &format!("{:<12}", level.name()));
    writeln!(out, "    {level} \t{what}")?;
    writeln!(out, "    {:<12} \t{frames}, file offset {}{layers}", "", place.file_offset)?;
    if let Some(excerpt) = &place.excerpt {
        let excerpt = shortened(excerpt, columns - INDENTATION - wire.len());
        writeln!(out, "    {:<12} \t{wire}{FAINT}{excerpt}{FAINT:#}", "")?;
    }
    if let Some(opened) = opened {
        const KEYS: &str = "with keys:   ";
        let opened = shortened(opened, columns - INDENTATION - KEYS.len());
        writeln!(out, "    {:<12} \t{KEYS}{opened}", "")?;
    }
    if place.filter.len() <= MAX_FILTER {
        writeln!(out, "    {:<12} \t{FAINT}Wireshark: {}{FAINT:#}", "", place.filter)?;
    }
    Ok(())
}

fn tls(out: &mut String, capture: &Capture) -> std::fmt::Result {
    let Some(tls) = &capture.tls else { return Ok(()) };
    let mut seen: Vec<([String; 2], usize)> = Vec::new();
    for session in &tls.sessions {
        let shown = visible(session);
        match seen.iter_mut().find(|(known, _)| *known == shown) {
            Some((_, count)) => *count += 1,
            None => seen.push((shown, 1)),
        }
    }
    writeln!(out, "  {STRONG}{}{STRONG:#}", safe(&capture.name))?;
    for ([who, how], count) in seen.iter().take(MAX_SESSIONS) {
        writeln!(out, "    {who}  {FAINT}({count} of {} connections){FAINT:#}", tls.connections)?;
        writeln!(out, "    {how}")?;
    }
    if seen.len() > MAX_SESSIONS {
        writeln!(out, "    … and {} other kinds of connection", seen.len() - MAX_SESSIONS)?;
    }
    server_keys(out, capture)?;
    handshake_texts(out, tls)?;
    let bytes =
        |side: usize| tls.sessions.iter().map(|session| session.visible.stream_bytes[side]).sum::<u64>();
    let records = tls.records.total;
    writeln!(
        out,
        "    sizes and times of {records} records: {} bytes from the clients, {} from the servers",
        bytes(0),
        bytes(1)
    )
}

/// Shows what the RSA keys of servers opened, or why they opened nothing.
fn server_keys(out: &mut String, capture: &Capture) -> std::fmt::Result {
    for key in capture.server_keys.iter().take(MAX_SESSIONS) {
        let (file, ServerKeyEntry { bits, opened, handshakes, .. }) = (safe(&key.file), key);
        let said = match &key.reason {
            None => format!("opened {opened} of {handshakes} handshakes with its certificate"),
            Some(reason) => format!("opened nothing: {reason}"),
        };
        writeln!(out, "    server key {file} ({bits} bits) {said}")?;
    }
    Ok(())
}

/// Shows what is in the capture file, but was not on the wire.
fn beside_frames(out: &mut String, capture: &Capture) -> std::fmt::Result {
    let Some(beside) = capture.beside_frames.as_ref().filter(|beside| beside.found_total > 0) else {
        return Ok(());
    };
    heading(out, "In the capture file, not on the wire")?;
    writeln!(
        out,
        "  {STRONG}{}{STRONG:#}: {} string(s), message(s) or secret(s) in comments or other blocks of the file",
        safe(&capture.name),
        beside.found_total
    )?;
    for entry in beside.found.iter().take(MAX_SESSIONS) {
        let what = match (entry.source, &entry.value) {
            (FragmentSource::Secret, _) => "a secret of the key log".to_owned(),
            (_, Some(value)) => format!("\"{}\"", shortened(value, 40)),
            (_, None) => {
                format!("a part of message {}", safe(entry.message_id.as_deref().unwrap_or("without id")))
            }
        };
        writeln!(out, "    {what}  {FAINT}file offset {}{FAINT:#}", entry.file_offset)?;
    }
    writeln!(out)
}

/// Shows what the handshakes say by themselves, and the words of messages that they say too.
fn handshake_texts(out: &mut String, tls: &Tls) -> std::fmt::Result {
    let texts = tls.known_from_handshake.iter();
    let texts: Vec<_> =
        texts.map(|said| format!("{} {}", field_name(said.field), safe(&said.text))).collect();
    if !texts.is_empty() {
        let shown = texts.len().min(MAX_SESSIONS);
        let more = if texts.len() > shown { ", …" } else { "" };
        writeln!(out, "    known from the handshake: {}{more}", texts[..shown].join(", "))?;
    }
    for word in tls.words_in_handshake.iter().take(MAX_SESSIONS) {
        let what = match word.is {
            WordKind::Value => "value",
            WordKind::Key => "key",
        };
        let frame = word.frame.map_or_else(String::new, |frame| format!(", frame {frame}"));
        let text = format!(
            "the {what} \"{}\" of a message is in {} \"{}\" (tcp.stream {}{frame})",
            safe(&word.word),
            field_name(word.field),
            safe(&word.text),
            word.stream
        );
        writeln!(out, "    {}", styled(AnsiColor::Red, &text))?;
    }
    Ok(())
}

fn field_name(field: HandshakeField) -> &'static str {
    match field {
        HandshakeField::ServerName => "server name",
        HandshakeField::Alpn => "ALPN",
        HandshakeField::Version => "version",
        HandshakeField::CertificateName => "certificate name",
    }
}

/// Shows who communicates with whom, and how it is encrypted: two lines.
fn visible(session: &TlsSession) -> [String; 2] {
    let visible = &session.visible;
    let mut who = vec![format!("server {}", safe(&session.server))];
    if let Some(name) = &visible.server_name {
        who.push(format!("name {}", safe(name)));
    }
    if !visible.alpn_offered.is_empty() {
        who.push(format!("ALPN {}", safe(&visible.alpn_offered.join(" "))));
    }
    if let Some(certificate) = visible.certificates.first() {
        who.push(format!("certificate {}", safe(&certificate.subject)));
    }
    let mut how = Vec::new();
    how.extend(visible.version.clone());
    how.extend(visible.cipher_suite.clone());
    if let Some(group) = &visible.named_group {
        let hybrid = if visible.post_quantum_hybrid == Some(true) { " (post-quantum hybrid)" } else { "" };
        how.push(format!("{group}{hybrid}"));
    }
    [who.join(", "), how.join(", ")]
}

/// `width`: that of the longest name.
fn controls(out: &mut String, capture: &Capture, width: usize) -> std::fmt::Result {
    let (controls, completeness) = (&capture.controls, &capture.completeness);
    let mut row = |passed: bool, text: String| {
        let mark = if passed { styled(AnsiColor::Green, "✓") } else { styled(AnsiColor::Yellow, "✗") };
        writeln!(out, "    {mark} {text}")
    };
    let mut rows = Vec::new();
    let key = if controls.positive.key_log { "with the key log, " } else { "" };
    let positive = &controls.positive;
    rows.push((
        positive.passed,
        format!("{key}the same search finds {} of {} strings here", positive.found, positive.strings),
    ));
    let decoys = &controls.decoys;
    rows.push((
        decoys.passed,
        format!("{} of {} never-sent decoys are found", decoys.found, decoys.searched),
    ));
    if let Some(wrong) = &controls.wrong_key {
        let text = format!("{} of {} records authenticate with wrong keys", wrong.authenticated, wrong.tried);
        rows.push((wrong.passed, text));
    }
    if let Some(planted) = &controls.planted {
        let text = format!(
            "{} of {} planted strings are found: {} forms, {} places, {} layers",
            planted.found, planted.planted, planted.forms, planted.places, planted.layers
        );
        rows.push((planted.passed, text));
    }
    if let Some(coverage) = &controls.coverage {
        let text = format!(
            "all {} bytes are searched: {} in streams, {} in frames",
            coverage.captured_bytes, coverage.bytes_in_streams, coverage.bytes_in_frames
        );
        let failed = || format!("not all {} bytes are searched", coverage.captured_bytes);
        rows.push((coverage.passed, if coverage.passed { text } else { failed() }));
    }
    let CompletenessLine { passed, text } = match &capture.scope {
        None => completeness_line(completeness),
        Some(scope) => scope::completeness_line(capture, scope),
    };
    rows.push((passed, text));
    for (passed, text) in rows {
        row(passed, format!("{:<width$}  \t{text}", safe(&capture.name)))?;
    }
    Ok(())
}

struct CompletenessLine {
    passed: bool,
    text: String,
}

fn completeness_line(completeness: &exposure_schema::Completeness) -> CompletenessLine {
    let drops =
        completeness.kernel_drops.map_or_else(String::new, |drops| format!(", {drops} frames dropped"));
    CompletenessLine {
        passed: completeness.passed,
        text: format!(
            "{} of {} messages, {} of {} streams are whole, {} bytes unexplained{drops}",
            completeness.messages_accounted,
            completeness.messages_expected,
            completeness.streams_whole,
            completeness.streams,
            completeness.unexplained_bytes,
        ),
    }
}

/// Shows a capture without journals.
fn without_journal(out: &mut String, capture: &Capture) -> std::fmt::Result {
    heading(out, &format!("{}: what is readable", safe(&capture.file)))?;
    let completeness = &capture.completeness;
    writeln!(
        out,
        "  {} frames, {} TCP streams with data ({} whole), {} HTTP messages, {} readable strings{}",
        capture.frames,
        completeness.streams,
        completeness.streams_whole,
        capture.http_total,
        capture.readable_total,
        match capture.opened_total {
            0 => String::new(),
            opened => format!(", {opened} more with the keys"),
        },
    )?;
    for message in capture.http.iter().take(MAX_ROWS) {
        let what = match (&message.method, &message.target, message.status) {
            (Some(method), target, _) => {
                format!("{} {}", safe(method), shortened(target.as_deref().unwrap_or_default(), 50))
            }
            (_, _, Some(status)) => format!("answer {status}"),
            _ => "message".to_owned(),
        };
        let kind =
            message.content_type.as_deref().map_or_else(String::new, |kind| format!(", {}", safe(kind)));
        let level = match message.level {
            Level::Decrypted => styled(AnsiColor::Green, "only with keys"),
            level => styled(AnsiColor::Red, level.name()),
        };
        let (frame, bytes) = (message.first_frame.unwrap_or(message.last_frame), message.body_bytes);
        writeln!(out, "  {level}  frame {frame}: {what}, {bytes} bytes{kind}")?;
    }
    rest(out, capture.http_total, "HTTP messages")?;
    for string in capture.readable.iter().take(MAX_ROWS) {
        let value = match &string.value {
            Some(value) => format!("\"{}\"", shortened(value, 60)),
            None => "(looks like a secret; --show-secrets shows it)".to_owned(),
        };
        let frame = string.location.frames.first().copied().unwrap_or_default();
        writeln!(out, "  frame {frame}: {value}  {FAINT}{}{FAINT:#}", safe(&string.path))?;
    }
    rest(out, capture.readable_total, "strings")?;
    contents::write(out, capture)?;
    datagrams::of_capture(out, capture)?;
    tls(out, capture)?;
    for reason in &capture.reasons {
        writeln!(out, "  {FAINT}{}{FAINT:#}", safe(reason))?;
    }
    writeln!(out)
}

fn rest(out: &mut String, total: u64, what: &str) -> std::fmt::Result {
    match total.checked_sub(MAX_ROWS as u64) {
        Some(more @ 1..) => writeln!(out, "  … and {more} more {what}; --format json lists them"),
        _ => Ok(()),
    }
}

fn conclusion(out: &mut String, exposure: &Exposure) -> std::fmt::Result {
    let Some(conclusion) = exposure.conclusion else {
        for reason in &exposure.reasons {
            writeln!(out, "{FAINT}{}{FAINT:#}", safe(reason))?;
        }
        return Ok(());
    };
    let (colour, meaning) = meaning(conclusion);
    writeln!(out, "Conclusion: {}: {meaning}", styled(colour, conclusion.name()))?;
    for reason in &exposure.reasons {
        writeln!(out, "  {}", safe(reason))?;
    }
    for Pair { plaintext, tls } in &exposure.compared {
        writeln!(out, "  {FAINT}compared: {} with {}{FAINT:#}", safe(plaintext), safe(tls))?;
    }
    if !exposure.not_compared.is_empty() {
        let others: Vec<_> = exposure.not_compared.iter().map(|file| safe(file)).collect();
        writeln!(out, "  {FAINT}not part of it: {}{FAINT:#}", others.join(", "))?;
    }
    Ok(())
}

fn meaning(conclusion: Conclusion) -> (AnsiColor, &'static str) {
    match conclusion {
        Conclusion::Proven => {
            (AnsiColor::Green, "over HTTP the JSON is in plain sight, over TLS none of it is")
        }
        Conclusion::Refuted => (AnsiColor::Red, "a capture shows the opposite of what was expected"),
        Conclusion::Inconclusive => (AnsiColor::Yellow, "doubts remain, so nothing is proven"),
    }
}

fn styled(colour: AnsiColor, text: &str) -> String {
    let style = Style::new().bold().fg_color(Some(Color::Ansi(colour)));
    format!("{style}{text}{style:#}")
}
