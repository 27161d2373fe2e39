"""--timeout: an end in time, with what there is by then."""
import json
import os
import random
import signal
import subprocess
import tempfile
import time

import carat_cli as cli
import events

ENDLESS = ("run", cli.STORIES, "--raw", "--temp", 0, "-p", "Once", "-n", -1, "--ignore-eos", "-c", 200000, "-q", "-t", 1)
SLACK = 3  # seconds: the machine may be busy


class Deadlines(cli.ModelCase):
    def timed(self, *arguments, **keywords):
        begin = time.monotonic()
        result = cli.carat(*arguments, **keywords)
        return result, time.monotonic() - begin

    def test_an_answer_is_cut_and_shown(self):
        whole = self.story("-p", "Once", "-n", 20, "--no-newline").out
        result, seconds = self.timed(*ENDLESS, "--timeout", "2s")
        self.assertEqual(result.code, 124, result)
        self.assertTrue(result.out.startswith(whole) and result.out.endswith(b"\n"))
        self.assertEqual(result.err, "")
        self.assertTrue(2 <= seconds < 2 + SLACK, seconds)

    def test_a_result_says_so(self):
        result, _ = self.timed(*ENDLESS, "--timeout", "1500ms", "-o", "ndjson")
        self.assertEqual(result.code, 124)
        end = events.parse_request(result.out)[-1]
        self.assertEqual((end["type"], end["finish_reason"], end["exit_code"]), ("result", "timeout", 124))

    def test_figures_still_come(self):
        result, _ = self.timed(*[flag for flag in ENDLESS if flag != "-q"], "--timeout", "1.5", "--stats")
        self.assertIn("tok/s", result.err)

    def test_a_prompt_that_takes_too_long_is_an_error(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"Once upon a time there was a little girl. " * 20000)
            file.flush()
            arguments = ("run", cli.STORIES, "--raw", "-f", file.name, "-c", 1000000, "-q", "--timeout", "1500ms")
            result, seconds = self.timed(*arguments, "-o", "ndjson")
            self.assertEqual(result.code, 124, result)
            error = events.parse_request(result.out)[-1]
            self.assertEqual(error["code"], "timeout")
            self.assertIn(error["phase"], ("tokenize", "prefill"))
            self.assertTrue(error["retryable"])
            self.assertLess(seconds, 1.5 + SLACK)
            self.assert_fails(self.timed(*arguments)[0], 124, "deadline")

    def test_waiting_for_standard_input_counts(self):
        reader, writer = os.pipe()  # never closed
        try:
            begin = time.monotonic()
            process = cli.start("run", cli.STORIES, "-o", "json", "--timeout", "700ms", stdin=reader)
            out, err = process.communicate(timeout=cli.TIMEOUT)
            seconds = time.monotonic() - begin
        finally:
            os.close(reader)
            os.close(writer)
        self.assertEqual(process.returncode, 124)
        error = json.loads(out)
        self.assertEqual((error["code"], error["phase"]), ("timeout", "input"))
        self.assertIn(b"carat: error: ", err)
        self.assertTrue(.7 <= seconds < .7 + SLACK, seconds)

    def test_a_reader_that_does_not_read_does_not_delay_it(self):
        begin = time.monotonic()
        process = cli.start(*ENDLESS, "-o", "ndjson", "--timeout", "1s")
        self.assertEqual(process.wait(cli.TIMEOUT), 124)
        self.assertLess(time.monotonic() - begin, 2.2 + SLACK)
        process.stdout.close()
        process.stderr.close()

    def test_overshoot_at_any_moment(self):
        for ms in range(5, 200, 15):
            with self.subTest(ms=ms):
                result, seconds = self.timed(*ENDLESS, "--timeout", f"{ms}ms", "-o", "ndjson")
                self.assertEqual(result.code, 124)
                events.parse_request(result.out)
                self.assertLess(seconds, ms / 1000 + SLACK)

    def test_a_step_that_takes_seconds_delays_neither_deadlines_nor_signals(self):
        """All of a long prompt in one step. The quickest of a few counts: the machine may be busy."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"Once upon a time there was a little girl. " * 5000)
            file.flush()
            arguments = ("run", cli.STORIES, "--raw", "-f", file.name, "-c", 65536, "-b", 65536, "-ub", 65536, "-q", "-t", 1,
                         "-o", "ndjson")
            overshoot = []
            for seconds in (1, 1.1, 1.2):
                result, took = self.timed(*arguments, "--timeout", seconds)
                self.assertEqual(result.code, 124, result)
                self.assertEqual(events.parse_request(result.out)[-1]["code"], "timeout")
                overshoot.append(took - seconds)
            self.assertLess(min(overshoot), 0.5)
            for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
                took = []
                for _ in range(3):
                    process = cli.start(*arguments)
                    time.sleep(1)
                    begin = time.monotonic()
                    process.send_signal(number)
                    out, _ = process.communicate(timeout=cli.TIMEOUT)
                    took.append(time.monotonic() - begin)
                    self.assertEqual(process.returncode, code)
                    self.assertEqual(events.parse_request(out)[-1]["exit_code"], code)
                self.assertLess(min(took), 0.5)

    def test_partial_text_comes_at_any_deadline(self):
        dice = random.Random(7)
        for _ in range(20):
            result, _ = self.timed(*ENDLESS, "--timeout", f"{dice.uniform(0.2, 0.7):.3f}", "-o", "ndjson")
            self.assertEqual(result.code, 124)
            end = events.parse_request(result.out)[-1]
            if end["type"] == "result":
                self.assertTrue(end["text"])

    def test_a_deadline_that_does_not_come_changes_nothing(self):
        expected = self.story("-p", "Tim", "-n", 5).out
        for value in ("0", "1h", "10m", "100s", "1e2", "99999ms"):
            self.assertEqual(self.story("-p", "Tim", "-n", 5, "--timeout", value).out, expected)

    def test_lengths_that_are_none(self):
        for value in ("-1", "nan", "inf", "1x", "s", "", "1 s", "5minutes"):
            with self.subTest(value):
                self.assert_fails(self.story("-p", "Tim", "--timeout", value), 2)

    def test_the_environment_may_set_it_and_a_flag_comes_first(self):
        env = cli.environment(CARAT_TIMEOUT="300ms")
        self.assertEqual(cli.carat(*ENDLESS, env=env).code, 124)
        self.assertEqual(cli.carat(*ENDLESS, "-n", 5, "--timeout", 0, env=env).code, 0)

    def test_timeout_of_coreutils_gets_the_same_answer_with_its_own_code(self):
        command = ["timeout", "1", cli.CARAT, *map(str, ENDLESS), "-o", "ndjson"]
        process = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, env=cli.environment())
        self.assertEqual(process.returncode, 124)  # timeout's own
        end = events.parse_request(process.stdout)[-1]
        self.assertEqual((end["finish_reason"], end["exit_code"]), ("interrupted", 143))


if __name__ == "__main__":
    cli.main()
