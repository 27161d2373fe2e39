"""An allocation that finds no memory, wherever it is: an answer all the same, or one line and exit 5, and one end for
each request. Where a library cannot do without (sentencepiece crashes) it is exit 1, with a line and an end like others.
Points all over the program; with CARAT_LONG set, every one of the first ten thousand, and none after it either."""
import json
import os
import pathlib
import random
import re
import subprocess
import tempfile
import unittest

import carat_cli as cli
import events

LIBRARY = pathlib.Path(cli.CARAT).parent / "test" / "libfailing_allocations.so"
POINTS = 60  # of each way to run
WAYS = ({}, {"FAIL_EVER": "1"}) if os.environ.get("CARAT_LONG") else ({},)
FLAGS = ("--raw", "--temp", "0", "-n", "3", "-c", "64", "-t", "2")
REQUESTS = b'{"id": "a", "prompt": "Tim"}\n{"id": "b", "prompt": "Lily", "options": {"stop": "x"}}\nno request\n'
A_LINE = rb"(?m)^carat: error: [^\n]+$"  # where even words want memory, a library may have some, too
ONE_LINE = rb"\A(\[[^\n]*\n|carat: note: [^\n]*\n)*carat: error: [^\n]+\n(hint: [^\n]+\n)?\Z"


@unittest.skipUnless(LIBRARY.exists(), f"skipped: no {LIBRARY}")
class Allocations(cli.ModelCase):
    def setUp(self):
        if cli.SANITIZED:
            self.skipTest("skipped: a sanitizer has its own allocator")

    def start(self, arguments, stdin, **changes):
        return subprocess.run([cli.CARAT, *map(str, arguments)], input=stdin, capture_output=True, timeout=cli.TIMEOUT,
                              env=cli.environment(LD_PRELOAD=LIBRARY, CARAT_NOHISTORY=1, **changes))

    def points(self, arguments, stdin):
        with tempfile.NamedTemporaryFile() as file:
            whole = self.start(arguments, stdin, ALLOCATION_COUNT=file.name)
            total = int(file.read())
        self.assertGreater(total, 1000)
        if os.environ.get("CARAT_LONG"):
            return whole, [*range(1, min(total, 10000)), *range(10000, total, 97)]
        step = total / POINTS
        dice = random.Random(1)
        return whole, sorted({*range(1, 10), *(int((i + dice.random()) * step) + 1 for i in range(POINTS))})

    def fail_everywhere(self, check, *arguments, stdin=b"", codes=(0, 5)):
        whole, points = self.points(arguments, stdin)
        counts, silent = {1: 0, 5: 0}, 0
        for point in points:
            for ever in WAYS:
                result = self.start(arguments, stdin, FAIL_AT=point, **ever)
                with self.subTest(allocation=point, **ever):
                    self.assertIn(result.returncode, (*codes, 1, whole.returncode), result)
                    if result.returncode in (1, 5):
                        self.assertRegex(result.stderr, A_LINE if ever else ONE_LINE, result)
                        counts[result.returncode] += 1
                    if not ever and result.returncode == 5 and not result.stdout:
                        silent += 1
                    elif not ever:
                        check(result, whole)
        self.assertGreater(counts[5], len(points) / 2)
        self.assertLess(counts[1], len(points) / 2)
        return silent / len(points)

    def test_an_answer_as_text(self):
        def check(result, whole):
            if result.returncode == 0:
                self.assertEqual(result.stdout, whole.stdout)

        self.fail_everywhere(check, "run", cli.STORIES, "-p", "Tim", *FLAGS)

    def test_an_answer_as_events(self):
        def check(result, whole):
            end = events.parse_request(result.stdout)[-1]
            self.assertEqual(end["exit_code"], result.returncode)
            if end["type"] == "error":
                self.assertIn(end["code"], ("out_of_memory", "no_resource", "failed"), result)

        silent = self.fail_everywhere(check, "run", cli.STORIES, "-p", "Tim", *FLAGS, "-o", "ndjson")
        self.assertLess(silent, 0.2)  # what comes before the arguments are looked at, and where CLI11 may not throw

    def test_a_worker(self):
        def check(result, whole):
            listed = events.parse(result.stdout)
            if listed[-1]["type"] != "end":  # it has not begun
                self.assertEqual([event["type"] for event in listed], ["error"], result)
                return
            ends = [event["id"] for event in listed if event["type"] in ("result", "error")]
            self.assertEqual(listed[-1]["requests"], len(ends), result)
            own = [identity for identity in ends if identity]
            self.assertEqual(len(own), len(set(own)), result)
            for identity in own:
                events.check_request([event for event in listed if event.get("id") == identity])
            told = sum(event["type"] in ("result", "error") for event in listed)
            self.assertEqual(told, 3, result) if result.returncode != 5 else self.assertLessEqual(told, 3)  # unread lines

        self.fail_everywhere(check, "run", cli.STORIES, "--input-format", "jsonl", "-o", "ndjson", "--parallel", "2",
                             *FLAGS, stdin=REQUESTS)

    def test_a_chat(self):
        def check(result, whole):
            if result.returncode == 0:
                self.assertEqual(result.stdout, whole.stdout)

        self.fail_everywhere(check, "chat", cli.STORIES, "--input-format", "jsonl", *FLAGS[1:], "-q",
                             stdin=b'"Tim"\n"Lily"\n', codes=(0, 5, 7))


if __name__ == "__main__":
    cli.main()
