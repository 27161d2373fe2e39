"""carat chat on a terminal: the line, its keys, and what the screen shows."""
import json
import os
import tempfile
import time

import carat_cli as cli
import chat_cli

STORY = "Once upon a time"


class Line(chat_cli.ChatCase):
    def line(self, chat):
        chat.pump()
        return chat.lines()[chat.screen.cursor.y]

    def said(self, chat):
        """The last question, as the model reads it."""
        path = os.path.join(self.state, "carat", "last-chat.jsonl")
        with open(path, encoding="utf-8") as file:
            messages = [json.loads(line) for line in file]
        return messages[-2]["content"]

    def say(self, chat, keys):
        chat.send(keys)
        chat.send("\r")
        time.sleep(0.1)
        chat.wait_for_prompt()
        return self.said(chat)

    def test_wide_characters_are_edited_as_characters(self):
        chat = self.talk("-n", 2)
        chat.send("漢字 😀 é!")
        chat.until(lambda: chat.screen.cursor.x == 4 + 10, "line")  # two cells for each of the wide ones
        self.assertEqual(self.say(chat, "\x01\x1b[C\x1b[3~X"), "漢X 😀 é!")

    def test_lines_are_added_by_keys_a_backslash_and_quotes(self):
        chat = self.talk("-n", 2)
        self.assertEqual(self.say(chat, "a\nb\x1b\rc"), "a\nb\nc")
        self.assertEqual(self.say(chat, "a\\\rb"), "a\nb")
        self.assertEqual(self.say(chat, '"""\r/exit\rb\r"""'), "/exit\nb")
        self.assertEqual(self.say(chat, '"""a"""'), "a")

    def test_the_cursor_moves_between_lines(self):
        chat = self.talk("-n", 2)
        self.assertEqual(self.say(chat, "one\ntwo\nthree\x1b[A\x1b[AX\x1b[BY"), "oneX\ntwoY\nthree")

    def test_a_paste_is_one_message(self):
        chat = self.talk("-n", 2)
        chat.paste("one\r\ntwo\rthree \x1b[31m\x07\x9bend\n")
        self.assertEqual(self.say(chat, "!"), "one\ntwo\nthree [31mend!")

    def test_a_paste_of_50_kb_is_quick_and_whole(self):
        chat = self.talk("-n", 2)
        text = "The quick brown fox jumps over the lazy dog.\n" * 1200
        begin = time.monotonic()
        chat.paste(text)
        chat.expect(">>> [#1: 1200 lines, 53999 bytes]")
        self.assertLess(time.monotonic() - begin, 5)
        chat.send(" What?")
        chat.expect("bytes] What?")
        self.assertIn("does not fit", chat.ask(""))  # into 2048 tokens
        with open(os.path.join(self.state, "carat", "history"), encoding="utf-8") as file:
            self.assertEqual(file.read(), text[:-1].replace("\n", "\\n") + " What?\n")

    def test_history_is_kept_and_searched(self):
        chat = self.talk("-n", 2)
        for text in ("first\nof two", "second \\ one"):
            self.say(chat, text)
        chat.send("\x04")
        chat.end()
        path = os.path.join(self.state, "carat", "history")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        chat = self.talk("-n", 2)
        chat.send("\x1b[A")
        chat.expect(">>> second \\ one")
        self.assertEqual(self.say(chat, "\x15\x12fir\x1b[C"), "first\nof two")

    def test_history_ends_at_1000_lines(self):
        os.makedirs(os.path.join(self.state, "carat"))
        path = os.path.join(self.state, "carat", "history")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"line {i}\n" for i in range(1500))
        self.talk()
        with open(path, encoding="utf-8") as file:
            lines = file.readlines()
        self.assertEqual((len(lines), lines[0]), (1000, "line 500\n"))

    def test_an_interrupt_clears_the_line_which_history_has(self):
        chat = self.talk("-n", 2)
        chat.send("not\nthis")
        chat.expect("this")
        chat.send("\x03")
        chat.wait_for_prompt()
        self.assertNotIn("leaves", chat.text())
        self.assertEqual(self.say(chat, "\x1b[A!"), "not\nthis!")

    def test_tab_completes_commands_settings_and_paths(self):
        chat = self.talk("-n", 2)
        folder = self.folder("d")
        os.makedirs(os.path.join(folder, "subfolder"))
        for typed, line in (("/reg\t", "/regen"), ("/set repeat-p\t", "/set repeat-penalty"),
                            ("/show p\t", "/show p"), ("/help /und\t", "/help /undo"),
                            (f"/load {folder}/su\t", f"/load {folder}/subfolder/")):
            chat.send(typed)
            chat.until(lambda: self.line(chat) == ">>> " + line, line)
            chat.send("\x15")
        chat.send("/show \t")
        chat.expect("template")  # several: listed

    def test_the_users_editor_has_the_text(self):
        chat = self.talk("-n", 2, EDITOR="sed -i -e s/cat/dog/ -e '$aend'")
        for key in ("\x07", "\x18\x05"):
            chat.send("a cat" + key)
            chat.until(lambda: self.line(chat) == "end", "text")
            self.assertEqual(self.say(chat, ""), "a dog\nend")
        chat = self.talk("-n", 2, EDITOR="false")
        chat.send("a cat\x07")
        chat.expect("the editor failed")
        chat.until(lambda: self.line(chat) == ">>> a cat", "text")
        self.assertEqual(self.say(chat, ""), "a cat")

    def test_ctrl_c_in_the_editor_is_the_editors(self):
        chat = self.talk("-n", 2, EDITOR="sh -c 'trap : INT; echo here >&2; sleep 5; echo saved >$0'")
        chat.send("a cat\x07")
        chat.expect("here")
        chat.send("\x03")
        chat.until(lambda: self.line(chat) == ">>> saved", "text")
        self.assertEqual(self.say(chat, ""), "saved")

    def test_a_folder_for_the_editors_file_that_is_not_there_is_no_end_of_the_chat(self):
        chat = self.talk("-n", 2, EDITOR="true", TMPDIR="/nonexistent")
        chat.send("a cat\x07")
        chat.expect("the editor failed")
        chat.until(lambda: self.line(chat) == ">>> a cat", "text")
        self.assertEqual(self.say(chat, ""), "a cat")

    def test_what_is_typed_ahead_waits_for_the_prompt(self):
        chat = self.talk("-n", 1500, "--ignore-eos")
        chat.send(STORY + "\r")
        chat.expect_written("little")
        chat.send("/context\r")
        chat.expect_written("tokens of 2048 used")
        self.assertIn("stopped after 1500 tokens]", chat.raw[:chat.raw.index("tokens of 2048 used")])

    def test_a_prompt_without_colour(self):
        self.assertNotIn("\x1b[1m", self.talk(NO_COLOR="1").raw)
        chat = self.talk()
        self.assertIn("\x1b[1m", chat.raw)
        self.say(chat, "a cat")
        bold = {chat.screen.buffer[y][x].data for y in range(chat.screen.lines) for x in range(chat.screen.columns)
                if chat.screen.buffer[y][x].bold}
        self.assertEqual(bold, {">"})  # the prompt, and nothing that is typed or answered
        self.assertFalse(chat.screen.cursor.attrs.bold)

    def test_a_locale_without_utf8_reads_and_shows_it_all_the_same(self):
        chat = self.talk("-n", 2, LC_ALL="C")
        self.assertEqual(self.say(chat, "漢字é"), "漢字é")


class HangUp(chat_cli.ChatCase):
    def code_after_the_terminal_goes(self, chat):
        chat.child.ptyproc.delayafterclose = 1
        chat.child.close(force=False)  # sends no signal of its own
        return chat.child.exitstatus

    def test_a_terminal_that_goes_ends_the_chat_as_its_signal_does_and_keeps_the_turn(self):
        with tempfile.TemporaryDirectory() as folder:
            session = os.path.join(folder, "kept")
            chat = self.talk("--ignore-eos", "-n", 1500, "--session", session)
            chat.send(STORY + "\r")
            chat.expect_written("little")
            self.assertEqual(self.code_after_the_terminal_goes(chat), 129)
            self.assertTrue(os.path.exists(session))

    def test_the_same_at_the_prompt(self):
        for term in ("xterm", "dumb"):
            chat = self.talk(TERM=term, waits=False)
            chat.expect(">>>")
            self.assertEqual(self.code_after_the_terminal_goes(chat), 129, term)


class Screen(chat_cli.ChatCase):
    def test_the_line_is_drawn_anew_for_another_width(self):
        chat = self.talk()
        chat.send("one two three four five six")
        chat.expect("six")
        chat.resize(24, 20)
        time.sleep(0.2)
        chat.pump()
        chat.send("!")
        chat.until(lambda: chat.text().endswith(">>> one two three fo\nur five six!"), "two rows")

    def test_a_new_width_in_the_middle_of_an_answer(self):
        chat = self.talk("-n", 800, "--ignore-eos", status=True)
        chat.send(STORY + "\r")
        chat.expect_written("little")
        for rows, columns in ((20, 40), (30, 100), (24, 60)):
            chat.resize(rows, columns)
            chat.pump()
        chat.expect("[stopped after 800 tokens]")
        chat.wait_for_prompt()
        # What was on its way to a screen that then had another width may stay above; nothing does at the end.
        self.assertNotIn("tok/s", "\n".join(chat.lines()[chat.screen.cursor.y - 2:]))
        chat.send("漢字 and on")
        chat.expect(">>> 漢字 and on")

    def test_what_is_asked_first_is_shown_and_answered(self):
        chat = self.talk("-n", 5, "-p", STORY)
        self.assertIn("[asked: Once upon a time]", chat.text())
        self.assertIn("[stopped after 5 tokens]", chat.text())
        self.assertIn("1 turn", chat.ask("/session"))

    def test_the_status_line_is_there_and_leaves_no_trace(self):
        quiet, shown = (self.talk("-n", 400, "--ignore-eos", status=status, size=(60, 70)) for status in (False, True))
        quiet.ask(STORY)
        shown.ask(STORY)
        self.assertRegex(shown.raw, r"tok/s, context \d+ of 2048 \(\d+%\)")
        self.assertIn("/help lists", shown.lines()[0])
        self.assertEqual(shown.lines()[1:50], quiet.lines()[:49])

    def test_reading_shows_how_far_it_is(self):
        chat = self.talk("-c", 20000, "-b", 16, "-n", 1, status=True)
        chat.paste("There was a girl. " * 250)
        chat.send("\r")
        chat.expect("[stopped after 1 token")
        self.assertRegex(chat.raw, r"\[reading: \d+ of \d+ tokens\]")
        self.assertNotIn("[reading", chat.text())

    def test_controls_of_the_model_do_not_reach_the_terminal(self):
        escape = cli.carat("tokenize", cli.STORIES, "--ids", "--no-bos", stdin=b"\x1b").out.split()[-1].decode()
        self.assertIn("\u241b\u241b", self.talk("-n", 2, "-l", escape + "+1000").ask("Once"))

    def test_they_do_reach_a_file(self):
        escape = cli.carat("tokenize", cli.STORIES, "--ids", "--no-bos", stdin=b"\x1b").out.split()[-1].decode()
        out = self.folder("out")
        chat = chat_cli.pexpect.spawn(
            "/bin/sh", ["-c", f'"{cli.CARAT}" chat -m "{cli.STORIES}" -q -n 2 -l {escape}+1000 > "{out}"'],
            env=cli.environment(TERM="xterm", NO_COLOR=1, XDG_STATE_HOME=self.state), timeout=cli.TIMEOUT)
        chat.expect_exact(b">>> ")
        chat.send("Once\r/exit\r")
        chat.expect(chat_cli.pexpect.EOF)
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b"\x1b\x1b\n")


class DumbTerminal(chat_cli.ChatCase):
    def test_no_cursor_is_moved_and_lines_go_on(self):
        chat = self.talk("-n", 5, TERM="dumb", status=True, waits=False)
        chat.expect(">>>")
        for line in ("a\\\r", "b\r", '"""one\r', 'two"""\r', "/context\r"):
            chat.send(line)
            chat.pump(0.3)
        chat.expect("tokens of 2048")
        self.assertIn("... b", chat.text())
        self.assertNotIn("\x1b", chat.raw)
        chat.send("\x03")
        chat.expect("leaves")
        chat.send("\x04")
        self.assertEqual(chat.end(), 0)


class JobControl(chat_cli.ChatCase):
    def test_a_stopped_chat_leaves_the_terminal_to_the_shell_and_takes_it_again(self):
        shell = chat_cli.pexpect.spawn("/bin/bash", ["--norc", "-i"], encoding="utf-8", timeout=cli.TIMEOUT,
                                       env=cli.environment(TERM="xterm", NO_COLOR=1, PS1="sh# ", XDG_STATE_HOME=self.state))
        self.addCleanup(shell.close, True)
        shell.expect_exact("sh# ")
        shell.sendline(f'"{cli.CARAT}" chat -m "{cli.STORIES}" --temp 0 -q -n 5')
        shell.expect_exact(">>> ")
        shell.send("Once upon")
        shell.expect_exact("upon")
        shell.send("\x1a")
        shell.expect_exact("Stopped")
        shell.expect_exact("sh# ")
        shell.sendline("stty -a")
        shell.expect(r"[^-]icanon")
        shell.expect(r"[^-]echo")
        shell.expect_exact("sh# ")
        shell.sendline("fg")
        shell.expect_exact("Once upon")
        shell.send(" a time\r")
        shell.expect_exact("[stopped after 5 tokens]")
        shell.expect_exact(">>> ")
        shell.send("\x04")
        shell.expect_exact("sh# ")


if __name__ == "__main__":
    cli.main()
