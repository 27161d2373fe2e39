"""What is set elsewhere than on the command line, and what is made out of the table of flags."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import carat_cli as cli

COMMANDS = ("run", "chat", "info", "tokenize", "eval", "compress-weights", "migrate-weights", "list", "devices",
            "completion", "version", "help")


def all_flags(command):
    """Every spelling in --help-all; of a switch "--[no-]stats" both."""
    flags = set()
    for line in cli.carat(command, "--help-all").out.decode().splitlines():
        if not line.startswith("  -"):
            continue
        for name in re.findall(r"(?:^|, )(-[^ ,]+)", line[2:]):
            flags |= {name.replace("[no-]", ""), name.replace("[no-]", "no-")} if "[no-]" in name else {name}
    return flags


class Tables(cli.Case):
    def test_every_flag_is_completed_and_in_the_manual(self):
        man = cli.carat("help", "--man").out.decode()
        scripts = {shell: cli.carat("completion", shell).out.decode() for shell in ("bash", "zsh", "fish")}
        for command in COMMANDS:
            flags = all_flags(command)
            self.assertGreaterEqual(len(flags), 3, command)
            section = man.split(f".SH CARAT {command.replace('-', chr(92) + '-')}\n")[1].split(".SH ")[0].replace("\\", "")
            bash = re.search(rf"^    {command}\) flags='(.*)' ;;$", scripts["bash"], re.M)[1].split()
            fish = [line for line in scripts["fish"].splitlines() if f"__fish_seen_subcommand_from {command}'" in line]
            for flag in flags:
                with self.subTest(command=command, flag=flag):
                    self.assertIn(flag.replace("--no-", "--[no-]") if flag.startswith("--no-") else flag,
                                  section.replace("--[no-]", "--[no-]") + section.replace("[no-]", ""))
                    self.assertIn(flag, bash)
                    self.assertIn("'*" + flag + "[", scripts["zsh"])
                    kind = "-l" if flag.startswith("--") else "-s" if len(flag) == 2 else "-o"
                    spelling = f" {kind} {flag.lstrip('-')}"
                    self.assertTrue(any(spelling + " " in line + " " for line in fish))

    def test_the_bash_script_completes(self):
        def complete(*words, folder="/"):
            script = (f'source <("{cli.CARAT}" completion bash); COMP_WORDS=({cli.CARAT} {" ".join(words)}); '
                      f'COMP_CWORD={len(words)}; _carat; printf "%s\\n" "${{COMPREPLY[@]}}"')
            done = subprocess.run(["bash", "-c", script], capture_output=True, env=cli.environment(), cwd=folder)
            self.assertEqual(done.stderr, b"")
            return done.stdout.decode().splitlines()

        self.assertIn("tokenize", complete("tok"))
        self.assertIn("--temperature", complete("run", "--temp"))
        self.assertEqual(complete("run", "-o", "nd"), ["ndjson"])
        self.assertEqual(complete("completion", "f"), ["fish"])
        self.assertEqual(complete("help", "tok"), ["tokenize"])
        self.assertNotIn("dio", complete("run", "--load-mode", '""'))
        self.assertIn("--tensors", complete("info", "--te"))
        self.assertIn("/etc", complete("run", "-m", "/et"))
        for words in (("run", "-m", "dem"), ("info", "dem"), ("dem",), ("bench", "--model", "dem")):
            self.assertEqual(complete(*words), ["demo"], words)
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "my model.gguf").touch()
            self.assertEqual(complete("run", "-m", "my", folder=folder), ["my model.gguf"])

    def test_other_shells_can_read_theirs(self):
        for shell, arguments in (("zsh", ["-n"]), ("fish", ["--no-execute"])):
            if shutil.which(shell):
                script = cli.carat("completion", shell).out
                self.assertEqual(subprocess.run([shell, *arguments], input=script).returncode, 0)

    def test_an_unknown_shell(self):
        self.assert_fails(cli.carat("completion", "bsh"), 2, "'bash'")
        self.assert_fails(cli.carat("completion"), 2, "which shell")

    def test_the_manual_is_readable(self):
        page = cli.carat("help", "--man").out
        self.assertTrue(page.startswith(b".TH CARAT 1"))
        self.assertIn(b"EXIT STATUS", page)
        if shutil.which("man"):
            with tempfile.NamedTemporaryFile(suffix=".1") as file:
                file.write(page)
                file.flush()
                done = subprocess.run(["man", "--warnings", "-l", file.name], capture_output=True,
                                      env=cli.environment(MANPAGER="cat"))
                self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_version_and_devices_as_json(self):
        version = json.loads(cli.carat("version", "--json").out)
        self.assertEqual(version["name"], "carat")
        self.assertIsInstance(version["cuda"], bool)
        self.assertRegex(version["commit"], "^([0-9a-f]{7,40})?$")
        self.assertRegex(version["compiler"], r"^(GNU|Clang) \d+\.")
        self.assertIn("reference", version["isas"])
        device = json.loads(cli.carat("devices", "--json").out)[0]
        self.assertEqual(device["device"], "cpu")
        self.assertIn("reference", device["isas"])
        self.assertIn(b"reference", cli.carat("devices").out)


class Names(cli.ModelCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        root = pathlib.Path(self.folder.name)
        (root / "a").mkdir()
        (root / "b").mkdir()
        os.symlink(cli.STORIES, root / "a" / "stories.gguf")
        os.symlink(cli.MICRO / "micro-llama-f16.gguf", root / "b" / "llama.gguf")
        (root / "b" / "notes.txt").write_text("no model")
        self.env = cli.environment(CARAT_MODELS=f"{root}/a:{root}/nowhere:{root}/b")

    def test_they_are_listed(self):
        self.assertEqual(cli.carat("list", "--names", env=self.env).out, b"demo\nstories\nllama\n")
        listed = json.loads(cli.carat("list", "--json", env=self.env).out)
        self.assertEqual([model["name"] for model in listed], ["demo", "stories", "llama"])
        self.assertEqual(listed[1]["bytes"], cli.STORIES.stat().st_size)
        self.assertIn(b"stories.gguf", cli.carat("list", env=self.env).out)
        self.assertEqual(cli.carat("list", "--names").out, b"demo\n")

    def test_they_stand_for_paths(self):
        expected = cli.carat("run", cli.STORIES, "-p", "Tim", "-n", 5, "-s", 1).out
        for way in (("run", "stories"), ("run", "-m", "stories"), ("run", "stories.gguf"), ("stories",)):
            result = cli.carat(*way, "-p", "Tim", "-n", 5, "-s", 1, env=self.env)
            self.assertEqual((result.code, result.out), (0, expected), result)
        self.assertEqual(cli.carat("info", "llama", env=self.env).code, 0)

    def test_a_name_that_is_nearly_one(self):
        self.assert_fails(cli.carat("run", "storys", "-p", "x", env=self.env), 2, "'stories'")
        self.assert_fails(cli.carat("run", "-m", "storys", "-p", "x", env=self.env), 3, "'stories'")

    def test_a_name_that_is_none(self):
        self.assert_fails(cli.carat("run", "What?", env=self.env), 2, "a prompt goes behind -p")
        self.assert_fails(cli.carat("run", "-m", "nowhere", "-p", "x", env=self.env), 3, "'nowhere'", "carat list")


class Settings(cli.ModelCase):
    def settings(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".config")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        self.path = file.name
        return cli.environment(CARAT_CONFIG=file.name)

    def sampling(self, *flags, env):
        out = cli.carat("run", cli.STORIES, "-p", "x", "-n", 1, "-o", "ndjson", *flags, env=env)
        self.assertEqual(out.code, 0, out)
        return json.loads(out.out.splitlines()[0])

    def test_a_flag_comes_before_the_environment_and_that_before_the_file(self):
        env = self.settings("# mine\n\ntemp = 0.5\nctx_size=77\n --top-k = 3\n")
        start = self.sampling(env=env)
        self.assertEqual((start["sampling"]["temp"], start["ctx"], start["sampling"]["top_k"]), (0.5, 77, 3))
        env["CARAT_CTX"] = "88"
        self.assertEqual(self.sampling(env=env)["ctx"], 88)
        self.assertEqual(self.sampling("-c", 99, "--temperature", 0.7, env=env)["sampling"]["temp"], 0.7)

    def test_a_bad_value_of_the_environment_is_told_by_the_variable(self):
        for variable, value in (("CARAT_TIMEOUT", "bogus"), ("CARAT_THREADS", "0"), ("CARAT_CTX", "x")):
            self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", env=cli.environment(**{variable: value})), 2,
                              f"error: {variable}: ")

    def test_short_flags_may_have_an_equals_sign(self):
        start = self.sampling("-c=99", "-ngl=0", "-s=5", env=cli.environment())
        self.assertEqual((start["ctx"], start["sampling"]["seed"]), (99, 5))

    def test_sections_are_for_one_command(self):
        env = self.settings("[chat]\ntemp = 0.1\n[run]\ntemp = 0.2\n[eval]\nlast = 3\n")
        self.assertEqual(self.sampling(env=env)["sampling"]["temp"], 0.2)

    def test_a_flag_of_another_command_is_no_mistake_and_one_of_none_is(self):
        self.assertEqual(self.sampling(env=self.settings("tensors = on\n"))["type"], "start")
        env = self.settings("\ntmep = 1\n")
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", env=env), 2, f"{self.path}: line 2", "'tmep'")
        self.assertEqual(cli.carat("version", env=env).code, 0)

    def test_mistakes_are_told_by_their_place(self):
        for text in ("temp = hot\n", "just words\n", "stats = perhaps\n"):
            result = cli.carat("run", cli.STORIES, "-p", "x", env=self.settings(text))
            self.assert_fails(result, 2, self.path)
        self.assert_fails(cli.carat("run", "-p", "x", env=cli.environment(CARAT_CONFIG="/nowhere")), 2, "/nowhere")

    def test_the_model_may_come_from_there_and_any_other_comes_first(self):
        env = self.settings("model = /nowhere.gguf\n")
        self.assert_fails(cli.carat("run", "-p", "x", env=env), 3, "/nowhere.gguf")
        for arguments in ((cli.STORIES,), ("-m", cli.STORIES)):
            self.assertEqual(cli.carat("run", *arguments, "-p", "x", "-n", 1, env=env).code, 0)
        env["CARAT_MODEL"] = str(cli.STORIES)
        self.assertEqual(cli.carat("run", "-p", "x", "-n", 1, env=env).code, 0)

    def test_switches_and_quotes(self):
        env = self.settings('newline = off\nstop = " girl"\n')
        out = cli.carat("run", cli.STORIES, "--raw", "--temp", 0, "-p", "Once upon a time", "-n", 60, env=env).out
        self.assertTrue(out.endswith(b"little"), out)

    def test_the_users_own_file_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "carat" / "config"
            path.parent.mkdir()
            path.write_text("ctx-size = 66\n")
            self.assertEqual(self.sampling(env=cli.environment(XDG_CONFIG_HOME=folder))["ctx"], 66)


class Logs(cli.ModelCase):
    def test_a_log_file_gets_notes_and_details_with_the_time(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "log"
            for flags, env in ((("--log-file", path), None), ((), cli.environment(CARAT_LOG=path))):
                result = cli.carat("run", cli.STORIES, "-p", "x", "-n", 1, "-q", "-c", 4096, *flags, env=env)
                self.assertEqual((result.code, result.err), (0, ""))
            lines = path.read_text().splitlines()
            self.assertTrue(all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[\d+\] ", line) for line in lines))
            self.assertEqual(sum("trained for 2048" in line for line in lines), 2)
            self.assertEqual(sum("layers" in line for line in lines), 2)
        self.assert_fails(cli.carat("run", cli.STORIES, "-p", "x", "--log-file", "/nowhere/log"), 2, "/nowhere/log")


if __name__ == "__main__":
    cli.main()
