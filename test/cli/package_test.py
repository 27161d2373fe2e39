"""What is installed, and the Debian package: both out of the build that the binary stands in."""
import gzip
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import carat_cli as cli

BUILD = pathlib.Path(cli.CARAT).parent


def run(*words, **keywords):
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=cli.TIMEOUT, env=cli.environment(),
                          **keywords)


@unittest.skipUnless((BUILD / "CMakeCache.txt").exists() and shutil.which("cmake"), "skipped: not in its build folder")
class Package(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_the_program_its_manual_and_its_completions_are_installed(self):
        result = run("cmake", "--install", BUILD, "--prefix", self.folder)
        self.assertEqual(result.returncode, 0, result)
        answer = run(self.folder / "bin" / "carat", "run", "-q", "-p", "Hello!")
        self.assertEqual((answer.returncode, bool(answer.stdout.strip())), (0, True), answer)
        page = gzip.decompress((self.folder / "share/man/man1/carat.1.gz").read_bytes()).decode()
        self.assertIn(".SH EXIT STATUS", page)
        for name, word in (("bash-completion/completions/carat", "complete -"),
                           ("zsh/vendor-completions/_carat", "#compdef carat"),
                           ("fish/vendor_completions.d/carat.fish", "complete -c carat")):
            self.assertIn(word, (self.folder / "share" / name).read_text())

    @unittest.skipUnless(shutil.which("dpkg-shlibdeps") and shutil.which("file"), "skipped: no dpkg-dev")
    def test_the_debian_package_names_what_it_needs_and_nothing_to_build_with(self):
        result = run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", self.folder)
        self.assertEqual(result.returncode, 0, result)
        package, = self.folder.glob("carat_*.deb")
        needs = run("dpkg-deb", "-f", package, "Depends").stdout
        for name in ("libc6", "libsentencepiece", "libedit2", "libpcre2-8"):
            self.assertIn(name, needs)
        self.assertNotIn("-dev", needs)
        held = run("dpkg-deb", "-c", package).stdout
        for path in ("./usr/bin/carat", "./usr/share/man/man1/carat.1.gz", "./usr/share/doc/carat/copyright",
                     "./usr/share/doc/carat/changelog.gz"):
            self.assertIn(path + "\n", held)


if __name__ == "__main__":
    cli.main()
