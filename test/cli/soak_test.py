"""A worker under random requests, cancels, deadlines and nonsense: one end for each request, and memory stays flat. A
few seconds among the tests; scripts/soak SECONDS runs it for longer and prints what it saw."""
import json
import os
import random
import subprocess
import threading
import time
import unittest

import carat_cli as cli
import events

SECONDS = float(os.environ.get("CARAT_SOAK", 8))
AT_ONCE = 40  # requests that have been asked and not answered
GROWTH = 8 << 20  # bytes of memory from a third of the time to the end


class Client:
    """Asks, and holds every answer against what was asked."""

    def __init__(self, process, seed):
        self.process, self.dice = process, random.Random(seed)
        self.words = cli.GREEDY.read_text().split()
        self.lock = threading.Lock()
        self.room = threading.Semaphore(AT_ONCE)
        self.open = {}  # id: its events so far
        self.number = self.lines = self.refused = 0
        self.ends = {}  # kind of end: how many
        self.problems = []
        self.last = None

    def line(self):
        """The next line to send, and the id of the request in it, if it is to be one."""
        dice, kind = self.dice, self.dice.random()
        begin = dice.randrange(len(self.words))
        prompt = " ".join(self.words[begin:begin + dice.randrange(1, 60)])
        if kind < 0.08:
            return dice.choice([b"{", b"[]", b"\xff\xfe", b'{"prompt": 3}', b'{"id": {}, "prompt": "x"}', b"null",
                                b'{"prompt": "x", "options": {"temp": "hot"}}', b"[" * 5000]), None
        with self.lock:
            known = list(self.open)
        if kind < 0.16 and known:
            return json.dumps({"cancel": dice.choice(known)}).encode(), None
        self.number += 1
        options = {"n": dice.randrange(0, 60), "temp": dice.choice([0, 0.7, 1.5]), "seed": dice.randrange(1000)}
        if dice.random() < 0.1:
            options["timeout"] = f"{dice.randrange(1, 40)}ms"
        if dice.random() < 0.1:
            options["stop"] = dice.choice(self.words)
        if dice.random() < 0.1:
            options["regex"] = "[a-z ]{5,20}\\."
        if dice.random() < 0.05:
            options["logprobs"] = 3
        if dice.random() < 0.03:
            prompt = prompt * 200  # does not fit
        name = f"r{self.number}"
        return json.dumps({"id": name, "prompt": prompt, "options": options}).encode(), name

    def ask(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if not self.room.acquire(timeout=1):
                continue
            line, name = self.line()
            if name is None:
                self.room.release()
            with self.lock:
                self.lines += 1
                if name is not None:
                    self.open[name] = []
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()
        self.process.stdin.close()

    def take(self, line):
        event = json.loads(line)
        if event["type"] == "end":
            self.last = event
            return
        name = event["id"]
        if name is None or name.startswith("line-"):  # a line that is no request, or one without an id
            self.refused += 1
            if event["type"] != "error":
                self.problems.append(event)
            return
        with self.lock:
            if name not in self.open:
                self.problems.append(event)
                return
            self.open[name].append(event)
            if event["type"] not in ("result", "error"):
                return
            own = self.open.pop(name)
        self.room.release()
        kind = event.get("finish_reason", event.get("code"))
        self.ends[kind] = self.ends.get(kind, 0) + 1
        try:
            if sum(self.ends.values()) % 50 == 0:
                events.parse(b"".join(json.dumps(one).encode() + b"\n" for one in own))
            events.check_request(own)
        except Exception as problem:  # of whatever kind: it is told at the end
            self.problems.append((repr(problem), own))


def resident(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


@unittest.skipIf(cli.SANITIZED, "skipped: a sanitizer keeps what is given back")
class Soak(cli.ModelCase):
    def test_a_worker_stays_as_it_is(self):
        process = cli.start("run", cli.STORIES, "--raw", "--input-format", "jsonl", "-o", "ndjson", "-q", "-t", 1, "-c", 256,
                            "--parallel", 6, stdin=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        client = Client(process, 5)
        asking = threading.Thread(target=client.ask, args=(SECONDS,))
        begin, sizes = time.monotonic(), []
        asking.start()
        for line in process.stdout:
            client.take(line)
            now = time.monotonic() - begin
            if not sizes or now - sizes[-1][0] >= SECONDS / 100:
                if process.poll() is None and client.last is None:
                    sizes.append((now, resident(process)))
        asking.join()
        code, err = process.wait(cli.TIMEOUT), process.stderr.read()
        early = max(size for moment, size in sizes if moment <= SECONDS / 3)
        late = max(size for moment, size in sizes if moment > SECONDS / 3)
        told = sum(client.ends.values())
        print(f"{SECONDS:.0f} s: {client.lines} lines, {client.number} requests, {told} ends {client.ends}, "
              f"{client.refused} lines refused; memory {early / 2**20:.1f} MiB at most in the first third, "
              f"{late / 2**20:.1f} MiB after it, {sizes[-1][1] / 2**20:.1f} MiB at the end; exit {code}")
        self.assertEqual(client.problems, [])
        self.assertEqual(client.open, {})
        self.assertEqual((code, err), (7, b""))
        self.assertEqual(told, client.number)
        self.assertEqual(client.last["requests"], client.number + client.refused)
        self.assertLess(late - early, GROWTH)


if __name__ == "__main__":
    cli.main()
