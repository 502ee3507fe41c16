#!/usr/bin/env python3
"""Breaks each stage of the analyzer on purpose, and shows that a control or a doubt notices.

Each mutant of mutation.toml replaces one text of one source file. For each, this program builds `analyze` from a copy of the
work tree, analyzes the captures of one real run that the unchanged program has found "proven", and requires that

- the conclusion is not "proven", and
- one of the doubts that the table names is among the doubts, or, where it names none, the conclusion is "refuted".

A text that is not found exactly once in its file is an error: the table must stay true. Needs Python 3.11.

    .ci/mutation.py                    all mutants
    .ci/mutation.py NAME ...           these
    .ci/mutation.py --check            only whether every text is found once
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / ".ci" / "mutation.toml"
CARGO = os.environ.get("CARGO", "cargo")
# Built without optimisation, which takes half of the time.
UNOPTIMISED = [
    flag
    for package in ("analyze", "dissect", "search")
    for flag in ("--config", f"profile.dev.package.{package}.opt-level=0")
]
LAB = ["lab", "agent-a", "agent-b", "capturer", "certgen"]
# Messages of the run: every tool, and bodies of several records.
MESSAGES = "8"
# An analysis takes a second. A mutant may make it endless.
SECONDS = 120


def main():
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    mutants = tomllib.loads(TABLE.read_text())["mutant"]
    errors = check(mutants)
    if errors or "--check" in sys.argv:
        for error in errors:
            print(f"mutation: {error}", file=sys.stderr)
        sys.exit(1 if errors else 0)
    chosen = [mutant for mutant in mutants if not names or mutant["name"] in names]
    with tempfile.TemporaryDirectory(prefix="plainsight-mutation-") as folder:
        sys.exit(run(chosen, pathlib.Path(folder)))


def check(mutants):
    errors = []
    for mutant in mutants:
        count = (ROOT / mutant["file"]).read_text().count(mutant["text"])
        if count != 1:
            errors.append(f"{mutant['name']}: the text is {count} times in {mutant['file']}")
        if mutant["text"] == mutant["replacement"]:
            errors.append(f"{mutant['name']}: nothing is replaced")
    names = [mutant["name"] for mutant in mutants]
    return errors + [f"{name}: twice in the table" for name in sorted(set(names)) if names.count(name) > 1]


def run(mutants, folder):
    captures = record(folder)
    tree = folder / "tree"
    copy_work_tree(tree)
    problem = build(tree)
    if problem:
        sys.exit(f"mutation: the unchanged program does not build: {problem}")
    document, problem = analyze(captures)
    if problem or document["conclusion"] != "proven":
        sys.exit(f"mutation: the unchanged program does not find the run proven: {problem or document['reasons']}")
    print(f"{'mutant':<44} {'stage':<24} caught by", flush=True)
    survived = []
    for mutant in mutants:
        began = time.monotonic()
        path = tree / mutant["file"]
        original = path.read_text()
        path.write_text(original.replace(mutant["text"], mutant["replacement"]))
        outcome, is_caught = judge(mutant, tree, captures)
        path.write_text(original)
        if not is_caught:
            survived.append(mutant["name"])
            outcome = f"NOT CAUGHT: {outcome}"
        seconds = time.monotonic() - began
        print(f"{mutant['name']:<44} {mutant['stage']:<24} {outcome} ({seconds:.0f} s)", flush=True)
    print(f"{len(mutants) - len(survived)} of {len(mutants)} mutants caught")
    return 1 if survived else 0


def judge(mutant, tree, captures):
    """What noticed the mutant, and whether it is what must notice it."""
    problem = build(tree)
    if problem:
        return f"it does not build: {problem}", False
    document, problem = analyze(captures)
    if problem:
        return problem, False
    conclusion = document["conclusion"]
    codes = {doubt["code"] for capture in document["captures"] for doubt in capture["doubts"]}
    if conclusion == "proven":
        return f"proven, {sorted(codes)}", False
    expected = mutant["caught_by"]
    noticed = [code for code in expected if code in codes]
    if noticed:
        return ", ".join(noticed), True
    return f"{conclusion}, {sorted(codes)}", not expected and conclusion == "refuted"


def record(folder):
    """A run of the lab, made by the unchanged programs."""
    packages = [flag for name in LAB for flag in ("-p", name)]
    subprocess.run([CARGO, "build", "--quiet", *packages], cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    command = [target / "debug" / "lab", "run", "http", "https", "--count", MESSAGES, "--quiet"]
    command += ["--captures", folder / "captures", "--certs", folder / "certs"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return [folder / "captures" / "http.pcap", folder / "captures" / "https.pcap"]


def copy_work_tree(tree):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)


def target_folder():
    return ROOT / "target" / "mutation"


def build(tree):
    """Builds `analyze`; the first error if that fails."""
    command = [CARGO, "build", "--quiet", "-p", "analyze", *UNOPTIMISED]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target_folder())}
    built = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if built.returncode == 0:
        return None
    return next((line for line in built.stderr.splitlines() if line.startswith("error")), built.stderr[-200:])


def analyze(captures):
    """The document, or what went wrong."""
    command = [target_folder() / "debug" / "analyze", "--format", "json", "--no-output", *captures]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None, "it does not end"
    if done.returncode not in (0, 1, 2, 3):
        return None, f"status {done.returncode}: {done.stderr[-200:]}"
    return json.loads(done.stdout), None


if __name__ == "__main__":
    main()
