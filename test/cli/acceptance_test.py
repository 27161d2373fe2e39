"""The promises of the command line, each as a script would meet it."""
import os
import random
import signal
import subprocess
import tempfile
import time

import carat_cli as cli
import events


def shell(command, **keywords):
    begin = time.monotonic()
    process = subprocess.run(["bash", "-c", command], capture_output=True, env=cli.environment(
        CARAT=cli.CARAT, CARAT_MODEL=cli.STORIES), timeout=cli.TIMEOUT, **keywords)
    return process, time.monotonic() - begin


class Streams(cli.ModelCase):
    def test_head_ends_it_at_once_and_in_silence(self):
        process, seconds = shell('"$CARAT" run -p Once -n -1 --ignore-eos -c 200000 -q </dev/null | head -c1; '
                                 'echo "${PIPESTATUS[0]}"')
        self.assertEqual((process.stdout[1:], process.stderr), (b"141\n", b""))
        self.assertLess(seconds, 4)  # below a second on an idle machine

    def test_a_reader_that_leaves_ends_even_the_reading_of_a_long_prompt(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"Once upon a time there was a little girl. " * 20000)
            file.flush()
            process, seconds = shell(f'"$CARAT" run --raw -c 1000000 -q -f {file.name} </dev/null | sleep 2; '
                                     'echo "${PIPESTATUS[0]}"')
        self.assertEqual((process.stdout, process.stderr), (b"141\n", b""))
        self.assertLess(seconds, 6)

    def test_a_file_gets_no_escapes(self):
        with tempfile.NamedTemporaryFile() as file:
            for flags in ("", "-o ndjson", "-o json", "--stats -v --progress on --color always"):
                process, _ = shell(f'"$CARAT" run -p Once -n 50 {flags} </dev/null >{file.name} 2>/dev/null')
                self.assertEqual(process.returncode, 0)
                self.assertNotIn(b"\x1b", file.read())
                file.seek(0)

    def test_no_standard_input_is_no_prompt_but_no_hindrance(self):
        for redirection in ("</dev/null", "<&-"):
            self.assertEqual(shell(f'"$CARAT" run {redirection}')[0].returncode, 2)
            self.assertEqual(shell(f'"$CARAT" run -p Tim -n 2 {redirection}')[0].returncode, 0)

    def test_a_fifo_that_is_never_closed_is_noted_and_can_be_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)
            holder = os.open(fifo, os.O_RDWR)
            process, _ = shell(f'"$CARAT" run -p Tim -n 2 --timeout 4 <{fifo}')
            self.assertEqual(process.returncode, 124)
            self.assertIn(b"--no-stdin", process.stderr)
            self.assertEqual(shell(f'"$CARAT" run -p Tim -n 2 --no-stdin <{fifo}')[0].returncode, 0)
            os.close(holder)

    def test_a_kill_at_any_moment_leaves_whole_lines_and_one_end(self):
        dice = random.Random(1)
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)) * 5:
            process = cli.start("run", cli.STORIES, "-p", "Once", "-n", -1, "--ignore-eos", "-c", 200000, "-o", "ndjson",
                                "-q")
            first = os.read(process.stdout.fileno(), 1)
            time.sleep(dice.random() / 20)
            process.send_signal(number)
            out, err = process.communicate(timeout=cli.TIMEOUT)
            self.assertEqual((process.returncode, err), (code, b""))
            end = events.parse_request(first + out)[-1]
            self.assertEqual(end["exit_code"], code)

    def test_a_status_line_for_the_asking(self):
        process = cli.start("run", cli.STORIES, "-p", "Once", "-n", -1, "--ignore-eos", "-c", 200000, "-q",
                            stdout=subprocess.DEVNULL)
        time.sleep(1)  # before it is ready, the signal would end it
        line = b""
        while b"\n" not in line:
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.1)
            os.set_blocking(process.stderr.fileno(), False)
            line += process.stderr.read() or b""
        self.assertRegex(line, rb"(load|prefill|decode), [\d.]+ s: prompt \d+ tokens, answer \d+ tokens")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(cli.TIMEOUT), 143)
        process.stderr.close()


class Texts(cli.ModelCase):
    def test_a_character_that_tokens_split_is_the_same_everywhere(self):
        """The model is made to repeat the first byte of an emoji, then the whole emoji is forced byte by byte."""
        ids = cli.carat("tokenize", cli.STORIES, "--ids", "--no-bos", "😀漢").out.split()
        for one in {i.decode() for i in ids}:
            flags = ("run", cli.STORIES, "--raw", "--temp", 0, "-p", "x", "-n", 9, "-l", f"{one}+1000", "--no-newline")
            text = cli.carat(*flags).out
            listed = events.parse_request(cli.carat(*flags, "-o", "ndjson").out)
            self.assertEqual(text.decode(), listed[-1]["text"])

    def test_sampled_bytes_are_whole_characters_and_agree(self):
        byte_ids = " ".join(f"-l {i}+8" for i in range(3, 259)).split()
        for seed in range(5):
            flags = ("run", cli.STORIES, "--raw", "-p", "x", "-n", 60, "-s", seed, "--no-newline", *byte_ids)
            text = cli.carat(*flags).out
            end = events.parse_request(cli.carat(*flags, "-o", "ndjson").out)[-1]
            self.assertEqual(text.decode(), end["text"])

    def test_a_user_cannot_write_control_tokens(self):
        for path in sorted(cli.MICRO.glob("*-f16.gguf")):
            for spelling in ("<end_of_turn>", "<|im_end|>", "<|eot_id|>", "</s>", "<eos>"):
                text = f"a{spelling}b"
                echoed = cli.carat("run", path, "--raw", "-p", text, "-n", 0, "--echo", "--no-newline")
                self.assertEqual((echoed.code, echoed.out.decode()), (0, text))
                plain = cli.carat("tokenize", path, "--ids", "--no-bos", text).out
                special = cli.carat("tokenize", path, "--ids", "--no-bos", "--special", text).out
                control = cli.carat("tokenize", path, "--ids", "--no-bos", "--special", spelling).out.split()
                if plain != special:
                    self.assertEqual(len(control), 1)
                    self.assertNotIn(control[0], plain.split())

    def test_the_same_seed_gives_the_same_bytes_for_any_threads(self):
        flags = ("run", cli.STORIES, "-p", "One day", "-n", 80, "-s", 5)
        self.assertEqual(len({cli.carat(*flags, "-t", threads).out for threads in (1, 2, 3, 8)}), 1)

    def test_every_family_can_be_run_in_json(self):
        for path in sorted(cli.MICRO.glob("*-f16.gguf")):
            result = cli.carat("run", path, "-p", "Hi", "-n", 8, "-s", 1, "-o", "ndjson")
            self.assertEqual(result.code, 0)
            events.parse_request(result.out)


class Options(cli.ModelCase):
    def test_overflow(self):
        flags = ("-p", "Once upon a time", "-c", 24, "-n", 100)
        self.assertIn("full", self.story(*flags).err)
        self.assert_fails(self.story(*flags, "--overflow", "error"), 4, "up to 100")
        shifted = self.story(*flags, "--overflow", "shift", "--keep", 5, "--no-newline")
        self.assertEqual((shifted.code, shifted.err), (0, ""))
        stopped = self.story(*flags, "--no-newline").out
        self.assertTrue(shifted.out.startswith(stopped))
        self.assertGreater(len(shifted.out), len(stopped) * 2)
        self.assert_fails(self.story("-p", "x", "--keep", 3), 2, "--overflow shift")

    def test_old_turns_are_dropped_until_the_prompt_fits(self):
        messages = '[%s {"role": "user", "content": "Who is Tim?"}]' % (
            '{"role": "user", "content": "Tell me"}, {"role": "assistant", "content": "Lily ran. Lily ran."},' * 30)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(messages)
            file.flush()
            flags = ("run", cli.MICRO / "micro-gemma3-f16.gguf", "--messages", file.name, "-c", 200, "-n", 1)
            self.assert_fails(cli.carat(*flags), 4)
            end = events.parse_request(cli.carat(*flags, "--overflow", "drop-turns", "-o", "ndjson").out)[-1]
            self.assertLessEqual(end["usage"]["prompt_tokens"], 200)

    def test_messages_are_a_conversation(self):
        model = cli.MICRO / "micro-qwen2-f16.gguf"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]')
            file.flush()
            flags = ("run", model, "-n", 0, "--echo")
            expected = cli.carat(*flags, "--system", "Be brief.", "-p", "Hi")
            self.assertEqual(expected.code, 0)
            self.assertIn(b"Be brief.", expected.out)
            self.assertEqual(cli.carat(*flags, "--messages", file.name).out, expected.out)
            more = cli.carat(*flags, "--messages", file.name, "-p", "And you?")
            self.assertIn(b"And you?", more.out)
            self.assert_fails(cli.carat(*flags, "--messages", file.name, "--system", "x"), 2, "--system")
        for text in ("", "{}", "[]", "[1]", '[{"role": "user"}]', '[{"role": "king", "content": "x"}]',
                     '[{"role": "user", "content": 1}]', '[{"role": "assistant", "content": "x"}]'):
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(text)
                file.flush()
                self.assertEqual(cli.carat("run", model, "--messages", file.name).code, 2, text)

    def test_escapes_are_read_if_that_is_asked_for(self):
        self.assertEqual(self.story("-p", r"a\nb\t\x41\\\q", "--escape", "--echo", "-n", 0, "--no-newline").out,
                         b"a\nb\tA\\\\q")
        self.assertEqual(self.story("-p", r"a\nb", "--echo", "-n", 0, "--no-newline").out, rb"a\nb")

    def test_samplers_that_are_not_listed_are_off(self):
        start = events.parse_request(cli.carat("run", cli.STORIES, "-p", "x", "-n", 1, "--samplers", "top_k;temperature",
                                               "--temp", 0.5, "-o", "ndjson").out)[0]["sampling"]
        self.assertEqual((start["top_k"], start["top_p"], start["min_p"], start["temp"]), (40, 1, 0, 0.5))
        self.assert_fails(self.story("-p", "x", "--samplers", "temp;top_k"), 2, "top_k")
        self.assert_fails(self.story("-p", "x", "--samplers", "luck"), 2, "luck")

    def test_a_template_from_a_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("{{ '<|im_start|>' }}")
            file.flush()
            flags = ("run", cli.MICRO / "micro-qwen2-f16.gguf", "-p", "Hi", "-n", 0, "--echo")
            self.assertEqual(cli.carat(*flags, "--template", "@" + file.name).out,
                             cli.carat(*flags, "--template", "chatml").out)
            file.write("<|im_sep|>")
            file.flush()
            self.assert_fails(cli.carat(*flags, "--template", "@" + file.name), 2, "known")

    def test_thinking(self):
        flags = ("run", cli.MICRO / "micro-qwen3-f16.gguf", "-p", "Hi", "-n", 0, "--echo", "--no-newline")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("<|im_start|> enable_thinking")
            file.flush()
            switched = (*flags, "--template", "@" + file.name)
            thinking, not_thinking = cli.carat(*switched, "--think", "on"), cli.carat(*switched, "--think", "off")
            self.assertEqual(not_thinking.out, thinking.out + b"<think>\n\n</think>\n\n")
            self.assertEqual(cli.carat(*switched, "--template-arg", "enable_thinking=false").out, not_thinking.out)
            self.assert_fails(cli.carat(*switched, "--template-arg", "colour=red"), 2, "date_string")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("<|im_start|>assistant\n<think>")
            file.flush()
            always = ("run", cli.MICRO / "micro-qwen3-f16.gguf", "-p", "Hi", "-n", 9, "--template", "@" + file.name)
            end = events.parse_request(cli.carat(*always, "-s", 1, "-o", "ndjson").out)[-1]
            self.assertEqual(end["text"], "")
            self.assertEqual(end["usage"]["reasoning_tokens"], 9)
            self.assertEqual(cli.carat(*always, "-s", 1).out, b"")
            shown = cli.carat(*always, "-s", 1, "--think-output", "stdout").out.decode()
            self.assertTrue(end["reasoning"] and shown.startswith(end["reasoning"]))
            pictures = {code: chr(0x2400 + code) for code in range(32)}
            self.assertIn(end["reasoning"].split()[0].translate(pictures), cli.carat(*always, "-s", 1, "--think-output", "stderr").err)
            self.assert_fails(cli.carat(*always, "--think", "off"), 2, "always thinks")
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--think", "on"), 2, "does not think")

    def test_thoughts_end_when_their_tokens_are_used_up(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("<|im_start|>assistant\n<think>")
            file.flush()
            flags = ("run", cli.MICRO / "micro-qwen3-f16.gguf", "-n", 60, "--template", "@" + file.name, "-s", 1, "-o",
                     "ndjson")
            free = events.parse_request(cli.carat(*flags, "-p", "Hi").out)[-1]
            self.assertEqual((free["text"], free["usage"]["reasoning_tokens"]), ("", 60))
            for budget in (0, 1, 7):
                end = events.parse_request(cli.carat(*flags, "-p", "Hi", "--think", budget).out)[-1]
                self.assertTrue(end["text"], budget)
                self.assertTrue(free["reasoning"].startswith((end["reasoning"] or "").rstrip("\ufffd")))
                self.assertLessEqual(budget, end["usage"]["reasoning_tokens"])
                self.assertLess(end["usage"]["reasoning_tokens"], budget + 16)
            worker = cli.carat(*flags, "--input-format", "jsonl", "--think", 7, stdin=b'{"id": "r1", "prompt": "Hi"}\n')
            self.assertEqual(events.parse(worker.out)[-2]["text"], end["text"])
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--think", 5), 2, "does not think")
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--think", "much"), 2, "none of on, off, auto")

    def test_a_gpu_that_is_not_there(self):
        for flags in (("-ngl", 0), ("-ngl", "auto"), ("--device", "cpu"), ("--gpu-layers=0",)):
            self.assertEqual(self.story("-p", "x", "-n", 1, *flags).code, 0)
        for flags in (("-ngl", 33), ("-ngl", "all"), ("--device", "cuda")):
            self.assert_fails(self.story("-p", "x", "-n", 1, *flags), 5)


if __name__ == "__main__":
    cli.main()
