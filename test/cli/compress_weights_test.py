"""carat compress-weights: models in, files out, whole or not at all."""
import os
import pathlib
import random
import resource
import signal
import subprocess
import tempfile
import time

import carat_cli as cli

TINY = cli.FIXTURES / "tiny" / "tiny-llama-f16.gguf"
KILLS = 100


class Compress(cli.ModelCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "out.gguf"

    def compress(self, *arguments, **keywords):
        return cli.carat("compress-weights", *arguments, **keywords)

    def assert_empty(self):
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_file_is_the_reference_quantiser_s(self):
        for name in ("Q4_0", "Q8_0", "Q4_K_M", "Q6_K"):
            with self.subTest(name):
                result = self.compress(TINY, self.out, "--type", name, "--verify", "--force", "-t", 2)
                self.assertEqual((result.code, result.err), (0, ""), result)
                self.assertEqual(self.out.read_bytes(), TINY.with_name(f"tiny-llama-{name}.gguf").read_bytes())

    def test_a_table_says_what_became_of_each_group(self):
        lines = self.compress(TINY, self.out, "--type", "q4_0").out.decode().splitlines()
        self.assertEqual(lines[0].split(), ["tensors", "type", "before", "after", "worst", "mean", "relative"])
        self.assertTrue(any(line.startswith("blk.*.ffn_down.weight") and " q4_0 " in line for line in lines))
        self.assertTrue(lines[-1].startswith("all "))
        self.assertEqual(self.compress(TINY, self.out, "--force", "-q").out, b"")

    def test_the_flags_of_the_old_tool(self):
        flags = (f"--weights={TINY}", f"--compressed_weights={self.out}", "--weight_type=q4_0", "--num_threads=2")
        self.assertEqual(self.compress(*flags).code, 0)
        self.assertEqual(self.out.read_bytes(), TINY.with_name("tiny-llama-Q4_0.gguf").read_bytes())

    def test_a_dry_run_writes_nothing(self):
        result = self.compress(TINY, self.out, "--type", "q4_k_m", "--dry-run")
        self.assertEqual(result.code, 0, result)
        self.assertIn("f16    -> q6_k", result.out.decode())
        self.assert_empty()

    def test_a_checkpoint_of_llama2_c_answers_as_the_published_file(self):
        folder = cli.FIXTURES / "stories260K"
        flags = ("--type", "f32", "--tokenizer", folder / "tok512.bin")
        self.assertEqual(self.compress(folder / "stories260K.bin", self.out, *flags).code, 0)
        prompt = ("-p", "Once upon a time", "-n", 50, "--temp", 0, "--raw")
        self.assertEqual(cli.carat("run", self.out, *prompt).out, cli.carat("run", cli.STORIES, *prompt).out)

    def test_a_target_is_replaced_only_by_force(self):
        self.out.write_text("old")
        self.assert_fails(self.compress(TINY, self.out), 2, "exists", "--force")
        self.assertEqual(self.out.read_text(), "old")
        self.assertEqual(self.compress(TINY, self.out, "--force").code, 0)
        self.assertGreater(self.out.stat().st_size, 1000)

    def test_what_cannot_be_meant(self):
        self.assert_fails(self.compress(TINY, self.out, "--type", "q4_9"), 2, "q4_9", "q4_k_m")
        self.assert_fails(self.compress(TINY, self.folder / "out.txt"), 2, "out.txt")
        self.assert_fails(self.compress(TINY), 2, "IN OUT")
        self.assert_fails(self.compress(TINY, self.out, "more"), 2, "more")
        self.assert_fails(self.compress(self.folder / "none", self.out), 3, "none")
        self.assert_empty()

    def test_an_output_that_cannot_be_written(self):
        nowhere = self.folder / "none" / "out.gguf"
        self.assert_fails(self.compress(TINY, nowhere), 1, "out.gguf", "No such file or directory")
        self.assert_fails(self.compress(TINY, "/proc/out.gguf"), 1, "/proc/out.gguf")

    def test_a_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            self.skipTest("skipped: only root may mount a small disk")
        self.addCleanup(subprocess.run, ["umount", str(disk)])
        (disk / "out.gguf").write_text("old")
        self.assert_fails(self.compress(TINY, disk / "out.gguf", "--force"), 1, "No space left on device")
        self.assertEqual((disk / "out.gguf").read_text(), "old")
        self.assertEqual(os.listdir(disk), ["out.gguf"])

    def test_a_file_that_may_not_grow(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))

        process = cli.start("compress-weights", TINY, self.out, preexec_fn=limit)
        out, err = process.communicate(timeout=cli.TIMEOUT)
        self.assert_fails(cli.Result(process.returncode, out, err), 1, "File too large")
        self.assert_empty()

    def test_signals_at_any_moment_leave_the_old_file_or_the_new_one(self):
        begin = time.monotonic()
        self.assertEqual(self.compress(TINY, self.out, "--type", "q6_k", "-q").code, 0)
        whole, seconds = self.out.read_bytes(), time.monotonic() - begin
        chance = random.Random(1)
        killed = 0
        for i in range(KILLS):
            old = (None, b"old")[i % 2]
            self.out.unlink(missing_ok=True)
            if old:
                self.out.write_bytes(old)
            number = (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)[i % 3]
            process = cli.start("compress-weights", TINY, self.out, "--type", "q6_k", "--force", "-q")
            time.sleep(chance.uniform(0, 1.2 * seconds))
            process.send_signal(number)
            _, err = process.communicate(timeout=cli.TIMEOUT)
            found = self.out.read_bytes() if self.out.exists() else None
            self.assertIn(found, (old, whole))
            if process.returncode == 0:
                self.assertEqual(found, whole)
            else:
                self.assertIn(process.returncode, (128 + number, -number))
                killed += 1
            self.assertEqual(err, b"")
            self.assertLessEqual(len(os.listdir(self.folder)), 1)
        self.assertGreater(killed, 0)


if __name__ == "__main__":
    cli.main()
