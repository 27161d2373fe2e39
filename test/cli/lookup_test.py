"""--lookup and --draft-model: the same answer, sooner."""
import json
import tempfile

import carat_cli as cli


class Lookup(cli.ModelCase):
    def answer(self, *arguments):
        result = self.story("-p", "One day, Lily met a shoggoth", "-n", 120, *arguments)
        self.assertEqual((result.code, result.err), (0, ""), result)
        return result.out

    def test_the_answer_is_the_same_without(self):
        self.assertEqual(self.answer(), self.answer("--no-lookup"))
        self.assertEqual(self.answer("--lookup", "--draft-max", 3), self.answer("--no-lookup"))
        drawn = ("--temp", 1.2, "--seed", 5)
        self.assertEqual(self.answer(*drawn), self.answer(*drawn, "--no-lookup"))

    def test_it_is_refused_only_where_it_was_asked_for_and_cannot_be(self):
        shifting = ("-m", cli.STORIES, "--raw", "-p", "Once", "-n", 40, "-c", 24, "--overflow", "shift", "--temp", 0)
        self.assertEqual(cli.carat("run", *shifting).code, 0)
        self.assertEqual(cli.carat("run", *shifting).out, cli.carat("run", *shifting, "--no-lookup").out)
        self.assert_fails(cli.carat("run", *shifting, "--lookup"), 2, "--lookup", "shift")
        worker = ("-m", cli.STORIES, "--input-format", "jsonl", "-o", "ndjson")
        result = cli.carat("run", *worker, stdin=b'{"id":"a","prompt":"Once","options":{"n":2}}\n')
        self.assertEqual(json.loads(result.out.splitlines()[-1])["type"], "end")
        self.assertEqual(cli.carat("run", *worker, "--lookup", stdin=b"").code, 2)


class SecondModel(cli.ModelCase):
    def test_the_answer_is_the_same_with_it(self):
        prompt = ("-p", "One day, Lily met a shoggoth", "-n", 120)
        for sampling in (("--temp", 0), ("--temp", 1.2, "--seed", 5), ("--regex", "[a-zA-Z ,.]{90}")):
            alone = self.story(*prompt, *sampling, "--no-lookup")
            for flags in (("-md", cli.STORIES), ("--draft-model", cli.STORIES, "--draft-max", 2)):
                result = self.story(*prompt, *sampling, *flags)
                self.assertEqual((result.code, result.out, result.err), (alone.code, alone.out, alone.err), flags)

    def test_a_chat_is_the_same_with_it(self):
        lines = b"Once upon a time\nTim\n/undo\nLily\n"
        with tempfile.TemporaryDirectory() as state:
            flags = ("chat", cli.STORIES, "--temp", 0, "-n", 40, "--input-format", "text", "-q")
            env = cli.environment(XDG_STATE_HOME=state)
            self.assertEqual(cli.carat(*flags, "-md", cli.STORIES, stdin=lines, env=env).out,
                             cli.carat(*flags, "--no-lookup", stdin=lines, env=env).out)

    def test_what_it_does_not_go_with(self):
        second = ("-md", cli.STORIES)
        other = cli.MICRO / "micro-llama-f16.gguf"
        self.assert_fails(self.story("-p", "x", "-md", other), 2, "micro-llama-f16.gguf", "vocabulary")
        self.assert_fails(self.story("-p", "x", "-md", "/nowhere.gguf"), 3, "/nowhere.gguf")
        self.assert_fails(self.story("-p", "x", *second, "--lookup"), 2, "one of them")
        self.assert_fails(self.story("-p", "x", *second, "--overflow", "shift"), 2, "--draft-model: not with")
        worker = cli.carat("run", cli.STORIES, "--input-format", "jsonl", "-o", "ndjson", *second, stdin=b"")
        self.assertEqual(worker.code, 2, worker)


if __name__ == "__main__":
    cli.main()
