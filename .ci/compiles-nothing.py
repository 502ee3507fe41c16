#!/usr/bin/env python3
"""Fails if a cargo command compiles anything: everything that it needs must have been built before.

    .ci/compiles-nothing.py build -p analyze
    .ci/compiles-nothing.py --each-program      after `make lab` or `make build`: `build -p` of every program it builds
    .ci/compiles-nothing.py --each-test         after `make test`: `test --no-run -p` of every crate

A crate that is compiled although the whole workspace is built is one that cargo gives other features for a single package
than for all: name the features in `[workspace.dependencies]`, or, for a crate that ours use only indirectly, in
`workspace-hack` or `workspace-hack-net`. Only the standard library of Python 3 is used.
"""

import json
import os
import subprocess
import sys

CARGO = os.environ.get("CARGO", "cargo")


def compiled(arguments):
    """The units that `cargo ARGUMENTS` compiles, each with the features that it has."""
    run = subprocess.run([CARGO, *arguments, "--message-format=json"], check=True, stdout=subprocess.PIPE)
    units = []
    for line in run.stdout.splitlines():
        message = json.loads(line) if line.startswith(b"{") else {}
        if message.get("reason") == "compiler-artifact" and not message["fresh"]:
            kind, features = "/".join(message["target"]["kind"]), ", ".join(message["features"])
            units.append(f"{message['package_id'].split('/')[-1]} ({kind}; {features or 'no features'})")
    return units


def commands(arguments):
    if arguments not in (["--each-program"], ["--each-test"]):
        return [arguments]
    listed = subprocess.run(
        [CARGO, "metadata", "--no-deps", "--format-version", "1"], check=True, stdout=subprocess.PIPE
    ).stdout
    packages = json.loads(listed)["packages"]
    if arguments == ["--each-test"]:
        return [["test", "--no-run", "-p", package["name"]] for package in packages]
    programs = [p["name"] for p in packages if any(t["kind"] == ["bin"] and t["name"] == p["name"] for t in p["targets"])]
    return [["build", "-p", name] for name in programs]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = False
    for arguments in commands(sys.argv[1:]):
        units = compiled(arguments)
        print(f"cargo {' '.join(arguments)}: {len(units)} units compiled", *units, sep="\n    ")
        failed |= bool(units)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
