"""A chat in a terminal: what is typed, what it writes, and what the screen then shows."""
import os
import re
import tempfile
import time

import pexpect
import pyte

import carat_cli as cli

PROMPT = ">>> "
COLUMNS, ROWS = 80, 24


class Terminal:
    """A chat that stands at its first prompt, on a screen."""

    def __init__(self, state, *flags, model=cli.STORIES, size=(ROWS, COLUMNS), waits=True, **environment):
        environment = {"TERM": "xterm", "XDG_STATE_HOME": state, **environment}
        self.child = pexpect.spawn(cli.CARAT, ["chat", "-m", str(model), "--temp", "0", *map(str, flags)],
                                   env=cli.environment(**environment), encoding="utf-8", timeout=cli.TIMEOUT,
                                   dimensions=size)
        self.child.delaybeforesend = None
        self.screen = pyte.Screen(size[1], size[0])
        self.stream = pyte.Stream(self.screen)
        self.raw = ""  # all that came
        if waits:
            self.wait_for_prompt()

    def pump(self, seconds=0.05):
        """Takes what comes until nothing has come for that long; of what never ends, a little."""
        end = time.monotonic() + 0.3
        try:
            while time.monotonic() < end:
                part = self.child.read_nonblocking(65536, seconds)
                self.raw += part
                self.stream.feed(part)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass

    def until(self, condition, what):
        end = time.monotonic() + cli.TIMEOUT
        while time.monotonic() < end:
            self.pump()
            if condition():
                return
            if not self.child.isalive():
                break
        raise AssertionError(f"no {what}; the screen:\n" + self.text())

    def expect(self, text):
        self.until(lambda: text in self.text(), text)

    def expect_written(self, text):
        """The same for what may have left the screen already."""
        self.until(lambda: text in self.raw, text)

    def wait_for_prompt(self):
        self.until(lambda: self.lines()[self.screen.cursor.y] == PROMPT.rstrip(), "prompt")

    def send(self, keys):
        self.child.send(keys)

    def paste(self, text):
        self.send("\x1b[200~" + text + "\x1b[201~")

    def ask(self, text):
        """What comes between this line and the next prompt, as bytes without what moves the cursor."""
        self.pump()
        begin = len(self.raw)
        self.send(text + "\r")
        self.until(lambda: self.raw.rfind("\x1b[?2004h") >= begin and "\x1b[?2004l" in self.raw[begin:], "answer")
        self.wait_for_prompt()
        answer = self.raw[begin:].split("\x1b[?2004l", 1)[1].split("\x1b[?2004h", 1)[0]
        return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[78DM])", "", answer).replace("\r\n", "\n")

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines()).rstrip()

    def resize(self, rows, columns):
        self.child.setwinsize(rows, columns)
        self.screen.resize(rows, columns)

    def end(self):
        """The exit code."""
        self.until(lambda: not self.child.isalive(), "end")
        self.child.close()
        return self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus

    def close(self):
        self.child.close(True)


class ChatCase(cli.ModelCase):
    def setUp(self):
        self.state = self.folder("state")

    def folder(self, name):
        folder = tempfile.TemporaryDirectory(prefix="carat-")
        self.addCleanup(folder.cleanup)
        return os.path.join(folder.name, name)

    def talk(self, *flags, status=False, **keywords):
        """A chat; without the status line, whose text would be among the answers'."""
        terminal = Terminal(self.state, *flags, *([] if status else ["-q"]), **keywords)
        self.addCleanup(terminal.close)
        return terminal
