"""The model inside: that it answers where no other is named, and how well."""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import pexpect

import carat_cli as cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts" / "demo"
DEMO = ROOT / "app" / "demo" / "demo.gguf"
sys.path.insert(0, str(SCRIPTS))
import corpus  # noqa: E402

NOTE = "no model is named: the built-in demo of"
LEAST_RIGHT = 0.85
CROSS_ENTROPY = 0.439  # nats per token of every answer in topics.txt, 128 tokens at a time


def ask_all(questions):
    lines = "".join(json.dumps({"id": str(i), "prompt": q}) + "\n" for i, q in enumerate(questions))
    result = cli.carat("run", "-m", "demo", "--input-format", "jsonl", "-o", "ndjson", "-n", 96, stdin=lines.encode())
    events = [json.loads(line) for line in result.out.splitlines()]
    answers = {event["id"]: event["text"] for event in events if event["type"] == "result"}
    return [answers.get(str(i), "") for i in range(len(questions))]


class Named(cli.Case):
    def test_it_answers_without_a_model_and_says_so_once(self):
        result = cli.carat("run", "-p", "Hello!")
        self.assertEqual(result.code, 0, result)
        self.assertIn(b"the small model built into carat", result.out)
        self.assertEqual(result.err.count(NOTE), 1, result)
        self.assertIn("-m FILE names a real one", result.err)
        self.assertEqual(cli.carat("run", "-q", "-p", "Hello!").err, "")

    def test_a_worker_without_a_model_has_it_too(self):
        result = cli.carat("run", "--input-format", "jsonl", "-o", "json", stdin=b'{"prompt": "Hello!"}\n')
        self.assertEqual((result.code, result.err.count(NOTE)), (0, 1), result)

    def test_a_chat_without_a_model_is_with_it(self):
        with tempfile.TemporaryDirectory() as folder:
            env = cli.environment(TERM="xterm", NO_COLOR=1, XDG_STATE_HOME=folder)
            chat = pexpect.spawn(cli.CARAT, ["chat", "--progress", "off"], env=env, encoding="utf-8", timeout=cli.TIMEOUT)
            chat.expect_exact(NOTE)
            chat.expect_exact(">>> ")
            chat.send("Hello!\r")
            chat.expect_exact("the small model built into carat")
            chat.expect_exact(">>> ")
            chat.send("/exit\r")
            chat.expect(pexpect.EOF)

    def test_its_name_needs_no_note(self):
        expected = cli.carat("run", "-q", "-p", "Hello!").out
        for way in (("run", "-m", "demo"), ("run", "demo"), ("demo",), ("-m", "demo")):
            result = cli.carat(*way, "-p", "Hello!")
            self.assertEqual((result.code, result.out, result.err), (0, expected, ""), way)

    def test_a_named_model_comes_before_it(self):
        result = cli.carat("run", "-p", "Hello!", env=cli.environment(CARAT_MODEL="/nowhere/model.gguf"))
        self.assert_fails(result, 3, "/nowhere/model.gguf")
        self.assert_fails(cli.carat("run", "nosuch", "-p", "Hello!"), 2, "'nosuch' is not a file")

    def test_a_file_of_that_name_needs_its_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "demo").write_text("no model")
            run = lambda path: subprocess.run([cli.CARAT, "info", path], cwd=folder, capture_output=True,
                                              env=cli.environment())
            self.assertEqual(run("demo").returncode, 0)
            self.assertEqual(run("./demo").returncode, 3)

    def test_other_commands_know_it(self):
        info = json.loads(cli.carat("info", "demo", "--json").out)
        self.assertEqual(info["file"]["architecture"], "gemma3")
        self.assertEqual(info["sampling"]["temp"], 0)
        self.assertEqual(info["tokenizer"]["turns"], "gemma")
        listed = json.loads(cli.carat("list", "--json").out)
        self.assertEqual([model["name"] for model in listed], ["demo"])
        self.assertLessEqual(listed[0]["bytes"], 4 << 20)
        ids = cli.carat("tokenize", "demo", "--ids", "a ü").out
        self.assertEqual(cli.carat("tokenize", "demo", "--decode", stdin=ids).out, "a ü".encode())
        self.assertEqual(cli.carat("bench", "-m", "demo", "-p", 8, "-n", 2, "-r", 1).code, 0)
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "ids").write_text("2 5")
            out = pathlib.Path(folder, "logits")
            self.assertEqual(cli.carat("eval", "demo", "--ids-file", f"{folder}/ids", "--logits-out", out).code, 0)
            self.assertEqual(out.stat().st_size, 2 * 2048 * 4)

    def test_it_is_converted_as_any_other(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "out.gguf")
            result = cli.carat("compress-weights", "demo", out, "-q", "--verify")
            self.assertEqual((result.code, result.err), (0, ""), result)
            self.assertEqual(out.read_bytes(), DEMO.read_bytes())  # the type that it has already
            small = pathlib.Path(folder, "small.gguf")
            self.assertEqual(cli.carat("compress-weights", "demo", small, "--type", "q4_0", "-q").code, 0)
            self.assertLess(small.stat().st_size, out.stat().st_size)
            names = cli.environment(CARAT_MODELS=folder)
            for command in (("compress-weights", "small", f"{folder}/again.gguf"), ("bench", "-m", "small", "-p", 8, "-n", 0)):
                result = cli.carat(*command, env=names)
                self.assertEqual(result.code, 0, (command, result))

    def test_it_is_held_to_a_form(self):
        result = cli.carat("run", "-m", "demo", "-p", "Are you a robot?", "--grammar", 'root ::= "yes" | "no"')
        self.assertEqual(result.code, 0, result)
        self.assertIn(result.out, (b"yes\n", b"no\n"))

    def test_every_instruction_set_and_any_threads_give_one_answer(self):
        expected = cli.carat("run", "-m", "demo", "-p", "What is carat?").out
        for isa in cli.isas():
            for threads in (1, 3):
                result = cli.carat("run", "-m", "demo", "-p", "What is carat?", "--isa", isa, "-t", threads)
                self.assertEqual(result.out, expected, (isa, threads))


class Quality(cli.Case):
    def test_questions_it_was_not_trained_on_are_answered(self):
        heldout = corpus.read_heldout()
        answers = ask_all([question for question, _ in heldout])
        wrong = [f"{question} -> {answer}" for (question, facts), answer in zip(heldout, answers)
                 if not corpus.holds(answer, facts)]
        right = 1 - len(wrong) / len(heldout)
        print(f"held out: {right:.1%} of {len(heldout)} right", *wrong, sep="\n  ", file=sys.stderr)
        self.assertGreaterEqual(right, LEAST_RIGHT)

    def test_those_questions_are_in_no_training_text(self):
        text, rng = corpus.Corpus(), random.Random(7)
        asked = {corpus.plain(question) for topic in text.topics for question in topic["ask"]}
        asked.update(corpus.plain(text.turn(rng)[0]) for _ in range(20000))
        self.assertFalse(asked & text.heldout)

    def test_its_cross_entropy_is_as_recorded(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(" ".join(topic["answer"] for topic in corpus.read_topics()))
            file.flush()
            lines = cli.carat("eval", "demo", "-c", 128, "-f", file.name).out.decode().splitlines()
        found = dict(line.split() for line in lines)
        self.assertAlmostEqual(float(found["cross-entropy"]), CROSS_ENTROPY, delta=0.02)


if __name__ == "__main__":
    cli.main()
