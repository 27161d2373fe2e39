"""What carat takes of the machine: CPUs, threads, memory; and a file that is slow to come."""
import json
import os
import re
import resource
import subprocess
import tempfile
import time
import unittest

import carat_cli as cli
import events
import sparse_model

CPUS = sorted(os.sched_getaffinity(0))
QUOTAS = "/sys/fs/cgroup/cpu"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def asked(text, **options):
    return json.dumps({"prompt": text, "options": options}).encode() + b"\n"


def only(byte):
    """The bias for the token of a byte, which come behind three control tokens."""
    return f"{3 + byte}+1000"


class Worker(cli.ModelCase):
    """What a process looks like from outside, once it has answered."""

    def status(self, *flags, model=cli.STORIES, **streams):
        process = cli.start("run", model, "--input-format", "jsonl", "-o", "ndjson", *flags, stdin=subprocess.PIPE, **streams)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        process.stdin.write(asked("Once", n=40))
        process.stdin.flush()
        start = json.loads(process.stdout.readline())
        while b'"result"' not in process.stdout.readline():
            self.assertIsNone(process.poll())
        folder = f"/proc/{process.pid}"
        tasks = [read(f"{folder}/task/{task}/status") for task in os.listdir(folder + "/task")]
        maps = read(folder + "/maps")
        process.stdin.close()
        process.wait(cli.TIMEOUT)
        return start, tasks, maps

    def allowed(self, tasks):
        return [re.search(r"Cpus_allowed_list:\s*(\S+)", task)[1] for task in tasks]


class Threads(Worker):
    def test_threads_for_the_prompt_change_no_byte(self):
        prompt = ("-p", "Once upon a time there was a little girl. " * 8, "-n", 30)
        expected = self.story(*prompt).out
        for flags in (("-t", 1, "-tb", 3), ("-t", 3, "-tb", 1), ("--threads-batch", 2), ("-tb", 2, "--pin", "-t", 1)):
            self.assertEqual(self.story(*prompt, *flags).out, expected, flags)
        self.assert_fails(self.story("-p", "x", "-tb", "0"), 2, "threads-batch")

    def test_there_are_as_many_as_both_need(self):
        count = {flags: len(self.status(*flags)[1]) for flags in (("-t", 1), ("-t", 3), ("-t", 1, "-tb", 3))}
        self.assertEqual(count[("-t", 3)] - count[("-t", 1)], 2)
        self.assertEqual(count[("-t", 1, "-tb", 3)] - count[("-t", 1)], 2)

    def test_a_range_of_cpus_is_kept_to_and_counted(self):
        cpu = str(CPUS[-1])
        start, tasks, _ = self.status("--cpu-range", cpu)
        self.assertEqual(start["threads"], 1)
        self.assertIn(cpu, self.allowed(tasks))
        start, tasks, _ = self.status("-Cr", f"{CPUS[0]},{cpu}", "-t", 2)
        self.assertEqual(start["threads"], 2)

    @cli.unittest.skipIf(len(CPUS) < 2, "skipped: needs two CPUs")
    def test_pinned_threads_have_a_cpu_each(self):
        _, tasks, _ = self.status("--pin", "-t", 2)
        alone = [cpus for cpus in self.allowed(tasks) if cpus.isdigit()]
        self.assertEqual(len(set(alone)), 2, alone)
        _, tasks, _ = self.status("-t", 2)
        self.assertFalse([cpus for cpus in self.allowed(tasks) if cpus.isdigit()])

    def test_cpus_that_there_are_not(self):
        self.assert_fails(self.story("-p", "x", "--cpu-range", "8191"), 5, "CPU 8191", "it may use")
        self.assert_fails(self.story("-p", "x", "--pin", "-t", len(CPUS) + 1), 5, "--pin", f"-t {len(CPUS)}")
        for value in ("x", "3-1", "0-", "0,,1", "-1", "0 1", "9999999999"):
            self.assert_fails(self.story("-p", "x", "--cpu-range=" + value), 2, "--cpu-range")

    def test_nodes_of_memory(self):
        expected = self.story("-p", "Tim", "-n", 9).out
        for how in ("distribute", "isolate", "numactl"):
            result = self.story("-p", "Tim", "-n", 9, "-t", 1, "--numa", how)
            self.assertEqual((result.code, result.out), (0, expected), result)
            if how != "numactl" and not os.path.exists("/sys/devices/system/node/node1"):
                self.assertIn("one node", result.err)
        self.assert_fails(self.story("-p", "x", "--numa", "sideways"), 2, "isolate")


class Quota(Worker):
    """cpu.max of the control groups, version 1 and 2."""

    def threads(self, **streams):
        return self.status(**streams)[0]["threads"]

    def test_no_more_threads_than_the_quota_has_cpus(self):
        group = os.path.join(QUOTAS, f"carat-test-{os.getpid()}")
        try:
            os.mkdir(group)
        except OSError as error:
            self.skipTest(f"skipped: no control group can be made ({error})")
        self.addCleanup(os.rmdir, group)
        for cpus in (1, len(CPUS), 64):
            with open(group + "/cpu.cfs_quota_us", "w") as file:
                file.write(str(cpus * 100000))

            def join():
                with open(group + "/cgroup.procs", "w") as procs:
                    procs.write(str(os.getpid()))

            self.assertEqual(self.threads(preexec_fn=join), min(cpus, len(CPUS)))

    def test_the_same_in_version_2(self):
        with tempfile.TemporaryDirectory() as folder:
            for text, cpus in (("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1), ("max 100000", len(CPUS))):
                with open(folder + "/cpu.max", "w") as file:
                    file.write(text + "\n")
                script = 'mount --bind "$1" /sys/fs/cgroup && exec "$2" run "$3" -p x -n 1 -o ndjson </dev/null'
                done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", folder, cli.CARAT, cli.STORIES],
                                      capture_output=True, env=cli.environment())
                if done.returncode != 0 and (b"unshare" in done.stderr or b"mount" in done.stderr):
                    self.skipTest("skipped: no file system can be mounted here")
                self.assertEqual(json.loads(done.stdout.splitlines()[0])["threads"], cpus, done)


class Loading(Worker):
    def test_a_file_that_is_read_at_once_is_not_mapped(self):
        expected = self.story("-p", "Tim", "-n", 20).out
        modes = {(): True, ("--no-mmap",): False, ("--load-mode", "none"): False, ("--load-mode", "mmap"): True,
                 ("--map",): True, ("--mmap",): True, ("--load-mode=mlock",): False}
        for flags, is_mapped in modes.items():
            self.assertEqual(self.story("-p", "Tim", "-n", 20, *flags).out, expected)
            self.assertEqual(cli.STORIES.name in self.status(*flags)[2], is_mapped, flags)

    def test_an_sbs_file_can_be_read_at_once(self):
        for path in sorted((cli.FIXTURES / "sbs").glob("*.sbs"))[:2]:
            flags = ("run", path, "--raw", "-p", "x", "-n", 5, "--temp", 0, "--tokenizer", cli.FIXTURES / "sbs" / "tiny512.model")
            self.assertEqual(cli.carat(*flags, "--no-mmap").out, cli.carat(*flags).out)

    @unittest.skipIf(cli.SANITIZED, "skipped: with a sanitizer mlock() does nothing")
    def test_locked_memory_is_locked_or_refused(self):
        size = os.path.getsize(cli.STORIES) // 1024
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] not in (-1, resource.RLIM_INFINITY) and os.getuid() != 0:
            self.skipTest("skipped: memory may not be locked here")
        for flags in (("--mlock",), ("--load-mode", "mmap+mlock"), ("--no-mmap", "--mlock")):
            _, tasks, _ = self.status(*flags)
            self.assertGreaterEqual(int(re.search(r"VmLck:\s*(\d+)", tasks[0])[1]), size, flags)

    @unittest.skipIf(cli.SANITIZED, "skipped: with a sanitizer mlock() does nothing")
    def test_what_may_not_be_locked_is_refused(self):
        if os.getuid() != 0:
            self.skipTest("skipped: needs to become a user without the right to lock memory")

        def become_nobody():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
            os.setgid(65534)
            os.setuid(65534)

        process = cli.start("run", cli.STORIES, "-p", "x", "--mlock", preexec_fn=become_nobody)
        out, err = process.communicate(timeout=cli.TIMEOUT)
        self.assert_fails(cli.Result(process.returncode, out, err), 5, "stories260K.gguf", "locked")

    def test_what_cannot_be(self):
        self.assert_fails(self.story("-p", "x", "--load-mode", "dio"), 2, "direct I/O", "'none'")
        self.assert_fails(self.story("-p", "x", "--load-mode", "mmap", "--no-mmap"), 2, "one of them")
        self.assertIn("part of the program", cli.carat("run", "-m", "demo", "-p", "x", "-n", 1, "--no-mmap").err)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "vast.gguf")
            with open(path, "wb") as file:
                file.truncate(1 << 42)
            self.assert_fails(cli.carat("run", path, "-p", "x", "--no-mmap"), 5, "4.0 TiB", "--load-mode mmap")


class ColdFile(cli.ModelCase):
    def test_a_deadline_in_the_first_touch_of_a_vast_file(self):
        """30 GB, or what the machine says is left: more is refused at once."""
        available = int(re.search(r"MemAvailable:\s*(\d+)", read("/proc/meminfo"))[1]) * 1024
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "vast.gguf")
            layer = 2 * (4 * 4096 * 4096 + 3 * 4096 * 16384)
            vast = sparse_model.write(path, 4096, 16384, 30 * 10**9 // layer)
            fits = vast < available * 0.8
            if not fits:
                result, _ = self.timed(path)
                self.assertEqual((result.code, json.loads(result.out)["code"]), (5, "no_resource"), result)
                sparse_model.write(path, 4096, 16384, int(available * 0.5) // layer)
            best = None
            for _ in range(3):  # the machine may be busy
                result, seconds = self.timed(path)
                self.assertEqual(result.code, 124, result)
                end = json.loads(result.out)
                self.assertEqual(end.get("finish_reason", end.get("code")), "timeout")
                best = min(seconds, best or seconds)
                if best < 2:
                    break
            self.assertLess(best, 2)

    def timed(self, path):
        begin = time.monotonic()
        result = cli.carat("run", path, "--raw", "-p", "Once upon a time", "-n", 500, "--timeout", 1, "-o", "json", "-q")
        return result, time.monotonic() - begin


class ForcedEnd(cli.ModelCase):
    """A layer that takes longer than the process waits for it: an answer is ended over its head."""

    def slow(self, *flags):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "slow.gguf")
            sparse_model.write(path, 512, 8192, 1)
            return cli.carat("run", path, "--raw", "-p", "x", "-n", -1, "--ignore-eos", "--temp", 0, "--isa", "reference",
                             "-t", 1, "-q", "--no-lookup", "--timeout", 5, *flags)

    def test_the_beginning_of_a_stop_text_is_shown(self):
        flags = ("-l", only(ord("b")), "--stop", "b" * 2000)
        result = self.slow(*flags, "-o", "ndjson")
        self.assertEqual(result.code, 124, result)
        end = events.parse_request(result.out)[-1]
        self.assertEqual((end["type"], end["finish_reason"]), ("result", "timeout"))
        self.assertEqual(end["text"], "b" * end["usage"]["completion_tokens"])
        self.assertRegex(self.slow(*flags).out, rb"^b+\n$")

    def test_a_part_of_a_character_is_shown_as_such(self):
        an_emoji_begins = 0xf0
        end = events.parse_request(self.slow("-l", only(an_emoji_begins), "-o", "ndjson").out)[-1]
        self.assertEqual(end["text"], "\ufffd" * end["usage"]["completion_tokens"])


if __name__ == "__main__":
    cli.main()
