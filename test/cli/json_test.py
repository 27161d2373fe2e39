"""carat run -o ndjson and -o json: events for programs."""
import json
import subprocess
import tempfile

import carat_cli as cli
import events


class Ndjson(cli.ModelCase):
    def run_events(self, *arguments, code=0, **keywords):
        result = cli.carat("run", cli.STORIES, "-o", "ndjson", *arguments, **keywords)
        self.assertEqual(result.code, code, result)
        listed = events.parse_request(result.out)
        self.assertEqual(listed[-1]["exit_code"], code)
        return listed

    def test_the_answer_is_that_of_text(self):
        for flags in (("-n", 0), ("-n", 1), ("-n", 40), ("-n", 60, "--stop", "little"), ("-n", 40, "-c", 20),
                      ("-n", 20, "--progress", "on")):
            with self.subTest(flags):
                listed = self.run_events("--raw", "--temp", 0, "-p", "Once upon a time", *flags)
                text = self.story("-p", "Once upon a time", "--no-newline", *flags).out.decode()
                self.assertEqual(listed[-1]["text"], text)

    def test_why_it_ended(self):
        flags = ("--raw", "--temp", 0, "-p", "Once upon a time")
        self.assertEqual(self.run_events(*flags, "-n", 5)[-1]["finish_reason"], "length")
        self.assertEqual(self.run_events(*flags, "-n", 50, "-c", 12)[-1]["finish_reason"], "context")
        end = self.run_events(*flags, "-n", 50, "--stop", "girl", "-r", "zebra")[-1]
        self.assertEqual((end["finish_reason"], end["stop"]), ("stop", {"kind": "text", "value": "girl"}))
        end = self.run_events(*flags, "-n", 50, "-l", "2+1000")[-1]
        self.assertEqual((end["finish_reason"], end["stop"]), ("stop", {"kind": "eog", "value": "</s>"}))

    def test_what_was_asked_for_is_told(self):
        listed = self.run_events("-p", "Tim", "-n", 3, "-s", 7, "--temp", 0.5, "--top-p", 0.9, "-t", 1, "-b", 16, "-c", 99)
        start = listed[0]
        self.assertEqual((start["threads"], start["batch"], start["ctx"]), (1, 16, 99))
        self.assertEqual((start["sampling"]["seed"], start["sampling"]["temp"], start["sampling"]["top_p"]), (7, .5, .9))
        self.assertEqual((start["bits"], start["model"]["quant"], listed[-1]["usage"]["completion_tokens"]),
                         (32, "f32", 3))

    def test_the_source_is_labelled(self):
        self.assertEqual(self.run_events("-p", "Tim", "-n", 1)[-1]["source"], "carat_local")
        listed = self.run_events("-p", "Tim", "-n", 1, "--source", "kitchen")
        self.assertEqual({listed[0]["source"], listed[-1]["source"]}, {"kitchen"})

    def test_bits_are_those_of_the_weights(self):
        for name, bits in (("micro-llama-Q4_0", 4), ("micro-llama-Q8_0", 8), ("micro-llama-f16", 16)):
            result = cli.carat("run", cli.MICRO / f"{name}.gguf", "-p", "x", "-n", 1, "-o", "json")
            self.assertEqual(json.loads(result.out)["bits"], bits)

    def test_bytes_that_never_become_text_are_lossy(self):
        listed = self.run_events("--raw", "-p", "x", "-n", 6, "-l", "198+1000", "--temp", 0)
        self.assertEqual(listed[-1]["text"], "\ufffd" * 6)
        self.assertTrue(all(event.get("lossy") for event in listed if event["type"] == "delta"))
        self.assertFalse(any("lossy" in event for event in self.run_events("-p", "Tim", "-n", 5)))

    def test_probabilities_of_tokens(self):
        listed = self.run_events("--raw", "--temp", 0, "-p", "Once upon a time", "-n", 4, "--logprobs", 3)
        for delta in (event for event in listed if event["type"] == "delta"):
            self.assertEqual([token["id"] for token in delta["logprobs"]], delta["ids"])
            for token in delta["logprobs"]:
                self.assertEqual(len(token["top"]), 3)
                self.assertEqual(token["top"][0]["id"], token["id"])  # greedy
                self.assertEqual(token["top"][0]["logprob"], token["logprob"])
                self.assertEqual(sorted((-t["logprob"] for t in token["top"])), [-t["logprob"] for t in token["top"]])
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--logprobs", 1), 2, "-o ndjson")

    def test_progress_comes_if_it_is_asked_for(self):
        prompt = cli.GREEDY.read_text()
        listed = self.run_events("--raw", "-p", prompt, "-n", 1, "--progress", "on", "-b", 32)
        steps = [event for event in listed if event["type"] == "progress" and event["phase"] == "prefill"]
        self.assertLess(len(steps), 2 + listed[-1]["timings"]["prompt_ms"] / 200)
        self.assertEqual(steps[-1]["done"], steps[-1]["total"])
        self.assertEqual(steps[-1]["total"], listed[-1]["usage"]["prompt_tokens"])
        self.assertFalse([e for e in self.run_events("-p", prompt, "-n", 1) if e["type"] == "progress"])

    def test_warnings_are_events_too(self):
        listed = self.run_events("--raw", "-p", "Once", "-n", 2, "-c", 4096)
        self.assertEqual([e["code"] for e in listed if e["type"] == "warning"], ["long_context"])

    def test_json_is_the_result_alone(self):
        flags = ("run", cli.STORIES, "-p", "Tim", "-n", 9, "-s", 3)
        alone = json.loads(cli.carat(*flags, "-o", "json").out)
        last = events.parse_request(cli.carat(*flags, "--ndjson").out)[-1]
        self.assertEqual((alone["type"], alone["text"], alone["usage"]), ("result", last["text"], last["usage"]))

    def test_it_survives_jq_and_pipes(self):
        command = f'"{cli.CARAT}" run "{cli.STORIES}" --raw --temp 0 -p "Once upon a time" -n 20 -o ndjson | cat'
        out = subprocess.run(command, shell=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
        events.parse_request(out)


class Failures(cli.ModelCase):
    def error(self, *arguments, code, **keywords):
        result = cli.carat("run", "-o", "ndjson", *arguments, **keywords)
        self.assertEqual(result.code, code, result)
        self.assertTrue(result.err.startswith("carat: error: "), result)
        listed = events.parse_request(result.out)
        self.assertEqual((len(listed), listed[0]["type"], listed[0]["exit_code"]), (1, "error", code))
        return listed[0]

    def test_each_is_one_event(self):
        long_prompt = cli.GREEDY.read_text() * 20
        cases = (
            ("bad_model", "load", 3, ("-m", "/nowhere.gguf", "-p", "x")),
            ("bad_model", "load", 3, ("-m", __file__, "-p", "x")),
            ("bad_usage", "usage", 2, ("nosuch", "-p", "x")),
            ("bad_usage", "input", 2, ("-m", cli.STORIES)),
            ("bad_usage", "load", 2, ("-m", cli.STORIES, "-p", "x", "--isa", "abacus")),
            ("bad_usage", "tokenize", 2, ("-m", cli.STORIES, "-p", "x", "--template", "foo")),
            ("prompt_too_long", "tokenize", 4, ("-m", cli.STORIES, "-p", long_prompt)),
            ("no_resource", "load", 5, ("-m", cli.STORIES, "-p", "x", "-ngl", "33")),
        )
        for code, phase, exit_code, arguments in cases:
            with self.subTest(code=code, phase=phase):
                error = self.error(*arguments, code=exit_code)
                self.assertEqual((error["code"], error["phase"]), (code, phase))
                self.assertFalse(error["retryable"])

    def test_it_stands_alone_in_json_too(self):
        result = cli.carat("run", "-o", "json", "-m", "/nowhere", "-p", "x")
        self.assertEqual((result.code, json.loads(result.out)["type"]), (3, "error"))

    def test_json_alone_is_refused_with_both_of_its_meanings(self):
        self.assert_fails(cli.carat("run", "-m", "x", "--json"), 2, "-o json", "--format json")


class UsageErrors(cli.Case):
    def check(self, *arguments):
        result = cli.carat(*arguments)
        self.assertEqual(result.code, 2, result)
        (error,) = events.parse_request(result.out)
        self.assertEqual((error["code"], error["exit_code"], error["phase"]), ("bad_usage", 2, "usage"))
        self.assertFalse(error["retryable"])
        self.assertIn(error["message"], result.err)
        self.assertTrue(result.err.startswith("carat: error: "))

    def test_arguments_that_cannot_be_read_are_an_event(self):
        for wanted in (("-o", "ndjson"), ("-ojson",), ("--output-format=ndjson",), ("--output_format", "json"),
                       ("--ndjson",)):
            with self.subTest(wanted):
                self.check("run", *wanted, "--nonsense")
                self.check("run", "--temp", "hot", *wanted, "-p", "x")
                self.check(*wanted, "-p")
                self.check("rnu", *wanted)

    def test_flags_that_do_not_go_together_are_an_event(self):
        self.check("run", "-o", "ndjson", "--raw", "--system", "x", "-p", "x")
        self.check("run", "-o", "json", "--keep", 3, "-p", "x")
        self.check("run", "-o", "ndjson", "-p", "x", "-m", "", "no-such-model")

    def test_settings_that_ask_for_events_are_heard_too(self):
        with tempfile.NamedTemporaryFile("w", suffix=".config") as file:
            file.write("output-format = ndjson\n[chat]\nndjson = off\n")
            file.flush()
            for command in ("run", "chat"):
                with self.subTest(command):
                    result = cli.carat(command, "--nonsense", env=cli.environment(CARAT_CONFIG=file.name))
                    self.assertEqual(result.code, 2, result)
                    (error,) = events.parse_request(result.out)
                    self.assertEqual(error["code"], "bad_usage")
            self.assert_fails(cli.carat("run", "-o", "text", "--nonsense", env=cli.environment(CARAT_CONFIG=file.name)), 2)

    def test_others_get_none(self):
        for arguments in (("run", "--nonsense"), ("run", "-o", "text", "--nonsense"), ("bench", "-o", "json", "--nonsense"),
                          ("run", "--nonsense", "--", "-o", "json"), ("run", "-o", "xml")):
            self.assert_fails(cli.carat(*arguments), 2)


if __name__ == "__main__":
    cli.main()
