"""Where the prompt of carat run comes from: flags, arguments, files, standard input."""
import socket
import subprocess
import tempfile

import carat_cli as cli


class Parts(cli.ModelCase):
    def answer(self, *arguments, **keywords):
        result = self.story(*arguments, "-n", 12, **keywords)
        self.assertEqual(result.code, 0, result)
        return result.out

    def file(self, content):
        handle = tempfile.NamedTemporaryFile()
        self.addCleanup(handle.close)
        handle.write(content)
        handle.flush()
        return handle.name

    def test_words_are_joined_by_spaces_and_prompts_by_lines(self):
        self.assertEqual(self.answer("Once", "upon", "a time"), self.answer("-p", "Once upon a time"))
        self.assertEqual(self.answer("-p", "One", "-p", "Two"), self.answer("-p", "One\nTwo"))

    def test_a_piped_text_stands_before_the_prompt(self):
        expected = self.answer("-p", "Tim ran.\n\nThen")
        self.assertEqual(self.answer("-p", "Then", stdin=b"Tim ran.\n"), expected)
        self.assertEqual(self.answer("Then", stdin=b"Tim ran."), expected)

    def test_a_dash_says_where_standard_input_goes(self):
        expected = self.answer("-p", "One\n\nTim\n\nTwo")
        self.assertEqual(self.answer("One", "-", "Two", stdin=b"Tim\n"), expected)
        self.assertEqual(self.answer("-f", "-", "Two", stdin=b"Tim"), self.answer("-p", "Tim\n\nTwo"))

    def test_a_dash_alone_is_standard_input_for_the_model_inside(self):
        result = cli.carat("run", "-", "-q", "--temp", 0, stdin=b"What is carat?")
        asked = cli.carat("run", "-p", "What is carat?", "-q", "--temp", 0)
        self.assertEqual((result.code, result.out), (0, asked.out))

    def test_an_empty_file_is_no_part_of_the_prompt(self):
        self.assertEqual(self.answer("-f", self.file(b""), "-p", "Tim"), self.answer("-p", "Tim"))

    def test_files_come_in_their_order(self):
        expected = self.answer("-p", "One\n\nTim\n\nTwo")
        self.assertEqual(self.answer("-f", self.file(b"One"), "--file", "-", "-p", "Two", stdin=b"Tim\n"), expected)
        self.assertEqual(self.answer("-f", self.file(b"One"), "-f", self.file(b"Tim"), "Two"), expected)

    def test_standard_input_is_read_for_one_flag_only(self):
        self.assert_fails(cli.carat("run", "-f", "-", "-f", "-", stdin=b"x"), 2, "--file and --file")
        self.assert_fails(cli.carat("run", "-p", "x", "--grammar-file", "-", "--system-file", "-", stdin=b""), 2,
                          "--system-file and --grammar-file")

    def test_a_piped_text_alone_is_the_prompt(self):
        self.assertEqual(self.answer(stdin=b"Once upon a time\n"), self.answer("-p", "Once upon a time"))

    def test_a_file_on_standard_input_is_read(self):
        with open(self.file(b"Once upon a time")) as stdin:
            process = cli.start("run", cli.STORIES, "--raw", "--temp", 0, "-n", 12, stdin=stdin)
            out, _ = process.communicate(timeout=cli.TIMEOUT)
        self.assertEqual(out, self.answer("-p", "Once upon a time"))

    def test_an_empty_pipe_leaves_the_prompt_as_it_is(self):
        self.assertEqual(self.answer("-p", "Tim", stdin=b""), self.answer("-p", "Tim"))

    def test_no_stdin_reads_none(self):
        self.assertEqual(self.answer("-p", "Tim", "--no-stdin", stdin=b"Lily"), self.answer("-p", "Tim"))
        self.assertEqual(self.answer("-p", "Tim", "--stdin=off", stdin=b"Lily"), self.answer("-p", "Tim"))

    def test_a_socket_is_not_read_unless_it_is_asked_for(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = cli.start("run", cli.STORIES, "--raw", "--temp", 0, "-n", 12, "-p", "Tim", stdin=theirs)
            out, _ = process.communicate(timeout=cli.TIMEOUT)
        self.assertEqual(out, self.answer("-p", "Tim"))

    def test_the_last_line_end_of_a_file_is_dropped(self):
        self.assertEqual(self.answer("-f", self.file(b"Once\nupon\n")), self.answer("-p", "Once\nupon"))

    def test_the_bytes_of_a_prompt_are_taken_as_they_are(self):
        for text in ("{}", "[a,b]", "%%", "a\\nb", "-", "--temp", "_-_"):
            with self.subTest(text):
                self.assertEqual(self.answer("-p", text), self.answer("-f", self.file(text.encode())))
        after_flags = cli.carat("run", cli.STORIES, "--raw", "--temp", 0, "-n", 12, "--", "--temp", "0")
        self.assertEqual(after_flags.out, self.answer("-p", "--temp 0"))

    def test_a_pipe_that_stays_open_is_noted_and_can_be_interrupted(self):
        process = cli.start("run", cli.STORIES, "-p", "Tim", stdin=subprocess.PIPE)
        note = process.stderr.readline().decode()
        self.assertIn("waiting for standard input", note)
        process.send_signal(2)
        self.assertEqual(process.wait(cli.TIMEOUT), 130)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


class Refusals(cli.ModelCase):
    def test_a_text_without_an_end_is_refused_before_it_takes_all_memory(self):
        self.assert_fails(cli.carat("run", cli.STORIES, "-f", "/dev/zero"), 2, "/dev/zero: is longer than 256 MiB")

    def test_a_dash_is_no_prompt_where_nothing_comes(self):
        for flags in (("-",), ("-f", "-")):
            self.assert_fails(cli.carat("run", "-m", cli.STORIES, *flags, stdin=b""), 2, "no prompt")

    def test_nothing_to_answer(self):
        for stdin in (None, b""):
            self.assert_fails(self.story(stdin=stdin), 2, "no prompt")
        closed = subprocess.run(f'"{cli.CARAT}" run -m "{cli.STORIES}" <&-', shell=True, capture_output=True)
        self.assert_fails(cli.Result(closed.returncode, closed.stdout, closed.stderr), 2, "no prompt")

    def test_bytes_that_are_no_text_are_refused_by_their_offset(self):
        self.assert_fails(self.story(stdin=b"abc\xff"), 2, "standard input", "byte 3", "UTF-8")
        self.assert_fails(self.story(stdin=b"ab\0c"), 2, "standard input", "byte 2", "NUL")
        self.assert_fails(self.story("-p", b"h\xe9".decode(errors="surrogateescape")), 2, "byte 1")
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"fine \xc3")
            file.flush()
            self.assert_fails(self.story("-f", file.name), 2, file.name, "byte 5")
            self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--system-file", file.name), 2, file.name)

    def test_a_file_that_cannot_be_read(self):
        self.assert_fails(self.story("-f", "/nowhere"), 2, "/nowhere")
        self.assert_fails(self.story("-f", "/"), 2, "directory")

    def test_a_first_word_that_is_no_file_is_taken_for_a_forgotten_p(self):
        self.assert_fails(cli.carat("run", "Why is the sky blue?"), 2, "-p")

    def test_raw_has_no_turns(self):
        self.assert_fails(self.story("-p", "x", "--system", "y"), 2, "--raw")
        self.assert_fails(self.story("-p", "x", "--template", "gemma"), 2, "--raw")


class Environment(cli.ModelCase):
    def test_the_model_threads_and_context_may_come_from_there(self):
        env = cli.environment(CARAT_MODEL=cli.STORIES, CARAT_THREADS=2, CARAT_CTX=3)
        self.assert_fails(cli.carat("-p", "Once upon a time", env=env), 4, "context 3")
        self.assertEqual(cli.carat("-p", "Once upon a time", "-c", "100", "-n", "1", env=env).code, 0)
        env["CARAT_THREADS"] = "many"
        self.assert_fails(cli.carat("-p", "x", env=env), 2, "threads")

    def test_an_argument_comes_before_the_environment(self):
        env = cli.environment(CARAT_MODEL="/nowhere")
        self.assertEqual(cli.carat("run", cli.STORIES, "-p", "x", "-n", "1", env=env).code, 0)
        self.assert_fails(cli.carat("run", "-p", "x", env=env), 3, "/nowhere")


if __name__ == "__main__":
    cli.main()
