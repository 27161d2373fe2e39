"""--lookup: the same answer, sooner."""
import json

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


if __name__ == "__main__":
    cli.main()
