"""A model's file that is cut short while carat uses it: one line and exit 3 in every phase, and never a signal."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import carat_cli as cli
import events

ENDLESS = ("--raw", "--temp", 0, "-n", -1, "--ignore-eos", "-c", 200000)
LONG = b"Once upon a time there was a little girl. " * 20000


class LostFile(cli.ModelCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.model = self.folder / "model.gguf"
        shutil.copy(cli.STORIES, self.model)

    def start(self, *arguments, **streams):
        process = cli.start(*arguments, **streams)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                self.addCleanup(stream.close)
        self.addCleanup(process.kill)
        return process

    def cut(self, size=0):
        os.truncate(self.model, size)

    def end(self, process, so_far=b""):
        out, err = process.stdout.read(), process.stderr.read()  # what communicate() would lose is buffered
        return cli.Result(process.wait(cli.TIMEOUT), so_far + out, err)

    def read_until(self, process, word):
        out = b""
        while word not in out:
            line = process.stdout.readline()
            self.assertTrue(line, out)
            out += line
        return out

    def assert_lost(self, result):
        self.assertEqual(result.code, 3, result)
        self.assertRegex(result.err, r"\A(\[[^\n]*\n|carat: note: [^\n]*\n)*"
                                     r"carat: error: [^\n]*model\.gguf: at byte \d+: ends before: [^\n]*\n\Z")

    def test_while_it_answers_the_text_so_far_stays(self):
        process = self.start("run", self.model, "-p", "Once", *ENDLESS)
        first = os.read(process.stdout.fileno(), 1)
        self.cut()
        result = self.end(process, first)
        self.assert_lost(result)
        self.assertTrue(result.out.endswith(b"\n"))
        whole = self.story("-p", "Once", "-n", 50, "--ignore-eos", "--no-newline").out
        self.assertTrue(whole.startswith(result.out[:-1][:len(whole)]), result)

    def test_while_it_answers_events_come_to_an_end(self):
        for threads in (1, 2):
            shutil.copy(cli.STORIES, self.model)
            process = self.start("run", self.model, "-p", "Once", *ENDLESS, "-o", "ndjson", "-t", threads)
            line = self.read_until(process, b'"delta"')
            self.cut()
            result = self.end(process, line)
            self.assert_lost(result)
            listed = events.parse_request(result.out)
            self.assertEqual((listed[-1]["finish_reason"], listed[-1]["exit_code"]), ("error", 3))
            self.assertEqual(listed[-2]["code"], "bad_model")
            self.assertIn("model.gguf", listed[-2]["message"])

    def test_while_it_reads_the_prompt(self):
        text = self.folder / "text"
        text.write_bytes(LONG)
        process = self.start("run", self.model, "-f", text, *ENDLESS, "-c", 1000000, "-o", "ndjson", "--progress", "on")
        line = self.read_until(process, b'"prefill"')
        self.cut()
        result = self.end(process, line)
        self.assert_lost(result)
        error = json.loads(result.out.splitlines()[-1])
        self.assertEqual((error["type"], error["code"], error["phase"], error["exit_code"], error["retryable"]),
                         ("error", "bad_model", "prefill", 3, False))

    def test_at_any_moment_of_loading(self):
        for milliseconds in range(0, 60, 3):
            shutil.copy(cli.STORIES, self.model)
            process = self.start("run", self.model, "-p", "Once", "--raw", "-n", 300, "-o", "json", "-q")
            time.sleep(milliseconds / 1000)
            self.cut(milliseconds % 2 * 4096)  # nothing of it, or its first page
            result = self.end(process)
            with self.subTest(milliseconds):
                self.assertIn(result.code, (0, 3), result)
                self.assertEqual(json.loads(result.out)["exit_code"], result.code)
                self.assertRegex(result.err, r"\A\Z" if result.code == 0 else r"\Acarat: error: [^\n]*\n\Z")

    def test_a_worker_ends_every_request(self):
        process = self.start("run", self.model, *ENDLESS, "--input-format", "jsonl", "-o", "ndjson", "--parallel", 2,
                             stdin=subprocess.PIPE)
        for name in "abc":
            process.stdin.write(json.dumps({"id": name, "prompt": "Once"}).encode() + b"\n")
        process.stdin.flush()
        out = self.read_until(process, b'"delta"')
        self.cut()
        result = self.end(process, out)
        self.assert_lost(result)
        listed = events.parse(result.out)
        self.assertEqual(listed[-1], {"type": "end", "requests": 3, "failed": 3})
        for name in "abc":
            own = [event for event in listed[:-1] if event["id"] == name]
            events.check_request(own)
            self.assertEqual(own[-1]["exit_code"], 3)

    def test_a_worker_that_waits_is_told_by_its_next_request(self):
        process = self.start("run", self.model, "--raw", "--input-format", "jsonl", "-o", "ndjson", "-n", 2,
                             stdin=subprocess.PIPE)
        process.stdin.write(b'{"id": "a", "prompt": "Tim"}\n')
        process.stdin.flush()
        out = self.read_until(process, b'"result"')
        self.cut()
        process.stdin.write(b'{"id": "b", "prompt": "Tim"}\n')
        process.stdin.close()
        result = self.end(process, out)
        self.assert_lost(result)
        listed = events.parse(result.out)
        self.assertEqual([(event["type"], event.get("exit_code")) for event in listed if event.get("id") == "b"][-1],
                         ("error", 3))
        self.assertEqual(listed[-1]["type"], "end")

    def test_a_chat_keeps_what_was_said_before(self):
        talk = self.folder / "talk.jsonl"
        process = self.start("chat", self.model, "--input-format", "jsonl", "--session", talk, "-n", 20, "--ignore-eos",
                             "-c", 100000, stdin=subprocess.PIPE)
        process.stdin.write(b'"Who is Tim?"\n')
        process.stdin.flush()
        deadline = time.monotonic() + cli.TIMEOUT
        while not talk.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        before = talk.read_bytes()
        self.cut()
        process.stdin.write(b'"And Lily?"\n')
        process.stdin.close()
        self.assert_lost(self.end(process))
        self.assertEqual(talk.read_bytes(), before)

    def test_eval_leaves_no_file(self):
        ids = self.folder / "ids"
        ids.write_text("1 " * 60000)
        out = self.folder / "out"
        process = self.start("eval", self.model, "--ids-file", ids, "--logits-out", out)
        time.sleep(1)
        self.cut()
        self.assert_lost(self.end(process))
        self.assertEqual(sorted(os.listdir(self.folder)), ["ids", "model.gguf"])

    def test_bench_reports_what_is_done(self):
        process = self.start("bench", "-m", self.model, "-p", 0, "-n", "8,100000", "-r", 1, "-o", "jsonl")
        line = process.stdout.readline()
        self.cut()
        self.assert_lost(self.end(process, line))
        self.assertEqual(json.loads(line)["n_gen"], 8)

    def test_a_conversion_leaves_its_target_alone(self):
        target = self.folder / "target.gguf"
        target.write_bytes(b"mine")
        for milliseconds in range(0, 100, 10):
            shutil.copy(cli.STORIES, self.model)
            process = self.start("compress-weights", self.model, target, "--force", "--type", "q4_0", "-q")
            time.sleep(milliseconds / 1000)
            self.cut()
            result = self.end(process)
            with self.subTest(milliseconds):
                self.assertIn(result.code, (0, 3), result)
                if result.code == 0:
                    target.write_bytes(b"mine")
                self.assertEqual(target.read_bytes(), b"mine")
                self.assertEqual(sorted(os.listdir(self.folder)), ["model.gguf", "target.gguf"])

    def test_a_signal_of_a_bug_is_one_line(self):
        for number in (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
            process = self.start("run", self.model, "-p", "Once", *ENDLESS, "-q", "-o", "ndjson")
            self.read_until(process, b'"delta"')
            process.send_signal(number)
            result = self.end(process)
            if "Sanitizer" in result.err:
                continue  # a sanitizer's signal
            self.assertEqual(result.code, 1, result)
            self.assertRegex(result.err, r"\Acarat: error: internal, version [0-9.]+\n\Z")


class LastWords(cli.ModelCase):
    def test_words_that_nothing_can_take_change_nothing(self):
        """The event of a deadline, where standard output is full."""
        with open("/dev/full", "wb") as full:
            process = cli.start("run", cli.STORIES, "--raw", "-p", LONG[:120000].decode(), "-c", 1000000, "-b", 65536, "-t", 1,
                                "-o", "ndjson", "--timeout", 1, stdout=full)
            err = process.communicate(timeout=cli.TIMEOUT)[1]
        self.assertIn(process.returncode, (1, 124), err)
        self.assertNotIn(b"internal", err)


if __name__ == "__main__":
    cli.main()
