"""carat migrate-weights: old .sbs files to files of today."""
import pathlib
import tempfile

import carat_cli as cli

SBS = cli.FIXTURES / "sbs"


class Migrate(cli.ModelCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name) / "new.sbs"

    def migrate(self, *flags):
        return cli.carat("migrate-weights", "--weights", SBS / "tiny2-sfp.sbs", "--output_weights", self.out, *flags)

    def test_the_new_file_answers_as_the_old_one(self):
        result = self.migrate("--tokenizer", SBS / "tiny512.model")
        self.assertEqual((result.code, result.out, result.err), (0, b"", ""), result)
        ids = self.out.with_name("ids")
        ids.write_text("2 300 301 302 55")
        logits = []
        for path in (SBS / "tiny2-sfp.sbs", self.out):
            found = self.out.with_name("logits")
            result = cli.carat("eval", path, "--ids-file", ids, "--logits-out", found)
            self.assertEqual(result.code, 0, result)
            logits.append(found.read_bytes())
        self.assertEqual(logits[0], logits[1])

    def test_a_target_is_replaced_only_by_force(self):
        self.out.write_text("old")
        self.assert_fails(self.migrate(), 2, "exists", "--force")
        self.assertEqual(self.out.read_text(), "old")
        self.assertEqual(self.migrate("--force").code, 0)

    def test_what_cannot_be_meant(self):
        self.assert_fails(cli.carat("migrate-weights", "--weights", SBS / "tiny2-sfp.sbs"), 2, "--output-weights")
        self.assert_fails(self.migrate("--tokenizer", SBS / "tiny2.raw"), 3, "tiny2.raw")
        self.assertFalse(self.out.exists())


if __name__ == "__main__":
    cli.main()
