#!/usr/bin/env python3
"""Checks who imports whom: no circle of files in any crate, the layers that ARCHITECTURE.md describes, and no dependency
that nothing uses.

    .ci/imports.py              checks the workspace; exit status 1: stderr lists what breaks a rule
    .ci/imports.py --graph      prints every edge between two files, for reading

What counts as an import of one file by another, within one crate:

  * A path that begins with `crate`, `super`, `self` or the name of a child module, in a `use` or anywhere in code. It
    is an import of the file of the deepest module that it names, even if that file only re-exports the item.
  * A declaration (`mod child;`) is no import. A re-export (`pub use child::Item`) is one, of the child by its parent.
  * A child may use what the files of the modules around it define: to the rest of the crate, a module and its children
    are one unit.
  * Code under `#[cfg(test)]` does not count: a test may import whatever it compares.

Comments and strings do not count, except for strings that are nothing but a path (serde's `with = "crate::hex"`).
Only the standard library of Python 3.11 is used.
"""

import json
import os
import re
import subprocess
import sys
import tomllib

# --- the rules, as data --------------------------------------------------------------------------------------------

# What is known to break a rule and being removed. An entry that no longer matches is an error: delete it then.
# Crates with a circle, and the number of its files.
KNOWN_CIRCLES = {}
# Modules that files of a layer (see LAYERS) still name.
KNOWN_LAYER_BREAKS = set()

# The observer never imports the observed, nor the other way round (ARCHITECTURE.md, invariant 1). Every crate belongs to
# one group.
OBSERVER = {"dissect", "search", "analyze", "report", "exposure-schema", "fuzz-targets", "policy"}
OBSERVED = {
    "agent-a", "agent-b", "agent-core", "capturer", "certgen", "experiment", "gateway", "isolation-control", "lab", "runner", "sandbox",
    "serve",
}
# The page is a client of the observed, and shows what the observer finds. Inside it the two meet as the text of a journal.
PAGE = {"live"}
# One executable that contains the programs of both sides, and has only their command lines.
ALL_IN_ONE = {"plainsight"}
# Crates of tests and measurements run the programs and import neither side's code; `craft` is what they write captures
# with, and the observer's tests may use it too.
OUTSIDE = {"bench", "craft", "e2e", "test-support"}
# No code of ours: any crate may depend on these.
ANYWHERE = {"workspace-hack", "workspace-hack-net"}

# For each group: the crates that its crates may depend on, and those that their tests may depend on besides.
MAY_DEPEND_ON = {
    "observer": (OBSERVER, {"craft", "test-support"}),
    "observed": (OBSERVED | {"craft"}, {"test-support"}),
    "page": (OBSERVER | OBSERVED, {"craft", "test-support"}),
    "all in one": (OBSERVER | OBSERVED | PAGE, {"test-support"}),
    "outside": (OUTSIDE | {"experiment"}, set()),
    "anywhere": (ANYWHERE, set()),
}
GROUPS = {"observer": OBSERVER, "observed": OBSERVED, "page": PAGE, "all in one": ALL_IN_ONE, "outside": OUTSIDE, "anywhere": ANYWHERE}

# Files below the first name nothing of the modules and crates behind it.
LAYERS = [
    ("crates/analyze/src/pipeline/", {"verdict", "output", "observe"}, {"serde", "serde_json"}),
]

# --- reading Rust ---------------------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"""
      (?P<skip>   \s+ | //[^\n]* )
    | (?P<block>  /\* )
    | (?P<raw>    (?:b|c)?r(?P<hashes>\#*)" )
    | (?P<string> (?:b|c)?"(?:[^"\\]|\\.)*" )
    | (?P<char>   b?'(?:[^'\\]|\\(?:x..|u\{[^}]*\}|.))' )
    | (?P<life>   '[A-Za-z_]\w* )
    | (?P<ident>  (?:r\#)?[A-Za-z_]\w* )
    | (?P<number> \d[\w.]* )
    | (?P<path>   :: )
    | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text):
    """The tokens of a source file, without comments; a string that is a path of modules becomes its tokens."""
    out, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        at = match.end()
        kind = match.lastgroup if match.lastgroup != "hashes" else "raw"
        if kind == "skip":
            continue
        if kind == "block":
            depth = 1
            while depth:
                step = re.compile(r"/\*|\*/").search(text, at)
                depth += 1 if step.group() == "/*" else -1
                at = step.end()
        elif kind == "raw":
            at = text.index('"' + match.group("hashes"), at) + 1 + len(match.group("hashes"))
            out.append('"')
        elif kind == "string":
            inner = match.group().split('"', 1)[1][:-1]
            is_path = re.fullmatch(r"(crate|super|self)(::[A-Za-z_]\w*)+", inner)
            out.extend(["(", *re.findall(r"\w+|::", inner), ")"] if is_path else ['"' + inner])
        elif kind in ("char", "life", "number"):
            out.append("''")
        else:
            out.append(match.group().removeprefix("r#"))
    return out


def closing(toks, at):
    """The index behind the bracket that closes the one at `at`."""
    depth = 0
    while at < len(toks):
        if toks[at] in "([{":
            depth += 1
        elif toks[at] in ")]}":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at


def without_tests(toks):
    """The tokens without the items under `#[cfg(test)]`."""
    out, at = [], 0
    while at < len(toks):
        if toks[at : at + 2] == ["#", "["] and "".join(toks[at : closing(toks, at + 1)]) in (
            "#[cfg(test)]", "#[cfg(all(test,unix))]",
        ):
            at = closing(toks, at + 1)
            while at < len(toks) and toks[at] not in (";", "{"):
                at = closing(toks, at) if toks[at] in "([" else at + 1
            at = closing(toks, at) if at < len(toks) and toks[at] == "{" else at + 1
        else:
            out.append(toks[at])
            at += 1
    return out


class Module:
    def __init__(self, path, file, folder):
        self.path, self.file, self.folder = path, file, folder
        self.children, self.uses, self.references, self.external = {}, [], [], set()


def use_tree(toks, at, prefix):
    """The paths of a `use`, and the index behind it."""
    path, out = list(prefix), []
    while at < len(toks):
        token = toks[at]
        if token == "::":
            at += 1
        elif token == "{":
            at += 1
            while toks[at] != "}":
                found, at = use_tree(toks, at, path)
                out += found
                at += toks[at] == ","
            return out, at + 1
        elif token == "as":
            return [path], at + 2
        elif token == "*":
            return [path], at + 1
        elif re.fullmatch(r"\w+", token):
            if token == "self" and path:
                at += 1
            else:
                path.append(token)
                at += 1
        else:
            break
    return [path] if path else [], at


def read_module(module, toks, modules, inline_folder, tests):
    """Fills in the module's children, uses and references; reads the files of its children."""
    modules[module.path] = module
    at, explicit = 0, None
    while at < len(toks):
        token, following = toks[at], toks[at + 1] if at + 1 < len(toks) else ""
        if toks[at : at + 4] == ["#", "[", "path", "="]:
            explicit = toks[at + 4].removeprefix('"')
            at += 6
            continue
        if token == "mod" and at + 2 < len(toks) and toks[at + 2] in (";", "{"):
            name, path = following, (*module.path, following)
            module.children[name] = path
            if toks[at + 2] == "{":
                end = closing(toks, at + 2)
                child = Module(path, module.file, module.folder)
                read_module(child, toks[at + 3 : end - 1], modules, os.path.join(inline_folder, name), tests)
                at = end
            else:
                read_file(path, find_file(module, inline_folder, name, explicit), modules, tests)
                at += 3
            explicit = None
        elif token == "use":
            found, at = use_tree(toks, at + 1, [])
            module.uses += found
        elif token == "in" and at > 1 and toks[at - 2] == "pub":
            at = closing(toks, at - 1)
        elif re.fullmatch(r"[A-Za-z_]\w*", token) and following == "::" and (at == 0 or toks[at - 1] != "::"):
            path = [token]
            at += 1
            while at + 1 < len(toks) and toks[at] == "::" and re.fullmatch(r"[A-Za-z_]\w*", toks[at + 1]):
                path.append(toks[at + 1])
                at += 2
            module.references.append(path)
        else:
            if token in ("serde", "serde_json"):
                module.external.add(token)
            at += 1


def find_file(module, folder, name, explicit):
    if explicit is not None:
        return os.path.normpath(os.path.join(os.path.dirname(module.file), explicit))
    for candidate in (os.path.join(folder, name + ".rs"), os.path.join(folder, name, "mod.rs")):
        if os.path.exists(candidate):
            return candidate
    raise SystemExit(f"{module.file}: no file for `mod {name};`")


def read_file(path, file, modules, tests):
    with open(file, encoding="utf-8") as source:
        toks = tokens(source.read())
    toks = toks if tests else without_tests(toks)
    folder, name = os.path.split(file)
    if name not in ("mod.rs", "lib.rs", "main.rs") and path:
        folder = os.path.join(folder, name.removesuffix(".rs"))
    read_module(Module(path, file, folder), toks, modules, folder, tests)


# --- resolving ------------------------------------------------------------------------------------------------------


def absolute(module, path):
    """The path from the crate's root, or None if it leads out of the crate."""
    head, rest = path[0], path[1:]
    if head == "crate":
        base = ()
    elif head == "self":
        base = module.path
    elif head == "super":
        base = module.path[:-1]
        while rest and rest[0] == "super":
            base, rest = base[:-1], rest[1:]
    elif head in module.children:
        base, rest = module.path, path
    else:
        return None
    return (*base, *rest)


def named_module(modules, path):
    """The deepest module that a path from the root names."""
    depth = 0
    while depth < len(path) and path[: depth + 1] in modules:
        depth += 1
    return modules[path[:depth]]


def edges_of(root, tests=False):
    """Which file imports which, in the crate whose root file is `root`; and for each file the modules that it names."""
    modules = {}
    read_file((), root, modules, tests)
    edges, named = {}, {}
    for module in modules.values():
        names = named.setdefault(module.file, set())
        names |= module.external
        # A path may also begin with a name that a `use` binds; the `use` itself is the import then.
        for path in module.uses + module.references:
            whole = absolute(module, path)
            if whole is None:
                names.add(path[0])
                continue
            names.add("crate::" + (whole[0] if whole else ""))
            other = named_module(modules, whole)
            if other.file != module.file and module.path[: len(other.path)] != other.path:
                edges.setdefault(module.file, set()).add(other.file)
    return edges, named


def circles(edges):
    """The strongly connected components of more than one file (Tarjan)."""
    index, low, stack, on_stack, out = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = set()
            while True:
                other = stack.pop()
                on_stack.discard(other)
                component.add(other)
                if other == node:
                    break
            if len(component) > 1:
                out.append(component)

    sys.setrecursionlimit(10_000)
    for node in sorted(edges):
        if node not in index:
            visit(node)
    return out


def shortest_circle(edges, component):
    """A way from the component's first file back to it, as short as there is one in the component."""
    best = None
    for start in sorted(component):
        before, queue = {start: None}, [start]
        for node in queue:
            for other in sorted(edges.get(node, set()) & component):
                if other == start:
                    way = [start]
                    while node is not None:
                        way.append(node)
                        node = before[node]
                    way.reverse()
                    if best is None or len(way) < len(best):
                        best = way
                elif other not in before:
                    before[other] = node
                    queue.append(other)
    return best


# --- the checks -----------------------------------------------------------------------------------------------------


def check_files(packages, root, show):
    problems, known = [], set()
    for package in packages:
        folder = os.path.dirname(package["manifest_path"])
        used = {"normal": set(), "dev": set()}
        for source, kind in sorted({(target["src_path"], target["kind"][0]) for target in package["targets"]}):
            edges, named = edges_of(source)
            used["dev"] |= set().union(*edges_of(source, tests=True)[1].values())
            if kind in ("lib", "proc-macro", "bin"):
                used["normal"] |= set().union(*named.values())
            relative = lambda file: os.path.relpath(file, root)
            if show:
                for file in sorted(edges):
                    for other in sorted(edges[file]):
                        print(f"{relative(file)} -> {relative(other)}")
            for component in circles(edges):
                files = {os.path.relpath(file, folder) for file in component}
                if len(files) <= KNOWN_CIRCLES.get(package["name"], 0):
                    known.add(package["name"])
                    continue
                way = " -> ".join(relative(file) for file in shortest_circle(edges, component))
                problems.append(
                    f"{package['name']}: {len(files)} files import each other in a circle: {', '.join(sorted(files))};"
                    f"\n    the shortest way round: {way}"
                )
            problems += check_layers(named, root, known)
        problems += check_unused(package, used)
    for entry in sorted({*KNOWN_CIRCLES, *KNOWN_LAYER_BREAKS} - known, key=str):
        problems.append(f"{entry}: this breaks no rule any more: delete its entry at the top of .ci/imports.py")
    return problems


def check_unused(package, used):
    """Dependencies whose name heads no path. Those that are listed for their features alone are named in the package's
    metadata: `[package.metadata.imports] unnamed = […]`."""
    if package["name"] in ANYWHERE:
        return []
    unnamed = ((package["metadata"] or {}).get("imports") or {}).get("unnamed", [])
    problems = []
    for dependency in package["dependencies"]:
        name = dependency["rename"] or dependency["name"]
        kind = dependency["kind"] or "normal"
        if kind == "build" or name in unnamed or dependency["name"] in ANYWHERE:
            continue
        if name.replace("-", "_") not in used[kind]:
            problems.append(f"{package['name']}: nothing uses the {kind} dependency {name}")
    return problems


def check_layers(named, root, known):
    problems = []
    for file, names in sorted(named.items()):
        file = os.path.relpath(file, root)
        for below, modules, crates in LAYERS:
            if file.startswith(below):
                wrong = {name for name in modules if "crate::" + name in names} | (names & crates)
                known |= {(below, name) for name in wrong} & KNOWN_LAYER_BREAKS
                wrong = {name for name in wrong if (below, name) not in KNOWN_LAYER_BREAKS}
                problems += [f"{file} names `{name}`, which is above {below}" for name in sorted(wrong)]
    return problems


def check_crates(packages):
    problems, names = [], {package["name"] for package in packages}
    for package in packages:
        name = package["name"]
        groups = [group for group, members in GROUPS.items() if name in members]
        if len(groups) != 1:
            problems.append(f"{name}: enter the crate into one of the groups of .ci/imports.py")
            continue
        allowed, in_tests = MAY_DEPEND_ON[groups[0]]
        for dependency in package["dependencies"]:
            if dependency["name"] not in names or dependency["path"] is None:
                continue
            if dependency["name"] not in allowed | ANYWHERE | (in_tests if dependency["kind"] == "dev" else set()):
                problems.append(f"{name} ({groups[0]}) must not depend on {dependency['name']}")
    return problems


def check_workspace_dependencies(packages, root):
    """Entries of `[workspace.dependencies]` that no crate inherits."""
    inherited = set()
    for package in packages:
        with open(package["manifest_path"], "rb") as manifest:
            tables = [tomllib.load(manifest)]
        tables += tables[0].get("target", {}).values()
        for table in tables:
            for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
                inherited |= {name for name, value in table.get(kind, {}).items() if "workspace" in value}
    with open(os.path.join(root, "Cargo.toml"), "rb") as manifest:
        listed = tomllib.load(manifest)["workspace"]["dependencies"]
    return [f"workspace: no crate inherits the dependency {name}" for name in sorted(set(listed) - inherited)]


def main():
    metadata = json.loads(
        subprocess.run(
            [os.environ.get("CARGO", "cargo"), "metadata", "--no-deps", "--format-version", "1"],
            check=True, stdout=subprocess.PIPE,
        ).stdout
    )
    packages, root = metadata["packages"], metadata["workspace_root"]
    problems = check_files(packages, root, "--graph" in sys.argv[1:]) + check_crates(packages)
    problems += check_workspace_dependencies(packages, root)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
