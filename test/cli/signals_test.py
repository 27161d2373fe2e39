"""What ends carat from outside: signals, and a reader that goes away."""
import os
import signal
import tempfile
import time

import carat_cli as cli

ENDLESS = ("run", "-m", cli.STORIES, "-p", "Once", "-n", "-1", "--ignore-eos", "-c", "200000", "-q")


class Signals(cli.ModelCase):
    def interrupt(self, number, **keywords):
        """Sends a signal once text comes; the result, and the seconds it took to end."""
        process = cli.start(*ENDLESS, **keywords)
        first = os.read(process.stdout.fileno(), 1)
        begin = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=cli.TIMEOUT)
        return cli.Result(process.returncode, first + out, err), time.monotonic() - begin

    def test_each_ends_soon_with_its_code_and_the_text_so_far(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with self.subTest(code):
                result, seconds = self.interrupt(number)
                self.assertEqual((result.code, result.err), (code, ""), result)
                self.assertLess(seconds, 2)
                self.assertTrue(result.out.endswith(b"\n"))
                result.out.decode()

    def test_figures_still_come(self):
        process = cli.start(*ENDLESS[:-1], "--stats")
        os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGINT)
        self.assertIn(b"seed", process.communicate(timeout=cli.TIMEOUT)[1])

    def test_what_was_ignored_at_the_start_stays_ignored(self):
        process = cli.start(*ENDLESS, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=cli.TIMEOUT)
        self.assertEqual(process.returncode, 143)

    def test_a_second_interrupt_ends_it_even_if_nobody_reads(self):
        process = cli.start(*ENDLESS)
        time.sleep(1.5)  # the pipe is full: the first interrupt is not seen before it is read
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        self.assertEqual(process.wait(cli.TIMEOUT), 130)
        process.stdout.close()
        process.stderr.close()

    def test_an_interrupted_eval_leaves_no_file(self):
        with tempfile.TemporaryDirectory() as folder:
            ids = os.path.join(folder, "ids")
            with open(ids, "w") as file:
                file.write("1 " * 60000)
            process = cli.start("eval", cli.STORIES, "--ids-file", ids, "--logits-out", os.path.join(folder, "out"))
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=cli.TIMEOUT)
            self.assertEqual(process.returncode, 130)
            self.assertEqual(os.listdir(folder), ["ids"])


class ClosedOutput(cli.ModelCase):
    def test_a_reader_that_leaves_ends_it_soon_and_in_silence(self):
        begin = time.monotonic()
        process = cli.start(*ENDLESS)
        os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        self.assertEqual(process.wait(cli.TIMEOUT), 141)
        self.assertEqual(process.stderr.read(), b"")
        self.assertLess(time.monotonic() - begin, 5)
        process.stderr.close()

    def test_it_is_the_same_for_listings(self):
        for arguments in (("info", cli.STORIES, "--metadata"), ("tokenize", cli.STORIES, "x"), ("help",)):
            reader, writer = os.pipe()
            os.close(reader)
            process = cli.start(*arguments, stdout=writer)
            os.close(writer)
            self.assertEqual((process.wait(cli.TIMEOUT), process.stderr.read()), (141, b""))
            process.stderr.close()


if __name__ == "__main__":
    cli.main()
