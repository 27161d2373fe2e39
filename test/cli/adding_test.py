"""Every diff of ADDING.md, applied to a copy of the sources and compiled."""
import ast
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import carat_cli as cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = pathlib.Path(cli.CARAT).parent / "compile_commands.json"
LAYERS = ("app", "convert", "engine", "kernels", "tokenizer")
# What is compiled besides the sources that a diff touches: all instantiations are made in these.
BESIDES = {"A quantised type": ("kernels/cpu/isa_avx512vnni.cpp", "kernels/cpu/reference.cpp")}


def sections():
    """(title, {path: hunks}) of each; a hunk is a list of lines, as they stand in the diff."""
    found = {}
    for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", (ROOT / "ADDING.md").read_text(), re.M | re.S):
        files, hunks = {}, None
        for line in "\n".join(re.findall(r"^```diff\n(.*?)^```", text, re.M | re.S)).splitlines():
            if header := re.match(r"(?:---|\+\+\+) (\S+)", line):
                hunks = files.setdefault(header[1], [[]])
            elif line == "@@":
                hunks.append([])
            else:
                hunks[-1].append(line)
        found[title] = files
    return found


def apply(text, hunk):
    """`text` with the hunk in the one place where it fits. A … of a line that goes is that of the line that comes."""
    old = [line[1:] for line in hunk if line[:1] in " -"]
    pattern = "".join(re.escape(line).replace("…", "(.*)") + "\n" for line in old)
    places = list(re.finditer("^" + pattern, text, re.M)) if old else [re.match("", text)]
    if len(places) != 1:
        raise ValueError(f"{len(places)} places for {hunk}")
    left_out = iter(places[0].groups())
    kept = iter(places[0].group().splitlines())
    new, going = [], []
    for line in hunk:
        if line[:1] == "+":
            new.append(re.sub("…", lambda _: going.pop(0), line[1:]))
            continue
        same = next(kept)
        texts = [next(left_out) for _ in range(line.count("…"))]
        if line[:1] == "-":
            going += texts
        else:
            new.append(same)
    return text[:places[0].start()] + "".join(line + "\n" for line in new) + text[places[0].end():]


def command(units, unit, copy):
    """How the build compiles `unit`, or the source whose path is most like it: to be checked, in the copy."""
    like = max(units, key=lambda path: (path == unit, len(os.path.commonprefix([path, unit]))))
    words = [word.replace(f"{ROOT}/{like}", f"{ROOT}/{unit}") for word in shlex.split(units[like])]
    words = words[1:] if "ccache" in words[0] else words
    if "-o" in words:
        del words[words.index("-o"):words.index("-o") + 2]
    if "-include" in words:  # a precompiled header, which is of another folder
        del words[words.index("-include"):words.index("-include") + 2]
    words = [word for word in words if not word.startswith("-fsanitize")]
    return [word.replace(str(ROOT), copy) for word in words] + ["-fsyntax-only", "-Werror"]


@unittest.skipUnless(COMMANDS.exists(), "skipped: not in its build folder")
class Adding(unittest.TestCase):
    def add(self, title, files):
        units = {}
        for entry in json.loads(COMMANDS.read_text()):
            path = os.path.relpath(entry["file"], ROOT)
            if path.startswith(LAYERS):
                units[path] = entry["command"]
        with tempfile.TemporaryDirectory() as copy:
            for layer in LAYERS:
                shutil.copytree(ROOT / layer, f"{copy}/{layer}")
            shutil.copy(ROOT / "CMakeLists.txt", copy)
            for path, hunks in files.items():
                at = pathlib.Path(copy, path)
                at.parent.mkdir(parents=True, exist_ok=True)
                text = at.read_text() if at.exists() else ""
                for hunk in hunks:
                    text = apply(text, hunk)
                at.write_text(text)
                if path.endswith(".py"):
                    ast.parse(text)
            sources = {path for path in files if path.endswith(".cpp")}.union(BESIDES.get(title, ()))
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                checks = {unit: pool.submit(subprocess.run, command(units, unit, copy), cwd=copy, capture_output=True,
                                            text=True) for unit in sorted(sources)}
            for unit, check in checks.items():
                self.assertEqual(check.result().returncode, 0, f"{title}: {unit}\n{check.result().stderr[:2000]}")

    def test_every_diff_fits_the_sources_and_compiles(self):
        found = sections()
        self.assertEqual(len(found), 5)
        for title, files in found.items():
            with self.subTest(title):
                self.assertTrue(files)
                self.add(title, files)


if __name__ == "__main__":
    cli.main()
