"""--session: a conversation in a file, and what the model has read of it in another."""
import json
import os
import random
import struct
import tempfile
import zlib

import carat_cli as cli
import events

MODEL = cli.MICRO / "micro-gemma3-f16.gguf"
FLAGS = ("run", MODEL, "--temp", 0, "-n", 12, "-c", 512, "-o", "ndjson")


class Sessions(cli.ModelCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="carat-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.file = os.path.join(folder.name, "talk.jsonl")
        self.cache = self.file + ".kv"

    def ask(self, prompt, *flags, code=0):
        """The result, and what was said on standard error."""
        result = cli.carat(*FLAGS, "--session", self.file, "-p", prompt, *flags)
        self.assertEqual(result.code, code, result)
        return events.parse_request(result.out)[-1], result.err

    def turns(self):
        with open(self.file, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def contents(self):
        with open(self.cache, "rb") as file:
            return file.read()

    def put(self, contents):
        with open(self.cache, "wb") as file:
            file.write(contents)

    def test_a_conversation_goes_on_and_little_is_read_again(self):
        first, _ = self.ask("Who is Tim?", "--system", "Be brief.")
        self.assertEqual(first["usage"]["cached_tokens"], 0)
        second, err = self.ask("And Lily?")
        self.assertEqual(err, "")
        self.assertGreaterEqual(second["usage"]["cached_tokens"], first["usage"]["prompt_tokens"] - 1)
        roles = [(turn["role"], turn["content"]) for turn in self.turns()]
        self.assertEqual(roles, [("system", "Be brief."), ("user", "Who is Tim?"), ("assistant", first["text"]),
                                 ("user", "And Lily?"), ("assistant", second["text"])])
        for name in (self.file, self.cache):
            self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)

    def test_an_answer_is_the_same_with_the_cache_and_without(self):
        self.ask("Who is Tim?")
        messages = self.turns() + [{"role": "user", "content": "And Lily?"}]
        cached, _ = self.ask("And Lily?")
        with open(os.path.join(self.folder, "messages"), "w", encoding="utf-8") as file:
            json.dump(messages, file)
        whole = cli.carat(*FLAGS, "--messages", file.name)
        self.assertEqual(events.parse_request(whole.out)[-1]["text"], cached["text"])
        self.assertGreater(cached["usage"]["cached_tokens"], 0)

    def test_a_session_may_be_left_as_it_is(self):
        self.ask("Who is Tim?")
        before = open(self.file, "rb").read(), self.contents()
        again, _ = self.ask("And Lily?", "--session-ro")
        self.assertGreater(again["usage"]["cached_tokens"], 0)
        self.assertEqual((open(self.file, "rb").read(), self.contents()), before)

    def test_a_cache_of_something_else_is_left_unused_and_the_conversation_goes_on(self):
        self.ask("Who is Tim?")
        for flags in (("-ctk", "q8_0"), ("--template", "chatml")):
            end, err = self.ask("And Lily?", "--session-ro", *flags)
            self.assertEqual(end["usage"]["cached_tokens"], 0)
            self.assertIn("left unused", err)
        other = cli.carat("run", cli.MICRO / "micro-llama-f16.gguf", *FLAGS[2:], "--session", self.file, "--session-ro", "-p",
                          "And Lily?")
        self.assertEqual(other.code, 0, other)
        self.assertIn("left unused", other.err)

    def test_a_larger_or_smaller_context_takes_what_fits(self):
        self.ask("Who is Tim?")
        self.assertGreater(self.ask("And Lily?", "--session-ro", "-c", 1000)[0]["usage"]["cached_tokens"], 0)
        position = struct.unpack_from("<Q", self.contents(), 20)[0]
        end, err = self.ask("x", "--session-ro", "-c", position - 1, "--overflow", "drop-turns")
        self.assertEqual(end["usage"]["cached_tokens"], 0)
        self.assertIn("larger context", err)

    def test_no_damage_is_read(self):
        self.ask("Who is Tim?")
        whole = self.contents()
        dice = random.Random(3)
        damaged = [whole[:n] for n in [0, 1, 7, 8, 12, 20, 35, 36, 40, len(whole) - 1] + [dice.randrange(len(whole)) for _ in range(10)]]
        damaged += [whole + b"x", whole * 2, b"carat-kv" * 1000]
        for place in list(range(0, 40, 3)) + [dice.randrange(len(whole)) for _ in range(15)]:
            damaged.append(whole[:place] + bytes([whole[place] ^ 1 << dice.randrange(8)]) + whole[place + 1:])
        for contents in damaged:
            self.put(contents)
            end, err = self.ask("And Lily?", "--session-ro")
            self.assertEqual(end["usage"]["cached_tokens"], 0)
            self.assertIn("left unused", err)
            if contents.startswith(whole[:20]) and len(contents) >= 36:  # of the same version and key
                self.assertIn("damaged, or cut short", err)

    def test_no_number_in_it_is_believed(self):
        """Whoever writes such a file can sum it up, too."""
        self.ask("Who is Tim?")
        whole = self.contents()[:-4]
        for place in (20, 28):  # position and furthest
            for number in (0, 1, 40, 511, 512, 513, 1 << 31, 1 << 40, (1 << 64) - 1):
                changed = bytearray(whole)
                struct.pack_into("<Q", changed, place, number)
                self.put(bytes(changed) + struct.pack("<I", zlib.crc32(changed)))
                self.ask("And Lily?", "--session-ro")
        for identity in (-1, 1 << 30, -(1 << 31)):
            changed = bytearray(whole)
            struct.pack_into("<i", changed, 36, identity)
            self.put(bytes(changed) + struct.pack("<I", zlib.crc32(changed)))
            self.assertIn("vocabulary", self.ask("And Lily?", "--session-ro")[1])
        changed = bytearray(whole)
        changed[-4000:] = b"\xff" * 4000  # not numbers
        self.put(bytes(changed) + struct.pack("<I", zlib.crc32(changed)))
        self.ask("And Lily?", "--session-ro")

    def test_an_answer_that_is_cut_off_is_kept_as_far_as_it_came(self):
        end, _ = self.ask("Who is Tim?", "-n", -1, "--ignore-eos", "-c", 100000, "--timeout", "1500ms", code=124)
        self.assertEqual(end["finish_reason"], "timeout")
        self.assertEqual(self.turns()[-1]["content"], end["text"])
        self.ask("And Lily?", "-c", 100000)

    def test_what_is_no_conversation_is_not_replaced(self):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("notes\n")
        self.assertEqual(self.ask("Hi", code=2)[0]["code"], "bad_usage")
        self.assertEqual(open(self.file, encoding="utf-8").read(), "notes\n")

    def test_what_cannot_be_kept_is_said_before_the_answer(self):
        result = cli.carat("run", "-m", "demo", "-p", "x", "--session", "/proc/nowhere/x", "-o", "json")
        self.assertEqual((result.code, json.loads(result.out)["exit_code"]), (1, 1))
        self.assertEqual(json.loads(result.out)["type"], "error")

    def test_flags_that_do_not_go_with_it(self):
        for flags in (("--raw",), ("--messages", "/dev/null"), ("--input-format", "jsonl")):
            self.assertEqual(cli.carat(*FLAGS, "--session", self.file, *flags).code, 2)


if __name__ == "__main__":
    cli.main()
