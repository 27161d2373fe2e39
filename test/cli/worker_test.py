"""carat run --input-format jsonl: many requests, one load."""
import collections
import json
import os
import random
import signal
import socket
import subprocess
import time

import carat_cli as cli
import events


def lines(*requests):
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in requests)


class Worker(cli.ModelCase):
    def work(self, stdin, *flags, code=0):
        result = cli.carat("run", cli.STORIES, "--raw", "--temp", 0, "--input-format", "jsonl", "-o", "ndjson", *flags,
                           stdin=stdin)
        self.assertEqual(result.code, code, result)
        self.assertNotIn("carat: error: the deadline", result.err)  # of a request: told in its events
        listed = events.parse(result.out)
        self.assertEqual([event["type"] for event in listed].count("end"), 1)
        self.assertEqual(listed[-1]["type"], "end")
        return self.by_id(listed[:-1]), listed[-1]

    def by_id(self, listed):
        """The events of each request, checked as such; those of lines that are no requests under None."""
        requests = {}
        for event in listed:
            requests.setdefault(event["id"], []).append(event)
        for name, own in requests.items():
            if name is None:
                self.assertTrue(all(event["type"] == "error" and event["line"] for event in own))
            else:
                events.check_request(own)
        return requests

    def test_a_socket_whose_other_end_goes_ends_an_idle_worker_too(self):
        ours, its = socket.socketpair()
        with ours, its:
            worker = cli.start("run", cli.STORIES, "--input-format", "jsonl", "-o", "ndjson", stdin=subprocess.PIPE, stdout=its)
            self.addCleanup(worker.stderr.close)
            its.close()
            worker.stdin.write(b'{"prompt": "x", "options": {"n": 1}}\n')
            worker.stdin.flush()
            self.assertIn(b'"start"', ours.recv(65536))
        self.assertEqual(worker.wait(cli.TIMEOUT), 141)
        worker.stdin.close()

    def test_each_request_is_answered_as_if_it_were_alone(self):
        prompts = ["Once upon a time", "Tim and Lily", "The big dog", "One day"]
        requests, end = self.work(lines(*({"id": f"r{i}", "prompt": p} for i, p in enumerate(prompts))), "-n", 30)
        for i, prompt in enumerate(prompts):
            expected = self.story("-p", prompt, "-n", 30, "--no-newline").out.decode()
            self.assertEqual(requests[f"r{i}"][-1]["text"], expected)
        self.assertEqual((end["requests"], end["failed"]), (4, 0))

    def test_options_are_flags_by_another_name(self):
        requests, _ = self.work(lines(
            {"id": "short", "prompt": "Once upon a time", "options": {"max_tokens": 3}},
            {"id": "stopped", "prompt": "Once upon a time", "options": {"n": 40, "stop": ["girl", "zebra"]}},
            {"id": "seeded", "prompt": "Tim", "options": {"n": 5, "temp": 1.5, "seed": 9, "top_k": 0}},
            {"prompt": "Tim"}), "-n", 2)
        self.assertEqual(requests["short"][-1]["usage"]["completion_tokens"], 3)
        self.assertEqual(requests["stopped"][-1]["stop"]["value"], "girl")
        self.assertEqual(requests["seeded"][0]["sampling"]["seed"], 9)
        self.assertEqual(requests["line-4"][-1]["usage"]["completion_tokens"], 2)

    def test_a_request_may_have_a_deadline_of_its_own(self):
        endless = {"n": -1, "ignore_eos": True}
        requests, end = self.work(lines(
            {"id": "late", "prompt": "Tim", "options": {**endless, "timeout": "300ms"}},
            {"id": "later", "prompt": "Tim", "options": {**endless, "timeout": 0.6}},
            {"id": "free", "prompt": "Once upon a time", "options": {"n": 30}},
            {"id": "waits", "prompt": "Tim", "options": {"n": 1, "timeout": "1ms"}},
            {"id": "bad", "prompt": "Tim", "options": {"timeout": "soon"}}), "-c", 100000, "--parallel", 2, code=7)
        for name in ("late", "later"):
            last = requests[name][-1]
            self.assertEqual((last["type"], last["finish_reason"], last["exit_code"]), ("result", "timeout", 124))
            self.assertTrue(last["text"])
        self.assertEqual(requests["free"][-1]["text"],
                         self.story("-p", "Once upon a time", "-n", 30, "--no-newline").out.decode())
        waits = requests["waits"][-1]
        self.assertEqual((waits["code"], waits["exit_code"], waits["retryable"]), ("timeout", 124, True))
        self.assertIn("timeout", requests["bad"][-1]["message"])
        self.assertEqual((end["requests"], end["failed"]), (5, 4))

    def test_a_full_context_may_forget_its_older_half(self):
        flags = ("-c", 40, "-n", 120, "--overflow", "shift", "--keep", 4)
        prompts = ["Once upon a time", "Tim and Lily", "The big dog"]
        requests, _ = self.work(lines(*({"id": f"r{i}", "prompt": p} for i, p in enumerate(prompts))), *flags,
                                "--parallel", 2)
        for i, prompt in enumerate(prompts):
            expected = self.story("-p", prompt, *flags, "--no-newline")
            self.assertEqual(requests[f"r{i}"][-1]["text"], expected.out.decode())
            self.assertEqual(requests[f"r{i}"][-1]["usage"]["completion_tokens"], 120)

    def test_every_request_has_an_end_even_if_a_step_takes_too_long(self):
        long = "Once upon a time there was a little girl. " * 5000
        listed = [{"id": "a", "prompt": long}, {"id": "b", "prompt": long}, {"id": "c", "prompt": "Tim"}]
        requests, end = self.work(lines(*listed), "-c", 65536, "-b", 65536, "-ub", 65536, "--parallel", 2, "-t", 1,
                                  "--timeout", 4, code=124)
        self.assertIn("a", requests)  # the lines of the others may not have been read
        for own in requests.values():
            self.assertEqual(own[-1]["code"], "timeout")
        self.assertEqual((end["requests"], end["failed"]), (len(requests), len(requests)))

    def test_a_worker_that_cannot_begin_says_so_in_an_event(self):
        result = cli.carat("run", "/nowhere.gguf", "--input-format", "jsonl", "-o", "ndjson", stdin=b"")
        self.assertEqual(result.code, 3)
        (error,) = events.parse(result.out)
        self.assertEqual((error["type"], error["id"], error["code"]), ("error", None, "bad_model"))

    def test_malformed_lines_are_told_apart_and_the_rest_goes_on(self):
        bad = [b"{", b"[]", b"null", b'{"id": "x"}', b'{"id": {}, "prompt": "x"}', b'{"prompt": 3}', b"\xff\xfe",
               b'{"prompt": "a", "messages": []}', b'{"prompt": "\\u0000"}', b'{"prompt": "x", "options": {"temp": "hot"}}',
               b'{"prompt": "x", "options": {"tmp": 1}}', b'{"prompt": "x", "colour": 1}', b'{"prompt": "x", "options": {"temp": 1e999}}',
               b'{"messages": [{"role": "king", "content": "x"}]}', b'{"prompt": "x", "options": 3}',
               b'{"cancel": "good", "prompt": "x"}', b'{"prompt": "x", "options": {"grammar-file": "-"}}',
               b'{"prompt": "x", "options": {"json-schema": ' + b'{"a":' * 80000 + b"1" + b"}" * 80000 + b"}}"]
        requests, end = self.work(lines(*bad, {"id": "good", "prompt": "Tim"}), "-n", 3, code=7)
        self.assertEqual(requests["good"][-1]["type"], "result")
        errors = [event for own in requests.values() for event in own if event["type"] == "error"]
        self.assertEqual(sorted(error["line"] for error in errors), list(range(1, len(bad) + 1)))
        self.assertEqual((end["requests"], end["failed"]), (len(bad) + 1, len(bad)))
        self.assertTrue(all(not error["retryable"] for error in errors))

    def test_a_constraint_of_the_worker_holds_for_requests_with_other_options(self):
        requests, _ = self.work(lines({"id": "its", "prompt": "x", "options": {"temp": 0}},
                                      {"id": "own", "prompt": "x", "options": {"regex": "[ab]{2}"}}),
                                "--regex", "[0-9]{3}", "-n", 9)
        self.assertRegex(requests["its"][-1]["text"], r"^[0-9]{3}$")
        self.assertRegex(requests["own"][-1]["text"], r"^[ab]{2}$")

    def test_a_system_text_is_said_once(self):
        twice = {"system": "Be brief.", "messages": [{"role": "system", "content": "Be long."},
                                                     {"role": "user", "content": "Hi"}]}
        result = cli.carat("run", "-m", "demo", "--input-format", "jsonl", "-o", "ndjson", "-n", 1,
                           stdin=lines(twice))
        self.assertEqual(events.parse(result.out)[0]["type"], "error")

    def test_events_that_cannot_be_written_end_it_with_a_line(self):
        with open("/dev/full", "wb") as full:
            process = cli.start("run", "-m", "demo", "--input-format", "jsonl", "-o", "ndjson", stdin=subprocess.PIPE,
                                stdout=full)
            _, err = process.communicate(lines({"prompt": "hi"}, {"prompt": "ho"}), cli.TIMEOUT)
        self.assertEqual((process.returncode, err.count(b"carat: error: ")), (1, 1), err)

    def test_blank_lines_and_a_missing_last_line_end(self):
        requests, end = self.work(b'\n  \n{"id": 5, "prompt": "Tim"}\n\n{"id": "b", "prompt": "Tim"}', "-n", 2)
        self.assertEqual(set(requests), {"5", "b"})
        self.assertEqual(end["requests"], 2)

    def test_no_requests_at_all(self):
        self.assertEqual(self.work(b"")[1], {"type": "end", "requests": 0, "failed": 0})

    def test_a_prompt_that_does_not_fit_fails_alone(self):
        requests, _ = self.work(lines({"id": "long", "prompt": "x" * 500}, {"id": "ok", "prompt": "Tim"}),
                                "-c", 40, "-n", 2, code=7)
        self.assertEqual(requests["long"][-1]["code"], "prompt_too_long")
        self.assertEqual(requests["ok"][-1]["type"], "result")

    def test_the_same_id_twice_at_once_is_refused(self):
        requests, _ = self.work(lines({"id": "a", "prompt": "Tim"}, {"id": "a", "prompt": "Lily"}), "-n", 200, code=7)
        self.assertEqual(requests["a"][-1]["type"], "result")
        self.assertIn("'a'", requests[None][0]["message"])

    def test_hundreds_of_requests_give_the_same_texts_whatever_runs_beside_them(self):
        dice = random.Random(4)
        words = cli.GREEDY.read_text().split()
        asked, cancelled, malformed = [], set(), 0
        for i in range(500):
            begin = dice.randrange(len(words))
            prompt = " ".join(words[begin:begin + dice.randrange(1, 40)])
            asked.append({"id": f"r{i}", "prompt": prompt, "options": {"n": dice.randrange(0, 40)}})
            if dice.random() < 0.1:
                asked.append({"cancel": f"r{i - dice.randrange(0, min(i + 1, 20))}"})
                cancelled.add(asked[-1]["cancel"])
            if dice.random() < 0.1:
                asked.append(b"{malformed")
                malformed += 1
        one, end = self.work(lines(*asked), code=7)
        self.assertEqual((end["requests"], end["failed"]), (500 + malformed, malformed))
        many, end = self.work(lines(*asked), "--parallel", 8, code=7)
        self.assertEqual((end["requests"], end["failed"]), (500 + malformed, malformed))
        for requests in (one, many):  # memory does not grow with their number
            peaks = [own[-1]["memory"]["peak_rss"] for own in requests.values() if own[-1]["type"] == "result"]
            if not cli.SANITIZED:  # which keeps what is given back
                self.assertLess(peaks[-1] - peaks[50], 2**24)
        for i in range(500):
            name = f"r{i}"
            if name in cancelled:  # how far it came is a matter of time
                continue
            self.assertEqual(one[name][-1]["text"], many[name][-1]["text"], name)
            self.assertEqual(one[name][-1]["finish_reason"], many[name][-1]["finish_reason"])


class Live(cli.ModelCase):
    def start(self, *flags):
        process = cli.start("run", cli.STORIES, "--raw", "--temp", 0, "--input-format", "jsonl", "-o", "ndjson", "-c",
                            100000, "--ignore-eos", "-q", *flags, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def send(self, process, *requests):
        process.stdin.write(lines(*requests))
        process.stdin.flush()

    def read_until(self, process, wanted):
        listed = []
        while True:
            line = process.stdout.readline()
            self.assertTrue(line, listed[-3:])
            listed += events.parse(line)
            if wanted(listed[-1]):
                return listed

    def test_it_answers_while_standard_input_stays_open(self):
        process = self.start()
        for name in ("a", "b"):
            self.send(process, {"id": name, "prompt": "Tim", "options": {"n": 3}})
            events.check_request(self.read_until(process, lambda event: event["type"] == "result"))
        process.stdin.close()
        self.assertEqual(self.read_until(process, lambda e: True)[0]["type"], "end")
        self.assertEqual(process.wait(cli.TIMEOUT), 0)

    def test_a_running_request_is_cancelled_and_the_others_go_on(self):
        process = self.start("--parallel", 2)
        self.send(process, {"id": "endless", "prompt": "Once", "options": {"n": -1}})
        self.read_until(process, lambda event: event["type"] == "delta")
        self.send(process, {"id": "other", "prompt": "Tim", "options": {"n": 3}}, {"cancel": "endless"})
        process.stdin.close()
        listed = self.read_until(process, lambda event: event["type"] == "end")
        ends = {event["id"]: event for event in listed if event["type"] == "result"}
        self.assertEqual(ends["endless"]["finish_reason"], "interrupted")
        self.assertEqual(ends["other"]["finish_reason"], "length")
        self.assertEqual(listed[-1]["failed"], 0)
        self.assertEqual(process.wait(cli.TIMEOUT), 0)

    def test_two_requests_take_turns(self):
        process = self.start("--parallel", 2)
        self.send(process, *({"id": name, "prompt": "Once", "options": {"n": 50}} for name in "ab"))
        process.stdin.close()
        listed = self.read_until(process, lambda event: event["type"] == "end")
        first_end = next(i for i, event in enumerate(listed) if event["type"] == "result")
        self.assertEqual({event["id"] for event in listed[:first_end] if event["type"] == "delta"}, {"a", "b"})
        process.wait(cli.TIMEOUT)

    def test_signals_and_deadlines_end_every_request(self):
        for how, code, reason in ((signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted"),
                                  (None, 124, "timeout")):
            with self.subTest(code):
                process = self.start("--parallel", 2, *(() if how else ("--timeout", "3")))
                self.send(process, *({"id": str(i), "prompt": "Once", "options": {"n": -1}} for i in range(4)))
                listed = self.read_until(process, lambda event: event["type"] == "delta")
                if how:
                    process.send_signal(how)
                listed += self.read_until(process, lambda event: event["type"] == "end")
                self.assertEqual(process.wait(cli.TIMEOUT), code)
                ends = {event["id"]: event for event in listed if event["type"] in ("result", "error")}
                self.assertEqual(set(ends), set("0123"))
                self.assertEqual(ends["0"]["finish_reason"], reason)
                self.assertEqual(ends["3"]["code"], reason)
                process.stdin.close()

    def test_a_slow_reader_gets_no_end_of_a_request_twice(self):
        many = [{"id": str(i), "prompt": "Tim", "options": {"n": 100}} for i in range(1200)]
        worker = cli.start("run", cli.STORIES, "--raw", "--input-format", "jsonl", "-o", "ndjson", "-t", 1,
                           stdin=subprocess.PIPE)
        worker.stdin.write(lines(*many))
        worker.stdin.flush()
        head = os.read(worker.stdout.fileno(), 4096)
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.3)  # the events fill the pipe, and its last words come on top
        rest, err = worker.communicate(timeout=cli.TIMEOUT)
        self.assertEqual(worker.returncode, 143, err)
        told = [json.loads(line) for line in (head + rest).split(b"\n")[:-1]]  # the last may be cut off
        ends = collections.Counter(event["id"] for event in told if event["type"] in ("result", "error"))
        self.assertEqual([name for name, count in ends.items() if count != 1], [])

    def test_a_reader_that_leaves_ends_it_in_silence(self):
        process = cli.start("run", cli.STORIES, "--input-format", "jsonl", "-o", "ndjson", stdin=subprocess.PIPE)
        self.send(process, {"prompt": "Once", "options": {"n": -1, "ignore_eos": True}})
        os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        self.assertEqual((process.wait(cli.TIMEOUT), process.stderr.read()), (141, b""))
        process.stdin.close()
        process.stderr.close()


class Refusals(cli.ModelCase):
    def test_flags_that_make_no_sense_there(self):
        worker = ("run", cli.STORIES, "--input-format", "jsonl")
        self.assert_fails(cli.carat(*worker), 2, "-o ndjson")
        for flags in (("-p", "x"), ("--messages", "x"), ("-f", "x"), ("--echo",),
                      ("--grammar-file", "-"), ("--system-file", "-"), ("--session-ro",)):
            self.assertEqual(cli.carat(*worker, "-o", "ndjson", *flags, stdin=b"").code, 2)
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--parallel", 2), 2, "jsonl")


if __name__ == "__main__":
    cli.main()
