"""carat chat: the conversation, its commands, and where it is kept."""
import json
import os
import re
import signal
import stat
import subprocess
import tempfile

import carat_cli as cli
import chat_cli
import events

STORY = "Once upon a time"


class NoTerminal(cli.ModelCase):
    def test_it_is_refused(self):
        self.assert_fails(cli.carat("chat", cli.STORIES), 2, "carat run")
        self.assert_fails(cli.carat("chat", cli.STORIES, stdin=b"hi\n"), 2, "terminal")


    def chat(self, lines, *flags, model=cli.STORIES, code=0):
        env = cli.environment(XDG_STATE_HOME=self.folder.name)
        result = cli.carat("chat", model, "--temp", 0, *flags, stdin=lines, env=env)
        self.assertEqual(result.code, code, result)
        return result

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="carat-")
        self.addCleanup(self.folder.cleanup)

    def test_lines_are_what_would_be_typed_if_that_is_asked_for(self):
        both = self.chat(b"Once upon a time\nTim\n", "--input-format", "text", "-n", 9)
        alone = self.chat(b"Once upon a time\n", "--input-format", "text", "-n", 9).out
        self.assertTrue(both.out.startswith(alone) and len(both.out) > len(alone))
        cleared = self.chat(b"Once upon a time\n/clear\nOnce upon a time\n", "--input-format=text", "-n", 9)
        self.assertEqual(cleared.out, alone * 2)
        self.assertEqual(os.listdir(self.folder.name), [])  # the last chat of a person is not replaced

    def test_messages_are_lines_of_json(self):
        text = self.chat(b"Once upon a time\nTim\n", "--input-format", "text", "-n", 9).out
        for lines in (b'"Once upon a time"\n\n{"content": "Tim"}\n',
                      b'{"role": "user", "content": "Once upon a time"}\n{"prompt": "Tim"}'):
            self.assertEqual(self.chat(lines, "--input-format", "jsonl", "-n", 9).out, text)
        commands = self.chat(b'"/exit"\n"Tim"\n', "--input-format", "jsonl", "-n", 9)
        self.assertEqual(commands.out.count(b"\n"), 2)  # an answer each

    def test_lines_that_are_wrong_are_told_and_the_rest_is_answered(self):
        lines = b'{\n3\n{"role": "king", "content": "x"}\n{"content": "\\u0000"}\n"Once upon a time"\n'
        result = self.chat(lines, "--input-format", "jsonl", "-n", 9, code=7)
        self.assertEqual(result.err.count("carat: error: message"), 4, result)
        self.assertEqual(result.out, self.chat(b'"Once upon a time"', "--input-format", "jsonl", "-n", 9).out)
        self.assertEqual(self.chat(b"/nonsense\n", "--input-format", "text", code=7).out, b"")

    def test_each_answer_has_its_own_deadline(self):
        flags = ("--input-format", "jsonl", "--ignore-eos", "-c", 100000, "--timeout", "700ms")
        result = self.chat(b'"Once"\n"Tim"\n', *flags, code=7)
        self.assertEqual(result.err.count("[the time is up]"), 2, result)
        self.assertEqual(self.chat(b'"Once"\n', *flags, "-n", 2, "--timeout", "1h").err.count("time"), 0)

    def events(self, lines, *flags, code=0):
        """The requests of a chat, each its events, and the last line."""
        out = self.chat(lines, "--input-format", "jsonl", "-o", "ndjson", *flags, code=code).out
        listed = events.parse(out)
        requests = {}
        for event in listed[:-1]:
            requests.setdefault(event["id"], []).append(event)
        for own in requests.values():
            events.check_request(own)
        return requests, listed[-1]

    def test_answers_as_events(self):
        lines = b'"Once upon a time"\n"Tim"\n'
        text = self.chat(lines, "--input-format", "jsonl", "-n", 9).out.decode()
        requests, end = self.events(lines, "-n", 9)
        self.assertEqual(list(requests), ["r1", "r2"])
        self.assertEqual("".join(own[-1]["text"] + "\n" for own in requests.values()), text)
        self.assertEqual(end, {"type": "end", "requests": 2, "failed": 0})
        first, second = (own[-1]["usage"] for own in requests.values())
        self.assertGreater(second["cached_tokens"], first["prompt_tokens"] - 2)
        only = self.chat(lines, "--input-format", "jsonl", "-n", 9, "-o", "json", "--source", "me").out
        self.assertEqual([json.loads(line).get("text") for line in only.splitlines()],
                         [own[-1]["text"] for own in requests.values()] + [None])
        self.assertEqual(json.loads(only.splitlines()[0])["source"], "me")

    def test_events_of_what_fails(self):
        requests, end = self.events(b'"Once"\n{\n' + json.dumps("long " * 3000).encode() + b'\n"Tim"', "-n", 3, code=7)
        self.assertEqual([own[-1].get("code", "") for own in requests.values()], ["", "bad_usage", "prompt_too_long", ""])
        self.assertEqual([own[-1].get("line") for own in requests.values()], [None, 2, 3, None])
        self.assertEqual(end, {"type": "end", "requests": 4, "failed": 2})
        late = ("--ignore-eos", "-c", 100000, "--timeout", "700ms")
        requests, end = self.events(b'"Once"\n"Tim"\n', *late, code=7)
        self.assertEqual([own[-1]["finish_reason"] for own in requests.values()], ["timeout"] * 2)
        self.assertEqual(end["failed"], 2)

    def test_a_signal_ends_the_events_as_well(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            process = cli.start("chat", cli.STORIES, "--input-format", "jsonl", "-o", "ndjson", "-c", 100000, "--ignore-eos",
                                bufsize=0, stdin=subprocess.PIPE, env=cli.environment(XDG_STATE_HOME=self.folder.name))
            process.stdin.write(b'"Once"\n')
            process.stdin.flush()
            first = process.stdout.readline() + process.stdout.readline()
            process.send_signal(number)
            out, err = process.communicate(timeout=cli.TIMEOUT)
            self.assertEqual(process.returncode, code, err)
            listed = events.parse(first + out)
            events.check_request(listed[:-1])
            self.assertEqual((listed[-2]["finish_reason"], listed[-2]["exit_code"]), ("interrupted", code))

    def test_probabilities_of_tokens(self):
        requests, _ = self.events(b'"Once"', "-n", 3, "--logprobs", 2)
        chances = [chance for event in requests["r1"] if event["type"] == "delta" for chance in event["logprobs"]]
        self.assertEqual([len(chance["top"]) for chance in chances], [2] * 3)
        self.assertEqual(cli.carat("chat", cli.STORIES, "--logprobs", 2, "--input-format", "text", stdin=b"").code, 2)

    def test_a_first_question_and_what_was_said_before(self):
        both = self.chat(b'"Once upon a time"\n"Tim"\n', "--input-format", "jsonl", "-n", 9).out
        self.assertEqual(self.chat(b'"Tim"\n', "--input-format", "jsonl", "-n", 9, "-p", "Once upon a time").out, both)
        answer = both.decode().split("\n")[0]
        path = os.path.join(self.folder.name, "said.json")
        said = [{"role": "user", "content": "Once upon a time"}, {"role": "assistant", "content": answer}]
        with open(path, "w", encoding="utf-8") as file:
            json.dump([*said, {"role": "user", "content": "Tim"}], file)
        flags = ("--input-format", "text", "-n", 9)
        open_question = self.chat(b"", *flags, "--messages", path)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(said, file)
        self.assertEqual(self.chat(b"Tim\n", *flags, "--messages", path).out, open_question.out)
        with open(path, "w", encoding="utf-8") as file:
            file.write("Tim\n")
        self.assertEqual(self.chat(b"", *flags, "-p", "Once upon a time", "-f", path).out.count(b"\n"), 1)
        for wrong in (("-f", "-"), ("--messages", path, "-C"), ("--messages", path)):
            self.assertEqual(cli.carat("chat", cli.STORIES, *flags, *wrong, stdin=b"").code, 2, wrong)

    def test_without_turns_and_with_what_the_model_reads(self):
        flags = ("--input-format", "text", "-n", 9)
        raw = self.chat(b"Once upon a time\n", *flags, "--raw", "--no-newline").out
        self.assertEqual(raw, cli.carat("run", cli.STORIES, "--raw", "-p", "Once upon a time", "-n", 9, "--temp", 0,
                                        "--no-newline").out)
        model = cli.MICRO / "micro-gemma3-f16.gguf"
        echoed = self.chat(b"Hi\nYou\n", "--input-format", "text", "-n", 0, "--echo", model=model).out.decode()
        shown = cli.carat("run", model, "-p", "Hi", "-n", 0, "--echo", "--no-newline").out.decode()
        self.assertTrue(echoed.startswith(shown), echoed)
        self.assertEqual((echoed.count("Hi"), echoed.count("You")), (1, 1))
        for wrong in (("--raw", "--system", "x"), ("--echo", "-o", "json")):
            self.assertEqual(cli.carat("chat", cli.STORIES, *flags, *wrong, stdin=b"").code, 2, wrong)

    def test_answers_are_held_to_a_form(self):
        flags = ("--input-format", "text", "-n", 400)
        for form, pattern in ((("--regex", "[a-c]{3}"), r"[a-c]{3}"), (("-j", '{"enum": ["x", 12]}'), r'"x"|12'),
                              (("--grammar", 'root ::= "no" | "yes"'), r"no|yes")):
            answers = self.chat(b"Once\nTim\n", *flags, *form).out.decode().splitlines()
            self.assertEqual(len(answers), 2)
            self.assertTrue(all(re.fullmatch(pattern, answer) for answer in answers), answers)
        freed = self.chat(b"Once\n/format off\nTim\n", *flags[:3], 9, "--regex", "[a-c]{3}").out.decode().splitlines()
        self.assertFalse(re.fullmatch("[a-c]{3}", freed[1]), freed)
        requests, end = self.events(b'"Once"', "-n", 2, "--regex", "[a-z]{50}", code=7)
        self.assertEqual((requests["r1"][-1]["exit_code"], requests["r1"][-1]["constraint"]["satisfied"]), (6, False))
        self.assertGreater(requests["r1"][-1]["constraint"]["ms"], 0)
        self.assert_fails(cli.carat("chat", cli.STORIES, *flags, "--regex", "a(", stdin=b""), 6, "--regex")

    def test_thoughts_can_be_limited(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("<|im_start|>assistant\n<think>")
            file.flush()
            flags = ("--input-format", "jsonl", "-n", 60, "-s", 1, "--template", "@" + file.name)
            model = cli.MICRO / "micro-qwen3-f16.gguf"
            self.assertEqual(self.chat(b'"Hi"', *flags, model=model).out, b"")
            self.assertTrue(self.chat(b'"Hi"', *flags, "--think", 5, model=model).out)
        self.assert_fails(cli.carat("chat", cli.STORIES, "--input-format", "text", "--think", "on", stdin=b"x\n"), 2,
                          "does not think")


class Turns(chat_cli.ChatCase):
    def test_a_later_turn_may_fill_the_context_and_go_on(self):
        for keep in (0, 5):
            chat = cli.carat("chat", "-m", cli.STORIES, "-c", 40, "-n", 14, "--ignore-eos", "--overflow", "shift",
                             "--keep", keep, "--temp", 0, "-q", "--input-format", "text", stdin=b"One day a dog and a cat\nThe dog ran\nTim\n")
            self.assertEqual(chat.code, 0, chat)
            self.assertEqual(chat.err.count("[stopped after 14 tokens]"), 3, chat)

    def test_an_answer_that_takes_too_long_is_cut_and_the_chat_goes_on(self):
        chat = self.talk("--ignore-eos", "-c", 100000, "--timeout", "1s")
        self.assertIn("[the time is up]", chat.ask(STORY))
        self.assertGreater(int(chat.ask("/context").split()[0]), 5)
        self.assertIn("[the time is up]", chat.ask("Tim"))

    def test_colours_can_be_forced_and_forbidden(self):
        for color, is_coloured in (("always", True), ("never", False)):
            chat = self.talk("-n", 3, "--color", color)
            self.assertEqual("\x1b[1m" in chat.raw or "\x1b[3" in chat.raw, is_coloured, chat.raw)

    def interrupt_story(self, chat):
        chat.send(STORY + "\r")
        chat.expect_written("little")
        chat.send("\x03")
        chat.expect("[interrupted]")
        chat.wait_for_prompt()

    def test_turns_stream_and_the_conversation_goes_on(self):
        chat = self.talk("-n", 20)
        first = chat.ask(STORY)
        self.assertIn("little girl", first)
        self.assertNotEqual(chat.ask(STORY), first)  # the model has read the first turn

    def test_clear_forgets_by_both_its_names(self):
        chat = self.talk("-n", 20)
        first = chat.ask(STORY)
        for clear in ("/clear", "%c"):
            chat.ask(clear)
            self.assertEqual(chat.ask(STORY), first)

    def test_an_interrupt_stops_the_answer_and_keeps_what_there_is_of_it(self):
        chat = self.talk("--ignore-eos", "-n", 20000, "-c", 30000)
        self.interrupt_story(chat)
        self.assertGreater(int(chat.ask("/context").split()[0]), 5)
        self.assertIn("little", chat.ask("/show prompt").replace("'", ""))

    def test_after_an_interrupt_clear_gives_the_first_answer_again(self):
        chat = self.talk("--ignore-eos", "-n", 3000, "-c", 30000)
        self.interrupt_story(chat)
        chat.ask("/clear")
        chat.ask("/set predict 20")
        self.assertIn(", there was a little girl named Lily", chat.ask(STORY))

    def test_an_interrupt_before_the_answer_gives_the_question_back(self):
        chat = self.talk("-c", 60000, "-b", 16, "-t", 1)
        story = os.path.join(self.folder("files"), "story.txt")
        os.mkdir(os.path.dirname(story))
        with open(story, "w", encoding="utf-8") as file:
            file.write((STORY + " there was a girl. ") * 4000)
        self.assertIn("in front of what you say next", chat.ask("/read " + story))
        chat.send("And then?\r")
        chat.pump(0.3)
        chat.send("\x03")
        chat.expect("nothing was said")
        chat.expect(">>> [#1: 3 lines, ")  # too tall to be edited in place
        self.assertIn("0 tokens of", self.cleared(chat).ask("/context"))

    def cleared(self, chat):
        chat.send("\x03")
        chat.wait_for_prompt()
        return chat

    def test_leaving(self):
        for word in ("/exit\r", "/quit\r", "/bye\r", "%q\r", "\x04"):
            chat = self.talk()
            chat.send(word)
            self.assertEqual(chat.end(), 0, word)

    def test_two_interrupts_on_an_empty_line_leave(self):
        chat = self.talk()
        chat.send("\x03")
        chat.expect("leaves")
        chat.wait_for_prompt()
        chat.send("\x03")
        self.assertEqual(chat.end(), 130)

    def test_an_interrupt_between_lines_is_no_first_one(self):
        chat = self.talk("-n", 5)
        for _ in range(2):
            chat.send("\x03")
            chat.wait_for_prompt()
            chat.ask("Once")
        self.assertTrue(chat.child.isalive())

    def test_a_termination_ends_it_and_the_chat_is_kept(self):
        chat = self.talk()
        chat.child.kill(15)
        self.assertEqual(chat.end(), 143)
        chat = self.talk("--ignore-eos", "-n", 20000, "-c", 30000)
        chat.send(STORY + "\r")
        chat.expect_written("little")
        chat.child.kill(15)
        self.assertEqual(chat.end(), 143)
        self.assertIn("1 turn, the last: " + STORY, self.talk("-C").text())

    def test_a_transcript_can_be_redirected(self):
        command = f'"{cli.CARAT}" chat -m "{cli.STORIES}" --temp 0 -n 10 -q > "$OUT"'
        out = self.folder("out")
        chat = chat_cli.pexpect.spawn("/bin/sh", ["-c", command], encoding="utf-8", timeout=cli.TIMEOUT,
                                      env=cli.environment(TERM="xterm", NO_COLOR=1, XDG_STATE_HOME=self.state, OUT=out))
        chat.expect_exact(">>> ")  # drawn on stderr
        chat.send(STORY + "\r")
        chat.expect_exact("[stopped after")
        chat.expect_exact(">>> ")
        chat.send("\x04")
        chat.expect(chat_cli.pexpect.EOF)
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b", there was a little girl named Lily\n")


class FullContext(chat_cli.ChatCase):
    def test_the_oldest_turns_are_dropped_and_the_system_text_is_kept(self):
        chat = self.talk("-c", 128, "-n", 30, "--ignore-eos", "--system", "Be kind.")
        for turn in range(2):
            self.assertNotIn("forgotten", chat.ask(f"{STORY} {turn}"))
        answers = [chat.ask(f"{STORY} {turn}") for turn in range(2, 5)]
        self.assertIn("the context is full: the oldest", "".join(answers))
        report = chat.ask("/context")
        self.assertIn("system: Be kind.", report)
        self.assertIn("forgotten]", report)
        self.assertNotIn(STORY + " 0", report)
        self.assertLess(int(report.split()[0]), 128)

    def test_that_it_gets_full_is_said_once(self):
        chat = self.talk("-c", 64, "-n", 50, "--ignore-eos")
        self.assertIn("% full; /context", chat.ask(STORY))

    def test_with_stop_and_error_it_is_said_and_clear_helps(self):
        for policy in ("stop", "error"):
            chat = self.talk("-c", 40, "--ignore-eos", "--overflow", policy)
            self.assertIn("context of 40 tokens is full; /clear", chat.ask(STORY))
            self.assertIn("does not fit", chat.ask("More"))
            chat.ask("/clear")
            self.assertIn("little", chat.ask(STORY))

    def test_with_shift_it_goes_on(self):
        chat = self.talk("-c", 40, "-n", 100, "--ignore-eos", "--overflow", "shift")
        self.assertIn("stopped after 100 tokens", chat.ask(STORY))
        self.assertIn("tokens are forgotten", chat.ask("More"))


class Commands(chat_cli.ChatCase):
    def test_an_unknown_one_sends_nothing(self):
        chat = self.talk("-n", 5)
        for line in ("/foo", "/exits", "/clear it", "/read"):
            self.assertIn("nothing was sent", chat.ask(line))
        self.assertIn("'/exit'", chat.ask("/exi"))  # perhaps meant
        self.assertIn("0 tokens of", chat.ask("/context"))
        self.assertNotIn("no command", chat.ask("//foo"))
        self.assertIn("/foo", chat.ask("/context"))

    def test_help_lists_each_and_explains_one(self):
        chat = self.talk(size=(40, 100))
        answer = chat.ask("/help")
        for name in ("/regen", "/system", "/set", "/save", "/context", "Ctrl-G"):
            self.assertIn(name, answer)
        self.assertEqual(len(chat.ask("/? undo").strip().splitlines()), 1)

    def test_undo_takes_the_last_turn_back_without_reading_the_others_again(self):
        chat = self.talk("-n", 10)
        chat.ask(STORY)
        second = chat.ask("Lily")
        self.assertIn("taken back: Lily", chat.ask("/undo"))
        self.assertEqual(chat.ask("Lily"), second)
        self.assertNotIn(" 0 of them read before", chat.ask("/stats"))
        chat.ask("/undo")
        chat.ask("/undo")
        self.assertIn("no turn", chat.ask("/undo"))

    def test_forget_drops_the_oldest(self):
        chat = self.talk("-n", 10)
        chat.ask(STORY)
        chat.ask("Lily")
        chat.ask("/forget")
        report = chat.ask("/context")
        self.assertNotIn(STORY, report)
        self.assertIn("Lily", report)

    def test_regen_writes_the_answer_again_with_the_seed_it_is_given(self):
        chat = self.talk("--temp", 1, "-n", 60)
        chat.ask(STORY)
        self.assertEqual(chat.ask("/regen 5"), chat.ask("/regen 5"))
        self.assertNotEqual(chat.ask("/regen 5"), chat.ask("/regen 6"))
        self.assertIn("is not a seed", chat.ask("/regen x"))
        chat.ask("/undo")
        self.assertIn("no answer", chat.ask("/regen"))

    def test_edit_gives_the_last_question_back(self):
        chat = self.talk("-n", 5)
        chat.ask(STORY)
        chat.send("/edit\r")
        chat.until(lambda: chat.lines()[chat.screen.cursor.y] == ">>> " + STORY, "question")
        chat.send("s\r")
        chat.wait_for_prompt()
        self.assertIn(STORY + "s", chat.ask("/context"))

    def test_system_changes_what_the_model_reads_first(self):
        chat = self.talk("-n", 10)
        self.assertIn("no system text", chat.ask("/system"))
        chat.ask(STORY)
        chat.ask("/system Cats sat.")
        self.assertIn("Cats sat.", chat.ask("/system"))
        chat.ask(STORY)
        self.assertIn("system: Cats sat.", chat.ask("/context"))
        ids = [line.split("\t")[0] for line in chat.ask("/show prompt").strip().splitlines()]
        system = cli.carat("tokenize", cli.STORIES, "--ids", "Cats sat.").out.decode().split()
        self.assertEqual(ids[:len(system) - 1], system[:-1])  # the last may merge with what follows

    def test_set_takes_the_flags_of_sampling_and_keeps_the_seed(self):
        chat = self.talk("-n", 5, "--greedy")
        settings = chat.ask("/set")
        self.assertIn("\ntop-k ", settings)
        chat.ask("/set top_k 7")
        chat.ask("/set --temp=0.5")
        self.assertEqual(chat.ask("/set"), settings.replace("top-k 40", "top-k 7").replace("temp 0\n", "temp 0.5\n"))
        self.assertIn("is not a number", chat.ask("/set temp x"))
        self.assertIn("cannot be set", chat.ask("/set color 3"))
        self.assertNotIn("error", chat.ask("/set deterministic on"))
        self.assertIn("usage: /set", chat.ask("/set temp"))

    def test_show(self):
        chat = self.talk("-n", 5)
        self.assertIn("5 layers", chat.ask("/show info"))
        self.assertIn("raw", chat.ask("/show template"))
        self.assertIn("top-k", chat.ask("/show params"))
        chat.ask("Once")
        ids = [line.split("\t")[0] for line in chat.ask("/show prompt").strip().splitlines()]
        prompt = cli.carat("tokenize", cli.STORIES, "--ids", "Once").out.decode().split()
        self.assertEqual(ids[:len(prompt)], prompt)
        self.assertIn("cannot be shown", chat.ask("/show me"))

    def test_thinking_is_for_models_that_have_a_switch(self):
        self.assertIn("no switch", self.talk().ask("/think off"))


class Kept(chat_cli.ChatCase):
    def messages(self, path):
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def mode(self, path):
        return stat.S_IMODE(os.stat(path).st_mode)

    def test_the_last_chat_goes_on(self):
        chat = self.talk("-n", 10)
        first = chat.ask(STORY)
        second = chat.ask("Lily")
        chat.ask("/undo")
        chat.send("/exit\r")
        chat.end()
        self.assertEqual(self.mode(os.path.join(self.state, "carat", "last-chat.jsonl")), 0o600)
        chat = self.talk("-n", 10, "-C")
        self.assertIn("1 turn, the last: " + STORY, chat.text())
        self.assertEqual(chat.ask("Lily"), second)
        self.assertEqual(chat.ask("/clear") + chat.ask(STORY), first)

    def test_nothing_is_kept_if_that_is_asked_for(self):
        chat = self.talk("-n", 5, CARAT_NOHISTORY="1")
        chat.ask(STORY)
        chat.send("/exit\r")
        self.assertEqual(chat.end(), 0)
        self.assertFalse(os.path.exists(self.state))

    def test_save_and_load(self):
        path = self.folder("chat.jsonl")
        chat = self.talk("-n", 5, "--system", "Be kind.")
        answer = chat.ask(STORY)
        chat.ask("/save " + path)
        self.assertEqual(self.messages(path), [{"role": "system", "content": "Be kind."},
                                               {"role": "user", "content": STORY},
                                               {"role": "assistant", "content": answer[:-1].split("\n[")[0]}])
        self.assertEqual(self.mode(path), 0o600)
        chat.ask("/clear")
        self.assertIn("1 turn", chat.ask("/load " + path))
        self.assertIn(STORY, chat.ask("/context"))

    def test_save_replaces_no_file_of_another_kind(self):
        path = self.folder("notes.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("mine\n")
        chat = self.talk("-n", 5)
        chat.ask(STORY)
        self.assertIn("nothing was saved", chat.ask("/save " + path))
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine\n")

    def test_what_is_no_conversation_is_refused_and_the_chat_stays(self):
        chat = self.talk("-n", 5)
        chat.ask(STORY)
        path = self.folder("bad.jsonl")
        for text, word in (("x", "line 1: at byte 1: not JSON"), ('{"role":"user"}', "no text 'content'"), ("[1]", "message 1"),
                           ('\n{"role":"cat","content":""}', "line 2: role 'cat' is none of")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self.assertIn(word, chat.ask("/load " + path).replace("\n", ""))
        self.assertIn("cannot be read", chat.ask("/load " + path + ".none"))
        self.assertIn(STORY, chat.ask("/context"))

    def test_what_the_model_has_read_of_a_session_is_not_read_again(self):
        path = self.folder("s.jsonl")
        chat = self.talk("-n", 5, "--session", path)
        chat.ask(STORY)
        chat.send("/exit\r")
        chat.end()
        self.assertTrue(os.path.exists(path + ".kv"))
        chat = self.talk("-n", 5, "--session", path)
        chat.ask("Tim")
        self.assertNotIn(" 0 of them read before", chat.ask("/stats"))

    def test_a_session_goes_on_in_its_file(self):
        path = self.folder("s.jsonl")
        for turns in (1, 2):
            chat = self.talk("-n", 5, "--session", path)
            chat.ask(STORY)
            self.assertEqual(len(self.messages(path)), 2 * turns)
            self.assertIn("kept in " + path, chat.ask("/session").replace("\n", ""))
        chat = self.talk("-n", 5, "--session", path, "--session-ro")
        chat.ask(STORY)
        self.assertEqual(len(self.messages(path)), 4)
        self.assert_fails(cli.carat("chat", cli.STORIES, "--session", path, "-C"), 2, "one of them")


if __name__ == "__main__":
    cli.main()
