#!/usr/bin/env python3
"""Runs two builds of `analyze` over the same captures and compares their results.

usage: compare-results.py OLD NEW PATH... [--damaged N] [--seed SEED] [--keep FOLDER]

PATH is a capture, or a folder of captures with their manifests, journals and key logs. A folder is analyzed as a
whole (both experiments, and the conclusion), and each of its captures alone. With --damaged, N copies of captures drawn
at random are damaged, in their bytes or in their structure, and compared too. The seed decides every damage.

Two results are equal if they have the same exit status and the same JSON, but for the differences that EXPLAINED
lists. Exit status: 0 all are equal, 1 one is not, 2 usage.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

SUFFIXES = {".pcap", ".pcapng"}

# A damaged capture is small, or a thousand of them take hours.
MAX_DAMAGED_BYTES = 4 << 20

# Longer than any capture of the lab takes in a debug build on a busy machine.
TIMEOUT_S = 300

# Differences shown of one result.
SHOWN = 8


class Added:
    """A field that only the new program writes."""

    def __init__(self, path, why):
        self.path, self.why = path, why

    def apply(self, path, old, new):
        parent, _, name = self.path.rpartition(".")
        if path != parent or not isinstance(old, dict) or not isinstance(new, dict):
            return old, new, False
        if name in old or name not in new:
            return old, new, False
        return old, {key: value for key, value in new.items() if key != name}, True


class Changed:
    """A value that the old program got wrong."""

    def __init__(self, path, why):
        self.path, self.why = path, why

    def apply(self, path, old, new):
        return (None, None, True) if path == self.path and old != new else (old, new, False)


class Detailed:
    """A text that names more of the same: groups of the old one that the new one must contain."""

    def __init__(self, pattern, why):
        self.pattern, self.why = re.compile(pattern), why

    def apply(self, path, old, new):
        if not isinstance(old, str) or not isinstance(new, str) or old == new:
            return old, new, False
        found = self.pattern.fullmatch(old)
        holds = found and all(part in new for part in found.groups())
        return (None, None, True) if holds else (old, new, False)


class Continued:
    """An exhibit that goes on where the old one ended."""

    def __init__(self, why):
        self.why = why

    def apply(self, path, old, new):
        if path != "captures[].exhibit" or not isinstance(old, dict) or not isinstance(new, dict):
            return old, new, False
        before, now = old["turns"], new["turns"]
        goes_on = len(before) < len(now) and now[: len(before)] == before
        return (None, None, True) if goes_on else (old, new, False)


class Dropped:
    """Texts that the new program does not write."""

    def __init__(self, pattern, why):
        self.pattern, self.why = re.compile(pattern), why

    def apply(self, path, old, new):
        if not isinstance(old, list) or not isinstance(new, list) or len(old) == len(new):
            return old, new, False
        kept = [one for one in old if not isinstance(one, str) or not self.pattern.search(one)]
        return kept, new, len(kept) < len(old)


class Ordered:
    """A list of texts whose order the old program left to chance."""

    def __init__(self, path, why):
        self.path, self.why = path, why

    def apply(self, path, old, new):
        if path != self.path or not isinstance(old, list) or not isinstance(new, list) or old == new:
            return old, new, False
        in_new_words = sorted(reworded(text) for text in old)
        return in_new_words, sorted(new), True


class Reworded:
    """A text with the same meaning in other words: a pattern of the old text, and what it reads as now."""

    def __init__(self, pattern, now, why):
        self.pattern, self.now, self.why = re.compile(pattern), now, why

    def apply(self, path, old, new):
        if not isinstance(old, str) or not isinstance(new, str) or old == new:
            return old, new, False
        text = self.pattern.sub(self.now, old)
        return text, new, text != old


def reworded(text):
    for pattern, now in REWORDED:
        text = re.sub(pattern, now, text)
    return text


class NowRead:
    """A capture with messages of a protocol that the old program did not read: all of its entry may differ."""

    def __init__(self, layer, why):
        self.layer, self.why = layer, why

    def apply(self, path, old, new):
        if path != "captures[]" or not isinstance(old, dict) or not isinstance(new, dict):
            return old, new, False
        reads = lambda capture: any(self.layer in message["layers"] for message in capture["http"])
        return (None, None, True) if reads(new) and not reads(old) else (old, new, False)


# Texts with the same meaning in plainer words: a pattern of the old text, and what it reads as now.
REWORDED = [
    ("so nobody knows what was said", "so what was sent is unknown"),
    ("a protected record could not be opened", "a protected record could not be decrypted"),
    ("is no file beside it", "is not the name of a file beside it"),
    ("ARP that says more than addresses", "an ARP packet that contains more than addresses"),
    ("acknowledgment of what was not sent", "acknowledgment of bytes that were not sent"),
    ("one alert after the other", "more alerts in the clear than end a connection"),
    ("an extension that is not known here", "an unknown extension"),
    (
        "more long strings under way in one stream than are followed",
        "more long strings begin in one stream than are followed",
    ),
    (
        "more strings that overlap each other than are told apart",
        "more overlapping matches in one stream than are reported",
    ),
    ("a journal is of run (.*), the capture of run", r"a journal belongs to run \1, the capture to run"),
    ("are no JSON: their", "are not JSON: their"),
    ("nest deeper", "are nested deeper"),
    ("the journals hold more strings", "the journals contain more strings"),
    ("the journals hold no string to look for", "the journals contain no string to search for"),
    ("there is no manifest: (?:nobody|nothing) vouches for this file", "there is no manifest, so this file cannot be verified"),
    ("the file holds", "the file contains"),
    ("the manifest does not say how many", "the manifest does not state how many"),
    (
        "are of another time than the manifest says that the capture took",
        "lie outside the time that the manifest states",
    ),
    (
        r"the capture itself says that (.*) frame\(s\) were dropped",
        r"the capture file itself counts \1 dropped frame(s)",
    ),
    ("to look behind TLS", "to decrypt TLS"),
    ("does not open both sides of", "does not decrypt both directions of"),
    ("speak HTTP in the clear", "contain HTTP in the clear"),
    ("that they are not found shows nothing", "not finding them proves nothing"),
    ("so nothing can be said of it", "so it cannot be judged"),
    (
        "two captures of one phase are of (.*): one of them is of something else",
        r"two captures of one phase name the interface \1",
    ),
    (
        r"what only user (\S+) told is on (\S+), (frame \d+), for somebody else",
        r"\2: \3 carries the secret of user \1 to or from another client",
    ),
    ("where it does not belong", "where the protocol does not allow it"),
    ("expected struct Asked", "expected struct RequestedAttempt"),
    ("gzip data with a wrong checksum", "corrupt gzip stream does not have a matching checksum"),
    (
        "two canaries are the same: nobody can tell whose it is",
        "two canaries, secrets or user ids are equal: a match has no single owner",
    ),
    ("is no TLS content type", "is not a TLS content type"),
    (r"wants (\d+) bytes, (\d+) are there", r"needs \1 bytes, \2 are left"),
    ("the capture holds no ServerHello", "the capture lacks the ServerHello"),
    ("gzip data that ends inside its trailer", "unexpected end of file"),
    (r"deflate decompression error: [^\"]*", "corrupt deflate stream"),
    (
        "not read as HTTP: the connection switched to another protocol",
        "not read as WebSocket: a WebSocket extension",
    ),
    (": none was taken where it passes", ", so its interface was not captured"),
    ("it holds more frames", "it contains more frames"),
    (r"says that its (\S+) to (\S+) got through, and", r"reports that its \1 attempt to \2 succeeded, and"),
    (
        r"of (\d+) attempt\(s\) with a network (\d+) were seen to get through, not every way",
        r"\2 of \1 attempt(s) with a network were seen, not one to every target",
    ),
    (r"^no box of", "no sandbox of"),
    ("was not captured in every part of the run", "was not captured in every phase of the run"),
    ("while the boxes ran", "while the sandboxes ran"),
    ("the boxes' journal", "the sandboxes' journal"),
    ("the claimed identity was not seen read and replayed", "no capture shows the claimed user id read and replayed"),
    ("does not say from when to when it was captured", "does not state when it started and ended"),
    ("there are no decoys to look for", "there are no decoys: the manifest names none"),
    ("the capture holds no ClientHello", "the capture lacks the ClientHello"),
    ("the key log does not name this connection", "the key log has no entry for this connection"),
    (
        r"(\d+) frame\(s\) that are not of the users' talk, the first is (frame \d+): ",
        r"\1 frame(s) are not the users' traffic; first: \2, ",
    ),
    (r"(\d+) bytes that nobody can explain: ", r"\1 payload bytes are not explained; first: "),
    ("TCP streams are no HTTP in the clear", "TCP streams are not HTTP in the clear"),
    (
        "the users' talk with the gateway is in no capture(: none of them was where it passes)?",
        "no capture holds the users' traffic with the gateway, so its interface was not captured",
    ),
    ("a WebSocket frame out of turn", "a WebSocket frame out of order"),
    (r": said (\d+) time", r": recorded \1 time"),
    ("where message framing stood", "where message framing was"),
]

# Every intended difference between the two programs.
EXPLAINED = [
    Added("captures[].doubts", "doubts with a stable code and scope beside `reasons`"),
    Added("isolation[].leaks", "leaks with a stable code and scope beside `reasons`"),
    Added("isolation[].doubts", "doubts with a stable code and scope beside `reasons`"),
    Changed("isolation[].interfaces[].box_frames_listed[].wire_bytes", "one length on the wire for every list of frames"),
    Detailed(
        "(.* TCP streams are not whole): (.*)",
        "all troubles of the first stream are named, as in the comparison of captures",
    ),
    Continued("a request that crosses after its answer is shown too"),
    Dropped("^[^:]*: 0 bytes that nobody can explain", "no bytes at all are no unexplained bytes"),
    NowRead("websocket", "WebSocket messages are read"),
    Ordered("isolation[].reasons", "the doubts of an isolation run came in hash order"),
] + [Reworded(pattern, now, "plain words") for pattern, now in REWORDED]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--damaged", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep damaged captures whose results differ")
    flags = parser.parse_args()
    programs = [program.resolve() for program in (flags.old, flags.new)]
    for program in programs:
        if not program.is_file():
            parser.error(f"{program} is not a file")

    tally = Tally()
    captures = []
    for path in flags.paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
        captures += inside
        for one in ([path] if path.is_dir() else []) + inside:
            tally.add("as they are", str(one), *compare(programs, one))
    small = [path for path in captures if path.stat().st_size <= MAX_DAMAGED_BYTES]
    if flags.damaged and not small:
        parser.error("no capture is small enough to be damaged")
    for index in range(flags.damaged):
        chance = random.Random(f"{flags.seed}/{index}")
        source = chance.choice(small)
        with tempfile.TemporaryDirectory(prefix="plainsight-compare-") as folder:
            copy, what = damaged_copy(source, Path(folder), chance)
            differences, explained = compare(programs, copy)
            name = f"damaged {index} (seed {flags.seed}): {source.name}: {what}"
            tally.add("damaged", name, differences, explained)
            if differences and flags.keep:
                shutil.copytree(folder, flags.keep / f"damaged-{flags.seed}-{index}", dirs_exist_ok=True)
    return tally.finish()


class Tally:
    """What was compared, and how it came out."""

    def __init__(self):
        self.counts, self.explained, self.statuses = Counter(), Counter(), Counter()

    def add(self, kind, name, differences, explained):
        outcome = "different" if differences else "explained" if explained else "equal"
        self.counts[kind, outcome] += 1
        self.explained.update({why: 1 for why in explained})
        if differences:
            print(f"DIFFERENT {name}")
            for difference in differences[:SHOWN]:
                print(f"    {difference}")
            if len(differences) > SHOWN:
                print(f"    and {len(differences) - SHOWN} more")

    def finish(self):
        for kind in ("as they are", "damaged"):
            equal, explained, different = (self.counts[kind, key] for key in ("equal", "explained", "different"))
            total = equal + explained + different
            if total:
                print(f"{kind}: {total} compared, {equal} equal, {explained} explained, {different} different")
        for why, count in sorted(self.explained.items()):
            print(f"    {count} x {why}")
        if not sum(self.counts.values()):
            print("nothing was compared")
            return 2
        return 1 if any(outcome == "different" for _, outcome in self.counts) else 0


def compare(programs, path):
    """The differences between both results, and the reasons of those that are explained."""
    (old_status, old), (new_status, new) = (run(program, path) for program in programs)
    differences, explained = [], set()
    if old_status != new_status:
        differences.append(f"exit status: {old_status} -> {new_status}")
    walk("", old, new, differences, explained)
    return differences, explained


def run(program, path):
    command = [program, "--format", "json", "--no-output", "--quiet", path]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return "timeout", None
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, done.stdout.decode(errors="replace")


def walk(path, old, new, differences, explained):
    for rule in EXPLAINED:
        old, new, was_applied = rule.apply(path, old, new)
        if was_applied:
            explained.add(rule.why)
    if isinstance(old, dict) and isinstance(new, dict):
        if [key for key in old if key in new] != [key for key in new if key in old]:
            differences.append(f"{path}: the fields have another order")
        for key in dict.fromkeys([*old, *new]):
            inner = f"{path}.{key}".lstrip(".")
            if key not in old or key not in new:
                differences.append(f"{inner}: only in the {'new' if key in new else 'old'} result")
            else:
                walk(inner, old[key], new[key], differences, explained)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            differences.append(f"{path}: {len(old)} -> {len(new)} entries: {shortened(old)} -> {shortened(new)}")
        for one, other in zip(old, new):
            walk(f"{path}[]", one, other, differences, explained)
    elif type(old) is not type(new) or old != new:
        differences.append(f"{path}: {shortened(old)} -> {shortened(new)}")


def shortened(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + "…"


def damaged_copy(source, folder, chance):
    """Copies a capture with the files of its run, and damages one of them. Returns what to analyze, and the damage."""
    stem = source.name.split(".")[0]
    # The captures of an isolation run are judged together.
    is_of_isolation = (source.parent / "isolation.json").is_file() and stem == "isolation"
    for file in source.parent.iterdir():
        belongs = file.name.split(".")[0] == stem and (is_of_isolation or file.suffix not in SUFFIXES)
        if file == source or belongs and file.is_file():
            shutil.copy(file, folder)
    copy = folder / source.name
    judged = folder if is_of_isolation else copy
    companions = sorted(file for file in folder.iterdir() if file.suffix not in SUFFIXES)
    if companions and chance.random() < 0.2:
        companion = chance.choice(companions)
        what = damage_bytes(companion, chance)
        return judged, f"{companion.name}: {what}"
    records = pcap_records(copy.read_bytes())
    what = damage_records(copy, records, chance) if records and chance.random() < 0.6 else damage_bytes(copy, chance)
    if chance.random() < 0.5 and vouch(copy):
        what += ", with a manifest for it"
    return judged, what


def damage_bytes(file, chance):
    data = bytearray(file.read_bytes())
    size = len(data)
    if not size:
        return "empty already"
    at, length = chance.randrange(size), min(chance.choice([1, 2, 4, 16, 100, 1000]), size)
    what = chance.choice(["flip", "flips", "noise", "zeros", "insert", "delete", "truncate", "repeat"])
    if what == "flip":
        data[at] ^= 1 << chance.randrange(8)
    elif what == "flips":
        for _ in range(chance.randint(2, 50)):
            data[chance.randrange(size)] ^= 1 << chance.randrange(8)
    elif what == "noise":
        data[at : at + length] = chance.randbytes(len(data[at : at + length]))
    elif what == "zeros":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif what == "insert":
        data[at:at] = chance.randbytes(length)
    elif what == "delete":
        del data[at : at + length]
    elif what == "truncate":
        del data[at:]
    else:
        data[at:at] = data[at : at + length]
    file.write_bytes(data)
    return f"{what} at byte {at} of {size}"


def pcap_records(data):
    """Header and records of a little-endian pcap file; None for any other file."""
    if data[:4] not in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        return None
    records, at = [], 24
    while at + 16 <= len(data):
        seconds, fraction, captured, original = struct.unpack_from("<IIII", data, at)
        records.append([seconds, fraction, captured, original, data[at + 16 : at + 16 + captured]])
        at += 16 + captured
    return (data[:24], records) if records else None


def damage_records(file, parsed, chance):
    header, records = parsed
    header = bytearray(header)
    at = chance.randrange(len(records))
    record = records[at]
    what = chance.choice(
        ["drop", "drop some", "twice", "swap", "cut", "shorten", "time", "length", "original length", "headers",
         "payload", "link type", "reverse", "head", "tail"]
    )
    if what == "drop":
        del records[at]
    elif what == "drop some":
        records[:] = [one for one in records if chance.random() > 0.1]
    elif what == "twice":
        records.insert(chance.randrange(len(records)), list(record))
    elif what == "swap":
        other = chance.randrange(len(records))
        records[at], records[other] = records[other], records[at]
    elif what == "cut":
        keep = chance.randrange(len(record[4]) + 1)
        record[4], record[2] = record[4][:keep], keep
    elif what == "shorten":
        keep = chance.randrange(len(record[4]) + 1)
        record[4], record[2], record[3] = record[4][:keep], keep, keep
    elif what == "time":
        record[0] = chance.choice([0, 0xFFFF_FFFF, record[0] - 1, record[0] + 3600]) & 0xFFFF_FFFF
    elif what == "length":
        record[2] = chance.choice([0, record[2] + 1, max(record[2] - 1, 0), 262_144, 0x7FFF_FFFF])
    elif what == "original length":
        record[3] = chance.choice([0, record[3] + 1, max(record[3] - 1, 0), 65_535, 0xFFFF_FFFF])
    elif what in ("headers", "payload"):
        frame = bytearray(record[4])
        low, high = (0, min(66, len(frame))) if what == "headers" else (min(66, len(frame)), len(frame))
        for _ in range(chance.randint(1, 4)):
            if low < high:
                frame[chance.randrange(low, high)] = chance.randrange(256)
        record[4] = bytes(frame)
    elif what == "link type":
        struct.pack_into("<I", header, 20, chance.choice([0, 1, 101, 113, 228, 276, 0xFFFF]))
    elif what == "reverse":
        records.reverse()
    elif what == "head":
        del records[:at]
    else:
        del records[at + 1 :]
    data = b"".join(struct.pack("<IIII", *one[:4]) + one[4] for one in records)
    file.write_bytes(bytes(header) + data)
    return f"{what} at record {at}"


def vouch(copy):
    """Makes the manifest one of the damaged file, so that more than its hash is judged."""
    manifest = copy.with_suffix(".manifest.json")
    try:
        content = json.loads(manifest.read_text())
        data = copy.read_bytes()
        content["capture"]["sha256"] = hashlib.sha256(data).hexdigest()
        if "bytes" in content["capture"]:
            content["capture"]["bytes"] = len(data)
        parsed = pcap_records(data)
        content["capture"]["frames"] = len(parsed[1]) if parsed else 0
    except (OSError, ValueError, KeyError, TypeError):
        return False
    manifest.write_text(json.dumps(content))
    return True


if __name__ == "__main__":
    sys.exit(main())
