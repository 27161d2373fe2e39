"""carat run: the answer, and how it is chosen and ended."""
import json
import os
import tempfile

import carat_cli as cli
import events
import sparse_model


class Answers(cli.ModelCase):
    def test_greedy_text_is_the_same_byte_for_byte_on_every_isa_and_any_threads(self):
        expected = cli.GREEDY.read_bytes()
        for isa in cli.isas():
            for threads in (1, 2):
                with self.subTest(isa=isa, threads=threads):
                    result = self.story("-p", "", "-n", 200, "--isa", isa, "-t", threads)
                    self.assertEqual((result.code, result.out, result.err), (0, expected, ""))

    def test_a_seed_gives_the_same_bytes_for_any_threads_and_another_seed_others(self):
        def sampled(seed, threads):
            result = cli.carat("run", "-m", cli.STORIES, "-p", "One day", "-n", 60, "-s", seed, "-t", threads)
            self.assertEqual(result.code, 0, result)
            return result.out

        self.assertEqual(sampled(7, 1), sampled(7, 2))
        self.assertEqual(sampled(7, 2), sampled(7, 2))
        self.assertNotEqual(sampled(7, 1), sampled(8, 1))

    def test_batch_size_does_not_change_the_text(self):
        prompt = cli.GREEDY.read_text()[:200]
        texts = {self.story("-p", prompt, "-n", 30, "-b", batch).out for batch in (1, 7, 512)}
        self.assertEqual(len(texts), 1)

    def test_the_text_goes_on_with_its_own_first_space(self):
        self.assertTrue(self.story("-p", "Once upon a", "-n", 1).out.startswith(b" time"))

    def test_greedy_flags_agree(self):
        same = [("--greedy",), ("--temp", "0"), ("--top-k", "1", "--temp", "2")]
        texts = {cli.carat("run", cli.STORIES, "--raw", "-p", "Tim", "-n", 20, *flags).out for flags in same}
        self.assertEqual(len(texts), 1)

    def test_deterministic_is_seed_0(self):
        common = ("run", cli.STORIES, "-p", "Tim", "-n", 20)
        self.assertEqual(cli.carat(*common, "--deterministic").out, cli.carat(*common, "--seed", 0).out)

    def test_every_family_answers(self):
        for path in sorted(cli.MICRO.glob("*-f16.gguf")):
            with self.subTest(path.name):
                result = cli.carat("run", path, "-p", "Hi", "--system", "Be brief.", "-n", 8, "-s", 1)
                self.assertEqual((result.code, result.err), (0, ""), result)
                result.out.decode()  # whole code points


class Sampling(cli.ModelCase):
    def test_a_bias_bans_and_forces_tokens(self):
        plain = self.story("-p", "Once upon a time", "-n", 1).out
        listing = cli.carat("tokenize", cli.STORIES, "--ids", "--no-bos", "Once upon a time,").out.split()
        comma = listing[-1].decode()
        self.assertEqual(plain, b",\n")
        self.assertNotEqual(self.story("-p", "Once upon a time", "-n", 1, "--logit-bias", comma + "-inf").out, plain)
        self.assertEqual(self.story("-p", "Lily", "-n", 3, "-l", comma + "+1000").out, b",,,\n")

    def test_every_family_ends_at_its_own_end_of_turn(self):
        """A model that knows nothing, with the words of each, told to write that one."""
        families = {"gemma": (["<start_of_turn>", "<end_of_turn>"], ["<end_of_turn>", "</s>"]),
                    "llama3": (["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
                                                       "<|end_of_text|>"], ["<|eot_id|>", "</s>"]),
                    "chatml": (["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
                               ["<|im_end|>", "<|endoftext|>", "</s>"]),
                    "llama2": ([], ["</s>"])}
        with tempfile.TemporaryDirectory() as folder:
            for name, (controls, ends) in families.items():
                path = os.path.join(folder, name + ".gguf")
                sparse_model.write(path, 64, 64, 1, controls, "{{ '" + ("".join(controls) or "[INST]") + "' }}")
                for end in ends:
                    with self.subTest(family=name, end=end):
                        token = cli.carat("tokenize", path, "--ids", "--no-bos", "--special", end).out.decode().strip()
                        flags = ("run", path, "-p", "x", "-n", 5, "--temp", 0, "-l", token + "+1000", "-o", "ndjson")
                        listed = events.parse_request(cli.carat(*flags).out)
                        self.assertEqual(listed[0]["template"], name)
                        self.assertEqual(listed[-1]["stop"], {"kind": "eog", "value": end})
                        self.assertEqual(listed[-1]["usage"]["completion_tokens"], 0)
                        goes_on = cli.carat(*flags, "--ignore-eos")
                        self.assertEqual(events.parse_request(goes_on.out)[-1]["finish_reason"], "length")

    def test_penalties_keep_a_token_from_coming_again(self):
        comma = cli.carat("tokenize", cli.STORIES, "--ids", "--no-bos", "Lily,").out.split()[-1].decode()
        forced = ("-p", "Lily", "-n", 3, "-l", comma + "+50")
        for flag, value in (("--repeat-penalty", 50), ("--presence-penalty", 100), ("--frequency-penalty", 100)):
            with self.subTest(flag):
                self.assertEqual(self.story(*forced, flag, value).out.count(b","), 1)

    def test_the_end_token_ends_and_can_be_ignored(self):
        end = ("-p", "Lily", "-n", 5, "-l", "2+1000")  # </s>
        self.assertEqual(self.story(*end).out, b"")
        self.assertNotEqual(self.story(*end, "--ignore-eos").out, b"")


class Ends(cli.ModelCase):
    def test_a_stop_text_ends_the_answer_wherever_tokens_break_it(self):
        text = self.story("-p", "Once upon a time", "-n", 60, "--no-newline").out.decode()
        for begin in range(5, 60, 6):
            for length in (1, 4, 11):
                stop = text[begin:begin + length]
                with self.subTest(stop=stop):
                    result = self.story("-p", "Once upon a time", "-n", 60, "--no-newline", "--stop", stop)
                    self.assertEqual(result.out.decode(), text[:text.index(stop)])

    def test_the_first_of_several_stop_texts_counts(self):
        both = self.story("-p", "Once upon a time", "-n", 60, "--stop", "play", "--stop", "little")
        self.assertEqual(both.out, self.story("-p", "Once upon a time", "-n", 60, "-r", "little").out)

    def test_a_beginning_of_a_stop_text_is_shown_if_no_more_comes(self):
        text = self.story("-p", "Once upon a time", "-n", 20, "--no-newline").out
        result = self.story("-p", "Once upon a time", "-n", 20, "--no-newline", "--stop", text[-3:].decode() + "§")
        self.assertEqual(result.out, text)

    def test_one_final_newline_or_the_exact_bytes(self):
        with_newline = self.story("-p", "Once upon a time", "-n", 5).out
        exact = self.story("-p", "Once upon a time", "-n", 5, "--no-newline").out
        self.assertEqual(with_newline, exact + b"\n")
        self.assertEqual(self.story("-p", "x", "-n", 0).out, b"")

    def test_a_full_context_ends_the_answer_with_a_note(self):
        result = self.story("-p", "Once upon a time", "-c", 12, "-n", 100)
        self.assertEqual(result.code, 0)
        self.assertIn("context of 12 tokens is full", result.err)
        self.assertNotIn(b"context", result.out)

    def test_the_default_limit_is_noted_and_a_chosen_one_is_not(self):
        self.assertIn("2048", self.story("-p", "x", "--ignore-eos", "-c", 3000, "-t", 1).err)
        self.assertEqual(self.story("-p", "x", "-n", 3).err, "")


class Context(cli.ModelCase):
    def prompt_of(self, tokens):
        text = "a" * (4 * tokens)
        ids = cli.carat("tokenize", cli.STORIES, "--ids", "--no-bos", text).out.split()[:tokens - 1]
        return cli.carat("tokenize", cli.STORIES, "--decode", stdin=b" ".join(ids)).out.decode()

    def test_a_prompt_that_fills_the_context_is_answered_and_one_token_more_is_refused(self):
        prompt = self.prompt_of(24)
        tokens = int(cli.carat("tokenize", cli.STORIES, "--count", prompt).out)
        self.assertEqual(self.story("-p", prompt, "-c", tokens + 1, "-n", 5).code, 0)
        self.assertEqual(self.story("-p", prompt, "-c", tokens, "-n", 5).code, 0)
        refused = self.story("-p", prompt, "-c", tokens - 1, "-n", 5)
        self.assert_fails(refused, 4, f"{tokens} tokens", f"context {tokens - 1}", "hint: -c 2048")

    def test_auto_is_the_models_own(self):
        long_prompt = cli.GREEDY.read_text() * 20  # some 4000 tokens; the model has 2048
        self.assert_fails(self.story("-p", long_prompt, "-c", "auto"), 4, "context 2048")


    def test_turns_that_are_dropped_are_told(self):
        said = [{"role": role, "content": "a number or two, as they come"} for role in ("user", "assistant")] * 40
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump([*said, {"role": "user", "content": "hello"}], file)
            file.flush()
            result = cli.carat("run", "-m", "demo", "--messages", file.name, "-n", 2, "--overflow", "drop-turns", "-o", "ndjson")
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.err, r"note: the context is full: the oldest \d+ turns are forgotten")
        self.assertIn('"type":"warning","id":"r1","code":"context"', result.out.decode())


class Streams(cli.ModelCase):
    def test_a_rate_is_of_the_steps_that_its_time_was_for(self):
        for tokens in (1, 2, 9):
            result = self.story("-p", "Once", "-n", tokens, "--ignore-eos", "-o", "json")
            timings = json.loads(result.out)["timings"]
            steps = timings["predicted_per_second"] * timings["predicted_ms"] / 1000
            self.assertAlmostEqual(steps, tokens - 1, delta=0.2)

    def test_figures_go_to_stderr_and_tell_the_seed(self):
        quiet = cli.carat("run", cli.STORIES, "-p", "Tim", "-n", 5, "-s", 11)
        loud = cli.carat("run", cli.STORIES, "-p", "Tim", "-n", 5, "-s", 11, "--stats", "-v")
        self.assertEqual(quiet.err, "")
        self.assertEqual(quiet.out, loud.out)
        self.assertIn("seed 11", loud.err)
        self.assertIn("5 tokens", loud.err)

    def test_a_random_seed_that_was_reported_gives_the_same_text_again(self):
        first = cli.carat("run", cli.STORIES, "-p", "Tim", "-n", 20, "--stats")
        seed = first.err.split("seed ")[1].strip()
        self.assertEqual(cli.carat("run", cli.STORIES, "-p", "Tim", "-n", 20, "-s", seed).out, first.out)

    def test_stdout_is_text_without_escapes(self):
        out = cli.carat("run", cli.STORIES, "-p", "Tim", "-n", 200, "-s", 3).out
        self.assertNotIn(b"\x1b", out)
        self.assertNotIn(b"\r", out)

    def test_broken_code_points_never_come_out(self):
        # Bytes that begin a code point and never end it.
        result = self.story("-p", "x", "-n", 6, "-l", "198+1000", "--no-newline")
        self.assertEqual(result.out.decode(), "\ufffd" * 6)


if __name__ == "__main__":
    cli.main()
