"""carat chat, on a terminal."""

import pexpect

import carat_cli as cli

PROMPT = ">>> "


class NoTerminal(cli.ModelCase):
    def test_it_is_refused(self):
        self.assert_fails(cli.carat("chat", cli.STORIES), 2, "carat run")
        self.assert_fails(cli.carat("chat", cli.STORIES, stdin=b"hi\n"), 2, "terminal")


class Chat(cli.ModelCase):
    def talk(self, *flags):
        """A chat that stands at its first prompt."""
        child = pexpect.spawn(cli.CARAT, ["chat", "-m", str(cli.STORIES), "--temp", "0", *map(str, flags)],
                              env=cli.environment(TERM="xterm"), encoding="utf-8", timeout=cli.TIMEOUT, echo=False)
        self.addCleanup(child.close, True)
        child.expect_exact(PROMPT)
        return child

    def ask(self, child, text):
        child.sendline(text)
        child.expect_exact(PROMPT)
        return child.before.replace("\r\n", "\n")

    def end(self, child):
        child.expect(pexpect.EOF)
        child.close()
        return child.exitstatus

    def interrupt_story(self, child):
        child.sendline("Once upon a time")
        child.expect("little")  # it writes
        child.sendintr()
        child.expect_exact("[interrupted]")
        child.expect_exact(PROMPT)

    def test_turns_stream_and_the_conversation_goes_on(self):
        child = self.talk("-n", 20)
        first = self.ask(child, "Once upon a time")
        self.assertIn("little girl", first)
        self.assertNotEqual(self.ask(child, "Once upon a time"), first)  # the model has read the first turn

    def test_clear_forgets(self):
        child = self.talk("-n", 20)
        first = self.ask(child, "Once upon a time")
        self.ask(child, "/clear")
        self.assertEqual(self.ask(child, "Once upon a time"), first)

    def test_an_interrupt_stops_the_answer_and_keeps_the_conversation(self):
        child = self.talk("-n", 20)
        fresh = self.ask(child, "The end")
        child = self.talk("--ignore-eos", "-n", 20000, "-c", 30000, "-q")
        self.interrupt_story(child)
        child.sendline("The end")
        child.expect(".{60}")
        later = child.after
        child.sendintr()
        child.expect_exact(PROMPT)
        self.assertNotEqual(later[:20], fresh[:20])
        self.assertTrue(child.isalive())

    def test_after_an_interrupt_clear_gives_the_first_answer_again(self):
        child = self.talk("--ignore-eos", "-n", 3000, "-c", 30000, "-q")
        self.interrupt_story(child)
        self.ask(child, "/clear")
        child.sendline("Once upon a time")
        child.expect(", there was a little girl named Lily")
        child.sendintr()
        child.expect_exact(PROMPT)

    def test_a_full_context_is_said_and_clear_helps(self):
        child = self.talk("-c", 40, "--ignore-eos")
        self.assertIn("context of 40 tokens is full; /clear", self.ask(child, "Once upon a time"))
        self.assertIn("does not fit", self.ask(child, "More"))
        self.ask(child, "/clear")
        self.assertIn("little", self.ask(child, "Once upon a time"))

    def test_leaving(self):
        for word in ("/exit", "/quit", "/bye"):
            child = self.talk()
            child.sendline(word)
            self.assertEqual(self.end(child), 0)
        child = self.talk()
        child.sendeof()
        self.assertEqual(self.end(child), 0)

    def test_two_interrupts_at_the_prompt_leave(self):
        child = self.talk()
        child.sendintr()
        child.expect_exact("leaves")
        child.expect_exact(PROMPT)
        child.sendintr()
        self.assertEqual(self.end(child), 130)

    def test_an_interrupt_between_lines_is_no_first_one(self):
        child = self.talk("-n", 5)
        child.sendintr()
        child.expect_exact(PROMPT)
        self.ask(child, "Once")
        child.sendintr()
        child.expect_exact(PROMPT)
        self.assertTrue(child.isalive())

    def test_a_termination_ends_it_at_the_prompt_and_in_an_answer(self):
        child = self.talk()
        child.kill(15)
        self.assertEqual(self.end(child), 143)
        child = self.talk("--ignore-eos", "-n", 20000, "-c", 30000, "-q")
        child.sendline("Once upon a time")
        child.expect("little")
        child.kill(15)
        self.assertEqual(self.end(child), 143)

    def test_commands(self):
        child = self.talk("-n", 5)
        self.assertIn("/clear", self.ask(child, "/help"))
        self.assertIn("no command", self.ask(child, "/foo"))
        self.assertNotIn("no command", self.ask(child, "//foo"))
        self.assertEqual(self.ask(child, "   "), "")

    def test_a_transcript_can_be_redirected(self):
        command = f'"{cli.CARAT}" chat -m "{cli.STORIES}" --temp 0 -n 10 | cat > /dev/null'
        child = pexpect.spawn("/bin/sh", ["-c", command], encoding="utf-8", timeout=cli.TIMEOUT, echo=False)
        child.expect_exact(PROMPT)  # drawn on stderr
        child.sendline("Once upon a time")
        child.expect_exact(PROMPT)
        self.assertNotIn("little", child.before)
        child.sendeof()
        child.expect(pexpect.EOF)
        child.close()

    def test_controls_of_the_model_do_not_reach_the_terminal(self):
        escape = cli.carat("tokenize", cli.STORIES, "--ids", "--no-bos", stdin=b"\x1b").out.split()[-1].decode()
        child = self.talk("-n", 2, "-l", escape + "+1000")
        self.assertIn("\u241b\u241b", self.ask(child, "Once"))


if __name__ == "__main__":
    cli.main()
