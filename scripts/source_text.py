# SPDX-License-Identifier: MIT
# What check-layers and check-style share: the project's source files, their code with comments and strings blanked out
# (so that neither a comment nor a string can offend, and line numbers stay), and how offences are reported.
import pathlib
import re
import sys
import tempfile

SKIPPED = {".git", ".build", ".swiftpm", ".venv", ".pytest_cache", "__pycache__", "out", "seeds", "vectors", "node_modules"}

# One alternative after another, the first that matches at a place wins. Swift's raw strings are covered up to #"..."#.
BLANKED = re.compile(
    r'//[^\n]*|/\*.*?\*/|#"""(?:.*?)"""#|"""(?:\\.|.)*?"""|#"[^\n]*?"#|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'',
    re.DOTALL,
)


class Source:
    """One file: `path` relative to the root, its text, and its code."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.name = path.name
        self.suffix = path.suffix
        self.text = path.read_text(errors="replace")
        self.lines = self.text.splitlines()

    def code(self):
        """The text with comments and the insides of strings as spaces. `#include "x.h"` keeps its name."""
        return BLANKED.sub(self._blank, self.text)

    def _blank(self, found):
        start = self.text.rfind("\n", 0, found.start()) + 1
        if re.match(r"\s*#\s*include\s*$", self.text[start : found.start()]):
            return found.group()
        return re.sub(r"[^\n]", " ", found.group())


def sources(root):
    """Every file of the project, build output and test data left out."""
    def walk(directory):
        for path in sorted(directory.iterdir()):
            if path.is_symlink() or path.name in SKIPPED or path.name.startswith(".build-"):
                continue
            if path.is_dir():
                yield from walk(path)
            else:
                yield path

    return [Source(root, path) for path in walk(root)]


def line_of(code, at):
    return code.count("\n", 0, at) + 1


def report(name, offences):
    for offence in offences:
        print(offence)
    if offences:
        sys.exit(f"{name}: {len(offences)} offences")


def prove(name, check, good, bad):
    """Proves that `check` can fail: `good` (path: text) must pass; each (path, text, words) of `bad`, added to it, must give
    exactly one offence, in that file and with these words."""
    def offences_with(path, text):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for place, content in {**good, path: text}.items():
                (root / place).parent.mkdir(parents=True, exist_ok=True)
                (root / place).write_text(content)
            return check(sources(root))

    first, text = next(iter(good.items()))
    failures = [f"clean files offend: {offence}" for offence in offences_with(first, text)]
    for path, text, words in bad:
        found = offences_with(path, text)
        if len(found) != 1 or not found[0].startswith(path) or words not in found[0]:
            failures.append(f"{path} with {text[:120]!r}: expected one offence with {words!r}, got {found}")
    if failures:
        sys.exit("\n".join(failures) + f"\n{name}: self-test failed")
    print(f"{name}: self-test passed, {len(bad)} offences found")
