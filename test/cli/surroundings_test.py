"""What carat stands in: disks that are full, files that go away, clocks that jump, terminals that obey, readers who must
not read."""
import json
import os
import pathlib
import resource
import shutil
import stat
import subprocess
import tempfile
import time
import unittest

import carat_cli as cli
import events

CLOCK = pathlib.Path(cli.CARAT).parent / "test" / "libjumping_clock.so"
MODEL = cli.MICRO / "micro-gemma3-f16.gguf"
ONE_LINE = r"\Acarat: error: [^\n]+\n(hint: [^\n]+\n)?\Z"


def in_full_folder(setup, *arguments):
    """carat in a file system of 64 KiB of its own that is full; the result, and what is in it afterwards."""
    script = ('mount -t tmpfs -o size=64k none "$1" && cd "$1" && eval "$2" && { cat /dev/zero > fill; true; } 2>&- && shift 2 && '
              '"$@"; code=$?; rm -f fill; tar c . | base64 -w0 >&3; exit $code')
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory() as folder, open(reader, "rb") as contents:
        process = subprocess.Popen(
            ["unshare", "-rm", "bash", "-c", f"exec 3>&{writer}; {script}", "sh", folder, setup, cli.CARAT, *map(str, arguments)],
            pass_fds=[writer], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=cli.environment(CARAT_NOHISTORY=1))
        os.close(writer)
        out, err = process.communicate(timeout=cli.TIMEOUT)
        listed = subprocess.run("base64 -d | tar t", shell=True, input=contents.read(), capture_output=True).stdout
    return cli.Result(process.returncode, out, err), sorted(listed.decode().split())


def can_mount():
    return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


class FullDisk(cli.ModelCase):
    def setUp(self):
        if not can_mount():
            self.skipTest("skipped: this user may mount nothing")

    def check(self, setup, arguments, kept):
        result, left = in_full_folder(setup, *arguments)
        self.assertEqual(result.code, 1, result)
        self.assertRegex(result.err, r"carat: error: [^\n]*: No space left on device\n\Z")
        self.assertEqual(left, ["./", *kept])
        return result

    def test_a_session_stays_and_the_answer_is_there(self):
        talk = '{"role": "user", "content": "Hi"}\n{"role": "assistant", "content": "Hello"}\n'
        result = self.check(f"printf '%s\\n' '{talk.splitlines()[0]}' '{talk.splitlines()[1]}' > talk",
                            ("run", MODEL, "-p", "Tim", "-n", 5, "--session", "talk", "-q", "-c", 256), ["./talk"])
        self.assertTrue(result.out.endswith(b"\n"))

    def test_a_conversion_leaves_what_was_there(self):
        self.check("echo mine > out.gguf", ("compress-weights", cli.STORIES, "out.gguf", "--force", "-q"), ["./out.gguf"])
        self.check("true", ("compress-weights", cli.STORIES, "out.gguf", "-q"), [])

    def test_logits_are_there_whole_or_not_at_all(self):
        self.check("echo 1 2 3 > ids", ("eval", cli.STORIES, "--ids-file", "ids", "--logits-out", "out"), ["./ids"])

    def test_an_answer_that_nobody_can_store(self):
        for flags in ((), ("-o", "ndjson")):
            with open("/dev/full", "wb") as full:
                process = cli.start("run", cli.STORIES, "--raw", "-p", "Tim", "-n", 5, *flags, stdout=full)
                err = process.communicate(timeout=cli.TIMEOUT)[1].decode()
            self.assertEqual(process.returncode, 1, err)
            self.assertRegex(err, ONE_LINE)


class SmallFiles(cli.ModelCase):
    def test_a_limit_of_size_is_an_error_and_no_signal(self):
        with tempfile.TemporaryDirectory() as folder:
            for arguments in (("compress-weights", cli.STORIES, f"{folder}/out.gguf", "-q"),
                              ("run", MODEL, "-p", "Tim", "-n", "2", "--session", f"{folder}/talk", "-c", "128", "-q")):
                process = subprocess.run(
                    [cli.CARAT, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, env=cli.environment(),
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)), timeout=cli.TIMEOUT)
                self.assertEqual(process.returncode, 1, process)
                self.assertRegex(process.stderr.decode(), r"File too large\n\Z")
                self.assertEqual(os.listdir(folder), [])


class Vanishing(cli.ModelCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copy(cli.STORIES, self.folder / "m.gguf")

    def test_a_model_that_is_removed_goes_on_until_the_end(self):
        process = cli.start("run", self.folder / "m.gguf", "--raw", "--temp", 0, "-p", "Once", "-n", 300, "--no-newline")
        first = os.read(process.stdout.fileno(), 1)
        (self.folder / "m.gguf").unlink()
        out, err = process.communicate(timeout=cli.TIMEOUT)
        self.assertEqual((process.returncode, first + out, err.decode()),
                         (0, self.story("-p", "Once", "-n", 300, "--no-newline").out, ""))

    def test_a_folder_that_goes_takes_its_session_with_it_and_not_the_answer(self):
        inner = self.folder / "inner"
        inner.mkdir()
        process = cli.start("run", cli.STORIES, "-p", "Once", "-n", 300, "--ignore-eos", "--session", inner / "talk", "-q")
        first = os.read(process.stdout.fileno(), 1)
        inner.rmdir()
        out, err = process.communicate(timeout=cli.TIMEOUT)
        self.assertEqual(process.returncode, 1, err)
        self.assertRegex(err.decode(), ONE_LINE)
        self.assertTrue((first + out).endswith(b"\n"))


@unittest.skipIf(cli.SANITIZED, "skipped: a sanitizer has to be the first library")
@unittest.skipUnless(CLOCK.exists(), f"skipped: no {CLOCK}")
class Clocks(cli.ModelCase):
    def test_a_time_of_day_that_jumps_moves_no_deadline(self):
        env = cli.environment(LD_PRELOAD=CLOCK)
        year = subprocess.run(["date", "+%Y"], env=env, capture_output=True).stdout
        self.assertNotEqual(int(year or 0), time.localtime().tm_year)
        begin = time.monotonic()
        result = cli.carat("run", cli.STORIES, "--raw", "-p", "Once", "-n", -1, "--ignore-eos", "-c", 200000, "-q", "-o", "ndjson",
                           "--timeout", 1, env=env)
        seconds = time.monotonic() - begin
        self.assertEqual(result.code, 124, result)
        end = events.parse_request(result.out)[-1]
        self.assertTrue(1 <= seconds < 4, seconds)
        self.assertTrue(900 <= end["timings"]["total_ms"] < 4000, end["timings"])
        requests = [{"id": "late", "prompt": "Once", "options": {"n": -1, "ignore_eos": True, "timeout": "500ms"}},
                    {"id": "free", "prompt": "Once", "options": {"n": 5, "timeout": "1h"}}]
        stdin = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
        result = cli.carat("run", cli.STORIES, "--raw", "-c", 100000, "--input-format", "jsonl", "-o", "ndjson", stdin=stdin, env=env)
        reasons = {event["id"]: event["finish_reason"] for event in events.parse(result.out) if event["type"] == "result"}
        self.assertEqual(reasons, {"late": "timeout", "free": "length"})


class LongInputs(cli.ModelCase):
    def test_ten_megabytes_are_refused_soon(self):
        with tempfile.NamedTemporaryFile() as file:
            qwen = cli.MICRO / "micro-qwen2-f16.gguf"
            for text, model in ((b"a" * 10_000_000, cli.STORIES), (b"Once upon a time. " * 550_000, qwen),
                                (b"\xf0\x9f\x98\x80" * 2_500_000, qwen), (b"\n" * 10_000_000, qwen)):
                file.seek(0)
                file.truncate()
                file.write(text)
                file.flush()
                begin = time.monotonic()
                result = cli.carat("run", "-m", model, "--raw", "-f", file.name, "-c", 2048)
                with self.subTest(text=text[:8]):
                    self.assert_fails(result, 4, "tokens")
                    self.assertLess(time.monotonic() - begin, 60)

    def test_patterns_and_grammars_that_grow_are_refused_soon(self):
        bombs = [("--regex", "(a{1,1000}){1,1000}"), ("--regex", "((((a*)*)*)*)*" * 50), ("--regex", "(" * 100000),
                 ("--regex", "[a-z]{1,100000}"), ("--grammar", "root ::= " + "( " * 100000),
                 ("--grammar", "root ::= root root | root"), ("--grammar", "root ::= " + " | ".join(["\"a\""] * 100000)),
                 ("--json-schema", '{"items":' * 20000 + "{}" + "}" * 20000),
                 ("--json-schema", '{"type":"string","minLength":100000000}'),
                 ("--json-schema", '{"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}')]
        for flag, text in bombs:
            begin = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                line = json.dumps({"prompt": "x", "options": {flag[2:]: text, "n": 2}}).encode()
                result = cli.carat("run", cli.STORIES, "--raw", "--input-format", "jsonl", "-o", "ndjson", stdin=line)
            with self.subTest(flag=flag, text=text[:40]):
                self.assertIn(result.code, (0, 7), result)
                self.assertLess(time.monotonic() - begin, 20)
                last = events.parse(result.out)[-2]
                self.assertIn(last["type"], ("error", "result"))
                self.assertIn(last["exit_code"], (0, 2, 6), last)


class Privacy(cli.ModelCase):
    def test_a_log_is_for_its_owner_and_has_no_prompt_in_it(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            cli.carat("run", cli.STORIES, "-p", "a secret", "-n", 2, "--system", "another secret", "--log-file", log, "-vv")
            self.assertEqual(stat.S_IMODE(log.stat().st_mode), 0o600)
            self.assertIn("layers", log.read_text())
            self.assertNotIn("secret", log.read_text())

    def test_nothing_is_written_unless_it_is_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            env = cli.environment(HOME=folder, XDG_STATE_HOME=f"{folder}/s", XDG_CACHE_HOME=f"{folder}/c", XDG_CONFIG_HOME=f"{folder}/d")
            for arguments in (("run", cli.STORIES, "-p", "x", "-n", 2), ("tokenize", cli.STORIES, "x"), ("info", cli.STORIES),
                              ("chat", cli.STORIES, "--input-format", "text", "-n", 2)):
                self.assertEqual(cli.carat(*arguments, stdin=b"Hi\n" if arguments[0] == "chat" else None, env=env).code, 0)
            self.assertEqual(os.listdir(folder), [])


class Terminals(cli.ModelCase):
    EVIL = "\x1b]0;owned\x07\x1b[31m\u009b2J\x7f"

    def assert_tame(self, result):
        for text in (result.out.decode(errors="replace"), result.err):
            for character in text:
                self.assertFalse(character < " " and character not in "\n\t" or "\x7f" <= character < "\xa0", ascii(text))

    def test_names_of_files_drive_none(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(cli.STORIES, f"{folder}/{self.EVIL}.gguf")
            env = cli.environment(CARAT_MODELS=folder)
            path = f"{folder}/{self.EVIL}.gguf"
            for arguments in (("list",), ("list", "--names"), ("list", "--json"), ("info", path), ("run", path + "x"),
                              ("run", path, "-p", "x", "-n", 1, "-q"), ("run", path, "-p", "x", "--session", folder),
                              ("compress-weights", path + "x", "y.gguf"), ("tokenize", path, "--decode", self.EVIL),
                              ("run", "--" + self.EVIL), (self.EVIL,), ("bench", "-m", path + "x"),
                              ("run", path, "-p", "x", "--grammar", self.EVIL), ("run", path, "-f", path + "y")):
                with self.subTest(arguments[:2]):
                    self.assert_tame(cli.carat(*arguments, env=env))

    def test_words_of_a_model_drive_none(self):
        whole = cli.STORIES.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "m.gguf"
            for old in (b"llama", b"general.name", b"blk.0.attn_q.weight", b"token_embd.weight", b"tokenizer.ggml.model"):
                new = (self.EVIL.encode() * 9)[:len(old)].replace(b"\xc2", b"x")
                self.assertIn(old, whole)
                path.write_bytes(whole.replace(old, new, 1))
                for arguments in (("info", path, "--metadata", "--tensors"), ("info", path, "--json", "--metadata", "--tensors"),
                                  ("run", path, "-p", "x", "-n", 1, "-vv", "--raw"), ("chat", path, "--input-format", "text", "-n", 1)):
                    with self.subTest(old=old, command=arguments[0]):
                        result = cli.carat(*arguments, stdin=b"x\n" if arguments[0] == "chat" else None)
                        if arguments[0] != "info" and result.code == 0:
                            result.out = b""  # what the model says is piped as it is
                        self.assert_tame(result)


if __name__ == "__main__":
    cli.main()
