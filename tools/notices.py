#!/usr/bin/env python3
"""The licences of the crates that reknit is made of.

  tools/notices.py            prints the notices that THIRD-PARTY holds
  tools/notices.py --check    fails where THIRD-PARTY is not that text, or a crate's licence is not in deny.toml
  tools/notices.py --all      checks the licences of the crates for every platform, not just those of this one

Asks `cargo metadata` for the crates of Cargo.lock and reads the texts in their sources, which cargo has wherever it
has built; it needs no network then.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"
RULE = "-" * 100

HEAD = """Third-party notices of reknit {version}

The compiled library holds code of the crates below, each under the licence named; where a crate offers several,
this is the one that was taken. Their source is in vendor/ of the source tarball and at the addresses given.

The library also holds parts of the Rust standard library, copyright the Rust project's developers and taken under
the MIT license; the toolchain's own notices for it and for what it is made of go with the binary tarball, as
rust-standard-library.html.

Written by `make notices`.
"""

PORTED = """
These have parts that were ported from other works, under the licences of those works, which follow below:
"""

TOOLS = """
These crates are used while building; nothing of them is linked:
"""

NO_TEXT = """The crates named here say in their manifests that they are under the MIT license and bring no text of it
along. It is:

Copyright (c) the authors of {crates}

"""


def metadata(everywhere):
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    if not everywhere:
        command += ["--offline", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def linked(data):
    """The ids of the crates in the library: no tools of the build, no macros, which only write code."""
    packages = {p["id"]: p for p in data["packages"]}
    nodes = {n["id"]: n for n in data["resolve"]["nodes"]}
    found, todo = set(), [data["resolve"]["root"]]
    while todo:
        crate = todo.pop()
        if crate in found or any("proc-macro" in t["kind"] for t in packages[crate]["targets"]):
            continue
        found.add(crate)
        todo += [d["pkg"] for d in nodes[crate]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
    return found


class Expression:
    """An SPDX expression, in the old spelling with `/` too; `choose` gives the licences to take, or None."""

    def __init__(self, text, allowed):
        self.words = re.findall(r"[()]|[^\s()]+", text.replace("/", " OR "))
        self.allowed = allowed

    def choose(self):
        result = self.either()
        if self.words:
            raise ValueError("a licence expression ends with " + " ".join(self.words))
        return result

    def either(self):
        options = [self.both()]
        while self.words and self.words[0] == "OR":
            self.words.pop(0)
            options.append(self.both())
        options = [o for o in options if o is not None]
        return min(options, key=lambda o: [self.allowed.index(name) for name in o], default=None)

    def both(self):
        parts = [self.one()]
        while self.words and self.words[0] == "AND":
            self.words.pop(0)
            parts.append(self.one())
        return None if None in parts else [name for part in parts for name in part]

    def one(self):
        word = self.words.pop(0)
        if word == "(":
            inner = self.either()
            self.words.pop(0)
            return inner
        if self.words and self.words[0] == "WITH":
            word += " WITH " + self.words.pop(1)
            self.words.pop(0)
        return [word] if word in self.allowed else None


def allow_list():
    """What deny.toml allows for all crates, and for single ones besides."""
    text = re.sub(r"#.*", "", (ROOT / "deny.toml").read_text())
    for_all = re.findall(r'"([^"]+)"', re.search(r"^allow = \[(.*?)\]", text, re.M | re.S).group(1))
    exceptions = {}
    for names, crate in re.findall(r'\{ allow = \[(.*?)\], name = "([^"]+)" \}', text):
        exceptions[crate] = re.findall(r'"([^"]+)"', names)
    return for_all, exceptions


def licences(packages):
    """The licences to take of each crate by its id, and sentences about those that are not allowed."""
    for_all, exceptions = allow_list()
    taken, wrong = {}, []
    for p in packages:
        allowed = for_all + exceptions.get(p["name"], [])
        chosen = Expression(p["license"] or "none", allowed).choose()
        if chosen is None:
            wrong.append(f"{p['name']} {p['version']} is under {p['license']}, which deny.toml does not allow")
        taken[p["id"]] = " and ".join(chosen or [])
    unused = set(exceptions) - {p["name"] for p in packages}
    wrong += [f"deny.toml makes an exception for {name}, which is no crate of ours" for name in sorted(unused)]
    return taken, wrong


def texts(package):
    """The texts to hand on with a crate that is taken under MIT, by the names of their files."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(f for f in folder.iterdir() if re.match(r"(UN)?LICEN[CS]E|COPY(ING|RIGHT)|NOTICE", f.name, re.I))
    if any("MIT" in f.name.upper() for f in files):
        files = [f for f in files if not re.match(r"(?!.*MIT)(UN)?LICEN[CS]E|COPYING$", f.name, re.I)]
    return {f.name: re.sub(r"[ \t]+$", "", f.read_text().replace("\r", ""), flags=re.M).strip("\n") for f in files}


def name(package):
    return f"{package['name']} {package['version']}"


def notices(data):
    taken, _ = licences(data["packages"])
    inside = linked(data)
    crates = sorted((p for p in data["packages"] if p["source"]), key=lambda p: (p["name"], p["version"]))
    rows = {True: [], False: []}
    carriers, without, ported = {}, [], []
    for p in crates:
        rows[p["id"] in inside].append(f"  {name(p):30} {taken[p['id']]:20} {p['repository'] or ''}".rstrip())
        if p["id"] in inside:
            if taken[p["id"]] != "MIT":
                raise SystemExit(f"notices: {name(p)} is linked under {taken[p['id']]}: teach texts() what to hand on")
            found = texts(p)
            for text in found.values():
                carriers.setdefault(text, []).append(name(p))
            others = [file.replace("COPYING.", "") for file in found if file.startswith("COPYING.")]
            if others:
                ported.append(f"  {name(p)}: {', '.join(others)}")
            if len(others) == len(found):
                without.append(name(p))
    version = next(p["version"] for p in data["packages"] if not p["source"])
    parts = [HEAD.format(version=version), "\n".join(rows[True]), PORTED, "\n".join(ported), TOOLS, "\n".join(rows[False]), ""]
    for text, crates in sorted(carriers.items(), key=lambda item: item[1]):
        parts += [RULE, ", ".join(crates), RULE, "", text, ""]
    if without:
        ours = (ROOT / "LICENSE-MIT").read_text()
        body = ours[ours.index("Permission is hereby granted"):].rstrip("\n")
        parts += [RULE, ", ".join(without), RULE, "", NO_TEXT.format(crates=", ".join(without)) + body, ""]
    return "\n".join(parts)


def main():
    if sys.argv[1:] not in ([], ["--check"], ["--all"]):
        raise SystemExit(__doc__)
    data = metadata("--all" in sys.argv)
    _, wrong = licences(data["packages"])
    if "--check" in sys.argv and notices(data) != (ROOT / "THIRD-PARTY").read_text():
        wrong.append("THIRD-PARTY is not what the crates say: run make notices")
    for sentence in wrong:
        print("notices: " + sentence, file=sys.stderr)
    if not wrong and len(sys.argv) == 1:
        sys.stdout.write(notices(data))
    raise SystemExit(bool(wrong))


main()
