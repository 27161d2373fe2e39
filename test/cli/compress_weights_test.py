"""carat compress-weights: models in, files out, whole or not at all."""
import os
import pathlib
import random
import resource
import signal
import subprocess
import tempfile
import time

import pexpect

import carat_cli as cli

TINY = cli.FIXTURES / "tiny" / "tiny-llama-f16.gguf"
SBS = cli.FIXTURES / "sbs"
KILLS = 100
CUTS = 25


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

    def test_a_first_gemma_for_gemma_cpp_comes_with_a_note(self):
        model = cli.FIXTURES / "micro" / "micro-gemma-f16.gguf"
        result = self.compress(model, self.folder / "out.sbs", "--type", "bf16")
        self.assertEqual(result.code, 0, result)
        self.assertIn("has not read Gemma 1", result.err)

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

    def test_the_kind_of_file_comes_from_a_flag_or_from_the_name(self):
        plain = self.folder / "out"
        self.assertEqual(self.compress(TINY, plain, "--to", "gguf", "--type", "q4_0").code, 0)
        self.assertEqual(plain.read_bytes(), TINY.with_name("tiny-llama-Q4_0.gguf").read_bytes())
        gemma = SBS / "tiny3-f32.sbs"
        self.assertEqual(self.compress(gemma, self.out, "--to=sbs").code, 0)  # whatever the name says
        self.assertEqual(self.out.read_bytes(), (SBS / "tiny3-sfp.sbs").read_bytes())
        self.assert_fails(self.compress(TINY, plain, "--force"), 2, "out'", "--to gguf")
        self.assert_fails(self.compress(TINY, plain, "--force", "--to", "onnx"), 2, "--to", "onnx", "gguf, sbs")

    def test_a_model_by_name_says_what_a_dump_does_not(self):
        # Gemma 3 270M as float32, a file of holes: 18 layers, width 640, 2048, 4 heads over 1 of 256.
        layer = 640 * 256 * 4 + 640 * 256 * 6 + 3 * 640 * 2048 + 4 * 640 + 2 * 256
        dump = self.folder / "dump.bin"
        with dump.open("wb") as file:
            file.truncate(4 * (262144 * 640 + 640 + 18 * layer))
        flags = (f"--weights={dump}", f"--compressed_weights={self.folder / 'out.sbs'}", "--model=gemma3-270m-it")
        result = self.compress(*flags, "--dry-run")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(len(result.out.splitlines()), 2 + 18 * 10 + 1)
        self.assertRegex(result.out.decode(), r"c_embedding +f32 +-> sfp +640.0 MiB +160.0 MiB")
        self.assert_fails(self.compress(dump, self.out, "--model", "gemma3-1b"), 3, "dump.bin", "Gemma3_1B")
        self.assert_fails(self.compress(dump, self.out), 3, "dump.bin")
        self.assert_fails(self.compress(dump, self.out, "--model", "gemma4"), 2, "gemma4", "gemma3-270m")
        self.assert_fails(self.compress(TINY, self.out, "--model", "2b-it"), 3, TINY.name, "2b", "llama")

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

    def test_a_model_is_not_replaced_by_what_is_made_of_it(self):
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder) / "a.gguf"
            model.write_bytes((cli.MICRO / "micro-llama-f16.gguf").read_bytes())
            os.link(model, model.with_name("b.gguf"))
            for out in (model, f"{folder}/./a.gguf", f"{folder}/b.gguf"):
                self.assert_fails(cli.carat("compress-weights", model, out, "--type", "q4_0", "--force"), 2, "IN as well as OUT")
            self.assertEqual(model.read_bytes(), (cli.MICRO / "micro-llama-f16.gguf").read_bytes())

    def test_what_replaces_a_file_is_as_open_to_others_as_that_was(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.gguf"
            out.touch(0o600)
            made = cli.carat("compress-weights", cli.MICRO / "micro-llama-f16.gguf", out, "--type", "q4_0", "--force", "-q")
            self.assertEqual((made.code, oct(out.stat().st_mode & 0o777)), (0, "0o600"))

    def test_a_link_that_leads_nowhere_yet_stays_a_link(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder) / "link.gguf"
            link.symlink_to("there.gguf")
            made = cli.carat("compress-weights", cli.MICRO / "micro-llama-f16.gguf", link, "--type", "q4_0", "--force", "-q")
            self.assertEqual((made.code, link.is_symlink(), (link.parent / "there.gguf").is_file()), (0, True, True))

    def test_a_target_is_replaced_only_by_force(self):
        self.out.write_text("old")
        self.assert_fails(self.compress(TINY, self.out), 2, "exists", "--force")
        self.assertEqual(self.out.read_text(), "old")
        self.assertEqual(self.compress(TINY, self.out, "--force").code, 0)
        self.assertGreater(self.out.stat().st_size, 1000)

    def test_a_terminal_shows_how_far_it_is_and_the_table_in_a_line_of_its_own(self):
        gemma = cli.FIXTURES / "tiny" / "tiny-gemma3-f16.gguf"
        flags = ["compress-weights", str(gemma), str(self.out), "--to", "sbs", "--type", "nuq", "-t", "1"]
        process = pexpect.spawn(cli.CARAT, flags, env=cli.environment(), timeout=cli.TIMEOUT, dimensions=(24, 100))
        process.expect(pexpect.EOF)
        process.close()
        self.assertEqual(process.exitstatus, 0)
        text = process.before.decode()
        size = f"{gemma.stat().st_size >> 20}."
        self.assertRegex(text, rf"\r\[=* *\] [0-9.]+ MiB of {size}[0-9] MiB, [0-9]+ MiB/s, [0-9]+ s left \x1b\[K")
        self.assertIn("\r\x1b[Ktensors", text)
        self.assertTrue(text.endswith("\r\n"))

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
        self.assert_fails(self.compress(TINY, self.folder / ("x" * 300), "--to", "gguf"), 1, "File name too long")
        self.assert_fails(self.compress(TINY, self.folder, "--to", "gguf", "--force"), 2, "is a folder")
        os.mkfifo(self.out)  # as well as a device: a rename would remove it
        self.assert_fails(self.compress(TINY, self.out, "--force"), 1, "is not a regular file")
        self.assertTrue(self.out.is_fifo())

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

    def test_an_input_that_is_cut_short_while_it_is_read(self):
        """At random moments: the target is absent, or whole. Only while the directory is read may it end the process."""
        begin = time.monotonic()
        self.assertEqual(self.compress(TINY, self.out, "--type", "q6_k", "-q").code, 0)
        whole, seconds = self.out.read_bytes(), time.monotonic() - begin
        chance = random.Random(2)
        refused = 0
        for _ in range(CUTS):
            self.out.unlink(missing_ok=True)
            source = self.folder / "in.gguf"
            source.write_bytes(TINY.read_bytes())
            process = cli.start("compress-weights", source, self.out, "--type", "q6_k", "-q")
            time.sleep(chance.uniform(0, seconds))
            os.truncate(source, chance.randrange(source.stat().st_size))
            _, err = process.communicate(timeout=cli.TIMEOUT)
            if process.returncode == 0:
                self.assertEqual(self.out.read_bytes(), whole)
                continue
            self.assertEqual(os.listdir(self.folder), ["in.gguf"])
            if process.returncode != -signal.SIGBUS:
                self.assert_fails(cli.Result(process.returncode, b"", err), 3, "in.gguf")
                refused += 1
        self.assertGreater(refused, 0)

    def signals_leave_the_old_file_or_the_new_one(self, arguments, kills):
        begin = time.monotonic()
        self.assertEqual(cli.carat(*arguments).code, 0)
        whole, seconds = self.out.read_bytes(), time.monotonic() - begin
        chance = random.Random(1)
        killed = 0
        for i in range(kills):
            old = (None, b"old")[i % 2]
            self.out.unlink(missing_ok=True)
            if old:
                self.out.write_bytes(old)
            number = (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)[i % 3]
            process = cli.start(*arguments, "--force")
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

    def test_signals_at_any_moment_leave_the_old_file_or_the_new_one(self):
        self.signals_leave_the_old_file_or_the_new_one(
            ("compress-weights", TINY, self.out, "--type", "q6_k", "-q"), KILLS)

    def test_the_same_for_sbs(self):
        self.signals_leave_the_old_file_or_the_new_one(
            ("compress-weights", SBS / "tiny3-f32.sbs", self.out, "--to", "sbs", "--type", "nuq", "-q"), KILLS // 4)

    def test_the_same_for_migrate_weights(self):
        self.signals_leave_the_old_file_or_the_new_one(
            ("migrate-weights", "--weights", SBS / "tiny3-f32.sbs", "--output-weights", self.out), KILLS // 4)


if __name__ == "__main__":
    cli.main()
