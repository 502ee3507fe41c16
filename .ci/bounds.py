#!/usr/bin/env python3
"""Checks that the tables of bounds in ARCHITECTURE.md and the constants of the parsers are the same: every `MAX_…` constant
has a row, every row names constants that exist, and the row states the value that the code has.

    .ci/bounds.py               checks; exit status 1: stderr lists every difference

A row names a constant as `file::NAME`, by the file or a folder around it; later names of the row can leave that out. A word
behind the names, such as (`observe`), names a folder or crate too. The row's second cell contains the value: a number, with
KiB, MiB, GiB, ms, s, min or h if it has a unit. Only the standard library of Python 3.11 is used.
"""

import ast
import os
import re
import sys

# The crates whose bounds protect the analyzer from captured bytes; sections of the page that are about them have one of their
# names in the heading.
CRATES = ("dissect", "analyze", "search")

# Constants that limit nothing which grows: sizes that a format fixes, and what they mean.
FORMATS = {
    "dissect/link/nflog.rs MAX_TYPE": "largest type of an attribute",
    "dissect/http2/frame.rs MAX_PLAUSIBLE_STREAM": "recognises frames",
    "dissect/http2/frame.rs MAX_FRAME_SIZE": "name of a setting (RFC 9113 §6.5.2)",
    "dissect/http2/detect.rs MAX_FIRST_SETTINGS": "recognises the first frame",
    "dissect/http1/search.rs MAX_LOOKAHEAD": "sum of MAX_START_LINE and MAX_FIELD_NAME",
    "dissect/http1/detect.rs MAX_METHOD": "longest registered method",
    "dissect/websocket.rs MAX_HEADER": "longest header of a frame (RFC 6455 §5.2)",
    "dissect/tls/certificate/der.rs MAX_LENGTH_OCTETS": "bytes of a length that fits into a certificate",
    "dissect/tls/decrypt.rs MAX_HASH": "SHA-384",
    "dissect/tls/transcript.rs MAX_HASH": "SHA-384",
    "dissect/tls/legacy/prf.rs MAX_HASH": "SHA-384",
    "dissect/tls/legacy/protection.rs MAX_KEY_BLOCK": "keys of the largest suite",
    "dissect/tls/handshake.rs MAX_SESSION_ID": "RFC 5246 §7.4.1.2",
    "dissect/tls/handshake.rs MAX_UNCOMPRESSED": "MAX_HANDSHAKE_MESSAGE",
    "dissect/tls/record.rs MAX_PLAINTEXT": "RFC 8446 §5.1",
    "dissect/tls/record.rs MAX_CIPHERTEXT": "RFC 5246 §6.2.3",
    "dissect/tls/record.rs MAX_CIPHERTEXT_TLS13": "RFC 8446 §5.2",
    "dissect/quic/keys.rs MAX_KEY": "AES-256",
    "dissect/quic/keys.rs MAX_SECRET": "SHA-384",
    "dissect/keylog.rs MAX_SECRET": "SHA-384",
    "search/matcher.rs MAX_STRIDE": "follows from MAX_WINDOW",
}

UNITS = {
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
    "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "ms": 10**6,
}
CONSTANT = re.compile(r"^ *(?:pub(?:\([a-z:]+\))? )?const ([A-Z][A-Z0-9_]*): ([^=]+?) = ([^;]+);", re.MULTILINE)


class Constant:
    def __init__(self, crate, path, name, kind, text):
        self.crate, self.path, self.name, self.kind, self.text = crate, path, name, kind, text
        parts = path.removesuffix(".rs").split("/")
        self.modules = [crate] + [part for part in parts if part != "mod"]
        self.key = f"{crate}/{path} {name}"

    def value(self, constants):
        """Its value, durations in nanoseconds; `None` where it is no number."""
        in_ns = lambda match: f"({match[2]}) * {UNITS['s' if match[1] == 'secs' else 'ms']}"
        text = re.sub(r"Duration::from_(secs|millis)\((.*)\)", in_ns, self.text)
        text = re.sub(r" as \w+|(?<=\d)_(?=[ui]\d)|(?<=[\da-f])(?:u|i)(?:8|16|32|64|size)\b", "", text)
        text = re.sub(r"(?:[a-z_0-9]+::)*([A-Z][A-Z_0-9]+)", r"\1", text)
        try:
            return self.number(ast.parse(text.strip(), mode="eval").body, constants)
        except (SyntaxError, ValueError):
            return None

    def number(self, node, constants):
        match node:
            case ast.Constant(value=int(number)):
                return number
            case ast.BinOp(left=left, op=op, right=right):
                left, right = self.number(left, constants), self.number(right, constants)
                match op:
                    case ast.Add():
                        return left + right
                    case ast.Sub():
                        return left - right
                    case ast.Mult():
                        return left * right
                    case ast.LShift():
                        return left << right
            case ast.Name(id=name):
                near = [other for other in constants if other.name == name and other.crate == self.crate]
                near = [other for other in near if other.path == self.path] or near
                if len(near) == 1 and near[0] is not self:
                    value = near[0].value(constants)
                    if value is not None:
                        return value
        raise ValueError(self.key)


def constants_of(root):
    constants = []
    for crate in CRATES:
        source = os.path.join(root, "crates", crate, "src")
        for folder, _, files in os.walk(source):
            for file in sorted(files):
                path = os.path.relpath(os.path.join(folder, file), source)
                if not file.endswith(".rs") or file == "tests.rs":
                    continue
                with open(os.path.join(folder, file), encoding="utf-8") as text:
                    code = text.read().split("#[cfg(test)]\nmod tests {")[0]
                constants += [Constant(crate, path, *match.groups()) for match in CONSTANT.finditer(code)]
    return constants


def rows_of(page):
    """The rows about our crates: names as (modules, name), words behind them, the cell of the value."""
    is_ours = False
    for line in page.split("\n## Bounds\n")[1].split("\n## ")[0].split("\n"):
        if line.startswith("### "):
            is_ours = any(f"`{crate}`" in line for crate in CRATES)
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not is_ours or not line.startswith("| ") or cells[0] == "bound":
            continue
        names, modules = [], []
        for span in re.findall(r"`([^`]+)`", cells[0]):
            *before, name = span.split("::")
            if re.fullmatch(r"[A-Z][A-Z0-9_]+", name):
                modules = before or modules
                names.append((modules, name))
        words = re.findall(r"\(`?(\w+)`?\)", cells[0])
        yield names, words, cells[1]


def numbers_in(cell):
    """Every number of a cell, times its unit."""
    numbers = re.findall(r"(\d[\d,]*)(?: (KiB|MiB|GiB|ms|s|min|h)\b)?", cell)
    return {int(digits.replace(",", "")) * UNITS.get(unit, 1) for digits, unit in numbers}


def check(root):
    with open(os.path.join(root, "ARCHITECTURE.md"), encoding="utf-8") as page:
        page = page.read()
    constants = constants_of(root)
    covered, problems = set(), []
    for names, words, cell in rows_of(page):
        # A section about several crates has rows about others.
        if any(os.path.isdir(os.path.join(root, "crates", word)) for word in words if word not in CRATES):
            continue
        numbers = numbers_in(cell)
        for modules, name in names:
            found = [one for one in constants if one.name == name and set(modules) <= set(one.modules)]
            found = [one for one in found if any(word in one.modules for word in words)] or found
            if not found:
                problems.append(f"ARCHITECTURE.md: no constant `{'::'.join([*modules, name])}`")
                continue
            values = {one.key: one.value(constants) for one in found}
            same = [key for key, value in values.items() if value is None or value in numbers]
            if not same:
                problems.append(f"ARCHITECTURE.md: `{'::'.join([*modules, name])}` is {values}, not {cell}")
            covered |= set(same)
    for one in constants:
        if one.name.startswith("MAX_") and one.key not in covered and one.key not in FORMATS:
            name = f"{one.modules[-1]}::{one.name}"
            problems.append(f"ARCHITECTURE.md: no row names `{name}` ({one.key}, {one.value(constants)})")
    keys = {one.key for one in constants}
    problems += [f".ci/bounds.py: no constant {key}" for key in FORMATS if key not in keys]
    return problems


def main():
    problems = check(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
