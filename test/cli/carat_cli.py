"""Runs carat from outside: what it prints, what it returns. Tests are called as `X_test.py PATH_TO_CARAT`."""
import os
import pathlib
import subprocess
import sys
import unittest

CARAT = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "carat"
_PROGRAM = pathlib.Path(CARAT).read_bytes() if os.path.exists(CARAT) else b""
SANITIZED = b"__asan_init" in _PROGRAM or b"__tsan_init" in _PROGRAM  # with an allocator of its own, and much memory
TIMEOUT = 120  # seconds: the reference kernels, under a sanitizer

_BESIDE = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"
FIXTURES = pathlib.Path(os.environ.get("CARAT_FIXTURES", _BESIDE))
STORIES = FIXTURES / "stories260K_gguf" / "stories260K.gguf"
GREEDY = FIXTURES / "stories260K" / "greedy.txt"
MICRO = FIXTURES / "micro"

# Nothing of the caller's may decide what a test sees.
_ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("CARAT_")}
_ENVIRONMENT["CUDA_VISIBLE_DEVICES"] = ""  # the CPU is tested, also where there is a GPU
_ENVIRONMENT["XDG_CONFIG_HOME"] = "/nowhere"


class Result:
    """What a process left: exit code, bytes of standard output, text of standard error."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err.decode(errors="replace")

    def __repr__(self):
        return f"exit {self.code}, stdout {self.out[:200]!r}, stderr {self.err[:400]!r}"


def environment(**changes):
    return {**_ENVIRONMENT, **{key: str(value) for key, value in changes.items()}}


def start(*arguments, env=None, **streams):
    """The process, with pipes where the caller says nothing else."""
    for name, default in (("stdin", subprocess.DEVNULL), ("stdout", subprocess.PIPE), ("stderr", subprocess.PIPE)):
        streams.setdefault(name, default)
    return subprocess.Popen([CARAT, *map(str, arguments)], env=env or environment(), **streams)


def carat(*arguments, stdin=None, env=None):
    """Runs to the end. `stdin`: bytes through a pipe; none: /dev/null."""
    process = start(*arguments, env=env, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE)
    try:
        out, err = process.communicate(stdin, TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Result(process.returncode, out, err)


def isas():
    return carat("--isa", "list").out.decode().split()


class Case(unittest.TestCase):
    def assert_fails(self, result, code, *words):
        """An exit code, nothing on stdout, one line of error (and perhaps a hint) that has these words in it."""
        self.assertEqual(result.code, code, result)
        self.assertEqual(result.out, b"", result)
        lines = result.err.splitlines()
        self.assertTrue(lines and lines[0].startswith("carat: error: "), result)
        self.assertLessEqual(len(lines), 2, result)
        self.assertTrue(all(line.startswith("hint: ") for line in lines[1:]), result)
        for word in words:
            self.assertIn(word, result.err)


@unittest.skipUnless(FIXTURES.is_dir(), "skipped: no fixtures (set CARAT_FIXTURES to their folder)")
class ModelCase(Case):
    """A case that needs the files of real models."""

    def story(self, *arguments, **keywords):
        """A run of the small model without turns, greedy."""
        return carat("run", "-m", STORIES, "--raw", "--temp", "0", *arguments, **keywords)


def main():
    if not FIXTURES.is_dir():
        print("skipped: no fixtures (set CARAT_FIXTURES to their folder)")
    unittest.main(verbosity=2)
