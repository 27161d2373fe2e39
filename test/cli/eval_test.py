"""carat eval: perplexity, and logits of given ids."""
import array
import os
import pathlib
import tempfile

import carat_cli as cli


def floats(path):
    values = array.array("f")
    values.frombytes(pathlib.Path(path).read_bytes())
    return values


class Logits(cli.ModelCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "logits"

    def write(self, model, ids, *flags):
        result = cli.carat("eval", model, "--ids-file", ids, "--logits-out", self.out, *flags)
        self.assertEqual((result.code, result.out, result.err), (0, b"", ""), result)
        return floats(self.out)

    def assert_close(self, found, expected, margin):
        self.assertEqual(len(found), len(expected))
        self.assertLess(max(abs(a - b) for a, b in zip(found, expected)), margin)

    def ids_file(self, text):
        path = self.folder / "ids"
        path.write_text(text)
        return path

    def test_they_are_the_reference_s_whatever_the_batch(self):
        for path in sorted(cli.MICRO.glob("*-f16.gguf")):
            expected = floats(path.with_suffix(".logits.f32"))
            for batch in (1, 7, 32, 512):
                with self.subTest(file=path.name, batch=batch):
                    found = self.write(path, cli.MICRO / "tokens.txt", "-b", batch)
                    self.assert_close(found, expected, 0.01)

    def test_last_keeps_the_last_positions(self):
        ids = self.ids_file("1, 403,407\n261\t378")
        whole = self.write(cli.STORIES, ids)
        self.assertEqual(len(whole), 5 * 512)
        self.assert_close(self.write(cli.STORIES, ids, "--last", 2), whole[-2 * 512:], 1e-4)
        self.assert_close(self.write(cli.STORIES, ids, "--last", 99), whole, 1e-4)

    def test_the_first_logits_of_the_small_model(self):
        csv = (cli.FIXTURES / "stories260K" / "logits_pos0.csv").read_text().split()
        expected = [float(line.split(",")[-1]) for line in csv if line[0] in "-0123456789"]
        found = self.write(cli.STORIES, self.ids_file("1"))
        self.assertEqual(len(expected), 512)
        self.assert_close(found, expected, 0.01)  # theirs keeps keys and values in float32

    def refused(self, ids, code, *words, flags=()):
        result = cli.carat("eval", cli.STORIES, "--ids-file", self.ids_file(ids), "--logits-out", self.out, *flags)
        self.assert_fails(result, code, *words)
        self.assertFalse(self.out.exists())

    def test_ids_that_the_model_does_not_have(self):
        self.refused("1 512", 2, "byte 2", "511")
        self.refused("1 -1", 2, "byte 2")
        self.refused("1 99999999999999999999", 2, "byte 2")
        self.refused("1 x", 2, "byte 2")
        self.refused(" \n", 2, "no ids")
        self.refused("1 2 3 4", 4, "4 ids", flags=("-c", 3))

    def test_an_older_file_stays_if_the_new_one_fails(self):
        self.out.write_text("old")
        cli.carat("eval", cli.STORIES, "--ids-file", self.ids_file("1 512"), "--logits-out", self.out)
        self.assertEqual(self.out.read_text(), "old")
        self.assertEqual(sorted(os.listdir(self.folder)), ["ids", "logits"])

    def test_flags_that_go_together(self):
        self.assert_fails(cli.carat("eval", cli.STORIES), 2, "-f")
        self.assert_fails(cli.carat("eval", cli.STORIES, "--ids-file", "x"), 2, "--logits-out")
        self.assert_fails(cli.carat("eval", cli.STORIES, "-f", "x", "--last", 1), 2, "--last")
        self.assert_fails(cli.carat("eval", cli.STORIES, "-f", "x", "--ids-file", "y", "--logits-out", "z"), 2)


class Perplexity(cli.ModelCase):
    def figures(self, *arguments, **keywords):
        result = cli.carat("eval", cli.STORIES, *arguments, **keywords)
        self.assertEqual((result.code, result.err), (0, ""), result)
        return dict(line.split() for line in result.out.decode().splitlines())

    def test_the_model_foresees_its_own_text_well_and_another_badly(self):
        own = self.figures("-f", cli.GREEDY)
        self.assertEqual(own["tokens"], "201")
        self.assertLess(float(own["perplexity"]), 2)
        other = self.figures("-f", "-", stdin=b"Quarterly revenue exceeded all expectations of analysts.")
        self.assertGreater(float(other["perplexity"]), 50)

    def test_a_smaller_context_makes_windows(self):
        windows = self.figures("-f", cli.GREEDY, "-c", 64)
        self.assertEqual(windows["tokens"], "201")
        self.assertGreater(float(windows["perplexity"]), float(self.figures("-f", cli.GREEDY)["perplexity"]))

    def test_batches_agree(self):
        one = float(self.figures("-f", cli.GREEDY, "-b", 1)["cross-entropy"])
        many = float(self.figures("-f", cli.GREEDY)["cross-entropy"])
        self.assertAlmostEqual(one, many, places=4)

    def test_a_text_without_tokens(self):
        self.assert_fails(cli.carat("eval", cli.STORIES, "-f", "-", stdin=b""), 2, "standard input")


if __name__ == "__main__":
    cli.main()
