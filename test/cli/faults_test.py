"""Faults of the machine and the caller: what is missing, full, closed, cut or too little ends in one line and the code
that the manual names, and leaves what was there."""
import itertools
import os
import pathlib
import resource
import subprocess
import tempfile
import unittest

import carat_cli as cli


def run_limited(limit, value):
    """A short answer by a process with that limit of its own."""
    return subprocess.run(
        [cli.CARAT, "run", "-m", cli.STORIES, "--raw", "-p", "x", "-n", "2", "-t", "2"],
        preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
        stdin=subprocess.DEVNULL, capture_output=True, env=cli.environment(), timeout=cli.TIMEOUT)


class Memory(cli.ModelCase):
    def test_any_limit_of_addresses_is_an_answer_or_one_line(self):
        # The sanitizers' own memory is beyond any such limit.
        if cli.SANITIZED:
            self.skipTest("built with a sanitizer")
        codes = set()
        for megabytes in itertools.chain(range(16, 64, 4), range(64, 320, 32)):
            process = run_limited(resource.RLIMIT_AS, megabytes << 20)
            with self.subTest(megabytes=megabytes):
                if process.returncode == 127:
                    continue  # not even the libraries: the loader's own words
                self.assertIn(process.returncode, (0, 5), process)
                if process.returncode == 5:
                    self.assertRegex(process.stderr, rb"^carat: error: [^\n]+\n(hint: [^\n]+\n)?$")
            codes.add(process.returncode)
        self.assertIn(0, codes)
        self.assertIn(5, codes)

    @unittest.skipIf(cli.SANITIZED, "skipped: a sanitizer needs descriptors, too")
    def test_few_descriptors_are_enough_or_one_line(self):
        for count in range(3, 14):
            process = run_limited(resource.RLIMIT_NOFILE, count)
            with self.subTest(descriptors=count):
                if process.returncode == 127:
                    continue
                self.assertIn(process.returncode, (0, 1, 3, 5), process)
                if process.returncode != 0:
                    self.assertRegex(process.stderr, rb"^carat: error: [^\n]+\n(hint: [^\n]+\n)?$")


class Paths(cli.ModelCase):
    def test_what_is_no_file_is_refused_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            os.mkfifo(folder / "fifo")
            (folder / "loop").symlink_to("loop")
            (folder / "nowhere").symlink_to("gone")
            (folder / "empty").touch()
            (folder / "folder").mkdir()
            paths = [folder / name for name in ("fifo", "loop", "nowhere", "empty", "folder", "gone")]
            for path in [*paths, "/dev/zero", "/dev/null", "/proc/self/mem", "/proc/self/maps"]:
                for command in (("run", "-p", "x", "-m"), ("info", "-m"), ("tokenize", "-m")):
                    with self.subTest(path=str(path), command=command[0]):
                        self.assert_fails(cli.carat(*command, path), 3, str(path))

    def test_a_first_argument_that_leads_nowhere_is_no_model(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, target in (("loop", "loop"), ("nowhere", "gone")):
                path = pathlib.Path(folder) / name
                path.symlink_to(target)
                with self.subTest(name):
                    self.assert_fails(cli.carat("info", path), 2, str(path), "hint: ")

    def test_a_link_to_a_model_is_the_model(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder) / "link.gguf"
            link.symlink_to(cli.STORIES)
            result = cli.carat("run", "-m", link, "--raw", "-p", "x", "-n", "2", "--temp", "0")
            self.assertEqual((result.code, result.out), (0, self.story("-p", "x", "-n", "2").out))


class Descriptors(cli.ModelCase):
    def test_closed_in_every_combination(self):
        for closed in itertools.product((False, True), repeat=3):
            redirections = " ".join(text for text, is_closed in zip(("<&-", ">&-", "2>&-"), closed) if is_closed)
            command = f'"{cli.CARAT}" run -m "{cli.STORIES}" --raw -p x -n 2 --temp 0 {redirections}'
            with self.subTest(redirections), tempfile.TemporaryDirectory() as folder:
                process = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True,
                                         cwd=folder, env=cli.environment(), timeout=cli.TIMEOUT)
                self.assertEqual(process.returncode, 141 if closed[1] else 0, process)
                self.assertEqual(process.stderr, b"")
                self.assertEqual(os.listdir(folder), [])

    def test_the_model_is_not_written_to_when_it_would_become_a_standard_descriptor(self):
        before = cli.STORIES.read_bytes()
        subprocess.run(f'"{cli.CARAT}" run -m "{cli.STORIES}" --raw -p x -n 2 <&- >&- 2>&-', shell=True,
                       env=cli.environment(), timeout=cli.TIMEOUT)
        self.assertEqual(cli.STORIES.read_bytes(), before)


if __name__ == "__main__":
    cli.main()
