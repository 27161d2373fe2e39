"""Flags of every command: spellings, mistakes, help; and the exit code of each kind of failure."""
import json
import re
import subprocess
import tempfile

import carat_cli as cli

COMMANDS = ("run", "chat", "info", "tokenize", "eval", "bench", "compress-weights", "migrate-weights", "list",
            "devices", "completion", "version", "help")


class Mistakes(cli.Case):
    def test_an_unknown_flag_is_refused_with_the_nearest_name(self):
        self.assert_fails(cli.carat("run", "--tmp", "1"), 2, "'--tmp'", "'--temp'")
        self.assert_fails(cli.carat("run", "--promt=x"), 2, "'--prompt'")
        self.assert_fails(cli.carat("run", "--zzzzzzzz"), 2, "--help-all")
        self.assert_fails(cli.carat("run", "-Z"), 2, "'-Z'")

    def test_every_command_refuses_an_unknown_flag(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.assert_fails(cli.carat(command, "--no-such-flag"), 2, "--no-such-flag")

    def test_what_cannot_be_done_is_refused_as_such(self):
        for command in ("run", "chat"):
            self.assert_fails(cli.carat(command, "--image", "x.png"), 2, "--image: models that see are not built in")
        self.assert_fails(cli.carat("run", "-m", "demo", "-p", "x", "-fa", "off"), 2, "-fa off: attention is always")
        for value in ("on", "auto", "1"):
            self.assertEqual(cli.carat("run", "-m", "demo", "-p", "x", "-n", 1, "-fa", value).code, 0)

    def test_a_flag_of_the_other_command_that_talks_is_found_there(self):
        self.assert_fails(cli.carat("run", "-C", "-p", "x"), 2, "'-C'", "'carat chat' has it")
        self.assert_fails(cli.carat("chat", "--parallel", "2"), 2, "'carat run' has it")

    def test_an_unknown_command_is_refused_with_the_nearest_name(self):
        self.assert_fails(cli.carat("tokenise", "x"), 2, "'tokenize'")
        self.assert_fails(cli.carat("help", "rum"), 2, "'run'")
        self.assert_fails(cli.carat("rnu", "x"), 2, "'run'")  # two letters swapped are one mistake
        self.assert_fails(cli.carat("hcat"), 2, "'chat'")
        self.assert_fails(cli.carat("ls"), 2, "is not a file")  # and so are two of two no mistake at all

    def test_a_flag_without_its_value(self):
        self.assert_fails(cli.carat("run", "-p"), 2, "-p")

    def test_values_out_of_range(self):
        for flag, value in (("--temp", "nan"), ("--temp", "-1"), ("--temp", "hot"), ("--top-p", "1.5"), ("-t", "0"),
                            ("-t", "100000"), ("-b", "0"), ("-n", "-2"), ("-c", "-1"), ("-c", "1e9"), ("-s", "-2"), ("-n", "0x10"), ("-s", "99999999999999999999"),
                            ("--repeat-penalty", "0"), ("--stop", ""), ("-ctk", "q4_0"), ("--cache-type-v", "f64"), ("--draft-max", "16"), ("--stats=maybe", None), ("-n", "")):
            with self.subTest(flag=flag, value=value):
                arguments = [flag] if value is None else [flag, value]
                self.assert_fails(cli.carat("run", "-p", "x", *arguments), 2)

    def test_the_word_error_is_coloured_where_colours_are_wanted(self):
        error = "carat: \x1b[31m\x1b[1merror: \x1b[mnowhere.gguf"
        plain = "carat: error: nowhere.gguf"
        for flags, environment, expected in (((), {}, plain), (("--color", "always"), {}, error),
                                             ((), {"CLICOLOR_FORCE": 1}, error), ((), {"CLICOLOR_FORCE": 0}, plain),
                                             (("--color=never",), {"CLICOLOR_FORCE": 1}, plain)):
            with self.subTest(flags=flags, environment=environment), tempfile.TemporaryDirectory() as folder:
                log = folder + "/log"
                result = cli.carat("run", "-m", "nowhere.gguf", "-p", "x", "--log-file", log, *flags,
                                   env=cli.environment(**environment))
                self.assertEqual((result.code, result.out), (3, b""), result)
                self.assertTrue(result.err.startswith(expected), result)
                with open(log) as file:
                    self.assertIn("] error: nowhere.gguf", file.read())
        result = cli.carat("run", "-p", "x", "-n", 1, "--color", "always")
        self.assertTrue(result.err.startswith("carat: note: no model is named"), result)  # a note is not
        result = cli.carat("run", "-p", "x", "--color", "never", "--log-file", "/nowhere/x",
                           env=cli.environment(CLICOLOR_FORCE=1))
        self.assert_fails(result, 2, "/nowhere/x")

    def test_numbers_are_decimal(self):
        result = cli.carat("run", "-p", "x", "-n", "010", "--ignore-eos", "-o", "json")
        self.assertIn(b'"completion_tokens":10,', result.out)

    def test_a_tokenizer_with_more_tokens_than_the_model_has_rows_for(self):
        def field(number, value):  # of a protocol buffer
            return bytes([number << 3 | 2, len(value)]) + value
        pieces = [b"<unk>", b"<s>", b"</s>"] + [b"%d" % i for i in range(6000)]
        kinds = [2, 3, 3] + [1] * 6000
        model = b"".join(field(1, field(1, piece) + bytes([3 << 3, kind])) for piece, kind in zip(pieces, kinds))
        with tempfile.NamedTemporaryFile(suffix=".model") as file:
            file.write(model + field(2, bytes([3 << 3, 2])))
            file.flush()
            self.assert_fails(cli.carat("run", "-m", "demo", "--tokenizer", file.name, "-p", "5999"), 3, "rows for")

    def test_an_instruction_set_that_this_machine_lacks(self):
        self.assert_fails(cli.carat("run", "-m", __file__, "-p", "x", "--isa", "abacus"), 2, "'abacus'", "reference")

    def test_a_missing_model(self):
        self.assert_fails(cli.carat("run", "-m", "/nowhere", "-p", "x"), 3, "/nowhere")
        self.assert_fails(cli.carat("run", "nowhere.gguf", "-p", "x"), 3, "nowhere.gguf")
        self.assert_fails(cli.carat("info", "/"), 3)

    def test_a_file_of_another_kind(self):
        self.assert_fails(cli.carat("run", "-m", __file__, "-p", "x"), 3, "options_test.py")

    def test_an_error_is_one_line_even_if_the_name_of_the_file_is_not(self):
        self.assert_fails(cli.carat("run", "-m", "/no\nwhere\x1b[31m", "-p", "x"), 3)


class Help(cli.Case):
    def test_help_is_a_page_and_help_all_has_every_flag(self):
        for command in COMMANDS:
            with self.subTest(command):
                short, full = cli.carat(command, "-h"), cli.carat(command, "--help-all")
                self.assertEqual((short.code, full.code, short.err, full.err), (0, 0, "", ""))
                self.assertLessEqual(short.out.count(b"\n"), 20)
                self.assertTrue(all(len(line) <= 100 for line in short.out.decode().splitlines()))
                self.assertEqual(cli.carat("help", command).out, full.out)
                self.assertIn(b"usage: carat " + command.encode(), full.out)

    def test_the_overview_names_every_command(self):
        for arguments in (["-h"], ["--help"], ["help"]):
            result = cli.carat(*arguments)
            self.assertEqual(result.code, 0)
            for command in COMMANDS:
                self.assertIn(command, result.out.decode())

    def test_version(self):
        for arguments in (["version"], ["-V"], ["--version"], ["run", "-V"], ["chat", "--version"]):
            result = cli.carat(*arguments)
            self.assertEqual(result.code, 0)
            self.assertRegex(result.out, rb"^carat \d+\.\d+\.\d+\n$")

    def test_isa_list_needs_no_model(self):
        for arguments in (["--isa", "list"], ["run", "--isa=list"], ["eval", "--isa", "list"]):
            result = cli.carat(*arguments)
            self.assertEqual((result.code, result.err), (0, ""))
            self.assertEqual(result.out.decode().split()[-2:], ["baseline", "reference"])

    def test_a_closed_stdout_is_no_error_to_speak_of(self):
        process = subprocess.run(f'"{cli.CARAT}" help >&-', shell=True, stderr=subprocess.PIPE)
        self.assertEqual((process.returncode, process.stderr), (141, b""))

    def test_a_full_disk_is_an_error(self):
        process = subprocess.run(f'"{cli.CARAT}" help >/dev/full', shell=True, stderr=subprocess.PIPE)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"No space left", process.stderr)


class Spellings(cli.ModelCase):
    def test_the_same_flag_in_all_its_forms(self):
        expected = self.story("-p", "Tim", "-n", 5).out
        for flags in (("--prompt", "Tim", "--max_generated_tokens", 5), ("--prompt=Tim", "--max-tokens=5"),
                      ("-pTim", "-n5"), ("-p", "Lily", "-n", 9, "--n_predict", 5, "--no-stdin", "-p", "")):
            with self.subTest(flags):
                result = self.story(*flags)
                self.assertEqual(result.code, 0, result)
                if "Lily" not in flags:
                    self.assertEqual(result.out, expected)

    def test_switches_take_on_and_off(self):
        exact = self.story("-p", "Tim", "-n", 5, "--no-newline").out
        for form in ("--newline=off", "--newline=0", "--no-newline=on", "--newline=false"):
            self.assertEqual(self.story("-p", "Tim", "-n", 5, form).out, exact)
        for form in ("--newline", "--newline=on", "--no-newline=off"):
            self.assertEqual(self.story("-p", "Tim", "-n", 5, form).out, exact + b"\n")

    def test_run_is_what_is_meant_without_a_command(self):
        expected = self.story("-p", "Tim", "-n", 5).out
        flags = ("--raw", "--temp", "0", "-n", "5")
        self.assertEqual(cli.carat("-m", cli.STORIES, "-p", "Tim", *flags).out, expected)
        self.assertEqual(cli.carat(cli.STORIES, "Tim", *flags).out, expected)

    def test_old_names(self):
        for name in ("-sys", "--system", "--system-prompt", "--system_prompt"):
            self.assertEqual(cli.carat("run", cli.STORIES, name, "Hi", "-p", "x", "-n", 1).code, 0)

    def test_what_does_not_fit_the_machine_is_refused_with_the_arithmetic(self):
        flags = ("-m", cli.STORIES, "-c", "1000000000", "-q")
        worker = cli.carat("run", "--input-format", "jsonl", "-o", "ndjson", *flags)
        self.assertEqual((worker.code, json.loads(worker.out)["code"]), (5, "no_resource"), worker)
        result = cli.carat("run", "-n", "-1", "-p", "x", *flags)
        self.assert_fails(result, 5, "stories260K.gguf: takes ", "weights 1.1 MiB",
                          "a cache of 1000000000 tokens 596.0 GiB", " are left", "hint: -c ")
        context = re.search(r"-c (\d+) fits", result.err)[1]
        result = cli.carat("info", cli.STORIES, "--memory", "-c", context, "--json")
        self.assertLess(json.loads(result.out)["memory"]["total_bytes"], 2**40)

    def test_values_that_the_model_decides(self):
        self.assert_fails(self.story("-p", "x", "-l", "512+1"), 2, "511")
        self.assert_fails(self.story("-p", "x", "-l", "5"), 2, "ID+X")
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--template", "foo"), 2, "chatml")


if __name__ == "__main__":
    cli.main()
