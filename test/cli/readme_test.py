"""Every command of the README, run as it stands there.

The model's name stands for the model inside, written to a file; scripts/… that build stand for what they build. What a
reader would have at hand (notes, a schema, an old .sbs file) is made here.
"""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile

import pexpect

import carat_cli as cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "app" / "demo" / "demo.gguf"
CONSTRAINED = re.compile(r"--(json-schema|regex|grammar|format) ")
# A model of four thousand million numbers takes minutes.
QUICKER = {"--preset gemma3-4b": "--preset gemma3-270m -p 8 -n 2 -r 1", "bench -m m.gguf -p 512 -n 128": "bench -m m.gguf -r 1"}
NEEDS_FIXTURES = re.compile(r"old\.sbs|gemma-3-1b-it")
SCHEMA = {"type": "object", "properties": {"rivers": {"type": "array", "maxItems": 2, "items": {
    "type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "km": {"type": "integer"}},
    "required": ["name", "km"], "additionalProperties": False}}}, "required": ["rivers"], "additionalProperties": False}


def commands(text):
    """The lines of all blocks that are not of another kind ("```text"), without their comments."""
    found, fence = [], None
    for line in text.splitlines():
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
        elif fence in ("", "sh"):
            line = re.sub(r"(^|\s+)# .*$", "", line).strip()
            if line:
                found.append(line)
    return found


def write_safetensors(path, shapes):
    header, size = {}, 0
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [size, size + 4 * count]}
        size += 4 * count
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))


def write_gemma_folder(folder):
    """A Gemma 3 of one layer and no knowledge, as Hugging Face keeps them."""
    width, hidden, heads, length = 64, 128, 2, 32
    layer = "model.layers.0."
    shapes = {"model.embed_tokens.weight": [512, width], "model.norm.weight": [width]}
    for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
        shapes[f"{layer}{name}_layernorm.weight"] = [width]
    for name, rows in (("q", heads * length), ("k", length), ("v", length)):
        shapes[f"{layer}self_attn.{name}_proj.weight"] = [rows, width]
    shapes[layer + "self_attn.o_proj.weight"] = [width, heads * length]
    shapes[layer + "self_attn.q_norm.weight"] = shapes[layer + "self_attn.k_norm.weight"] = [length]
    shapes[layer + "mlp.gate_proj.weight"] = shapes[layer + "mlp.up_proj.weight"] = [hidden, width]
    shapes[layer + "mlp.down_proj.weight"] = [width, hidden]
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", shapes)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "gemma3_text", "vocab_size": 512, "hidden_size": width, "num_hidden_layers": 1,
        "num_attention_heads": heads, "num_key_value_heads": 1, "head_dim": length, "intermediate_size": hidden,
        "sliding_window": 64, "max_position_embeddings": 512}))
    shutil.copy(cli.FIXTURES / "sbs" / "tiny512.model", folder / "tokenizer.model")


class Readme(cli.Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in ("model.gguf", "m.gguf", "model-f16.gguf"):
            shutil.copy(DEMO, self.folder / name)
        for name, text in (("question.txt", "What is carat?"), ("notes.txt", "Be brief."), ("text.txt", "carat is free."),
                           ("doc.txt", "What is a token?"), ("rivers.schema.json", json.dumps(SCHEMA)),
                           ("requests.jsonl", '{"id": "1", "prompt": "Hello"}\n{"id": "2", "prompt": "Thanks"}\n')):
            (self.folder / name).write_text(text)
        (self.folder / "scripts").mkdir()
        (self.folder / "bin").mkdir()
        for link in ("bin/carat", "scripts/carat"):
            (self.folder / link).symlink_to(cli.CARAT)
        for name in ("test", "package", "check", "fuzz"):
            (self.folder / "scripts" / name).symlink_to("/bin/true")
        if cli.FIXTURES.is_dir():
            shutil.copy(cli.FIXTURES / "sbs" / "tiny2-sfp.sbs", self.folder / "old.sbs")
            shutil.copy(cli.FIXTURES / "sbs" / "tiny512.model", self.folder / "tokenizer.spm")
            write_gemma_folder(self.folder / "gemma-3-1b-it")
        self.env = cli.environment(PATH=f"{self.folder}/bin:{os.environ['PATH']}", Q="What is carat?", HOME=folder.name,
                                   XDG_STATE_HOME=folder.name, CARAT_MODELS=folder.name)

    def run_line(self, line):
        """In a shell that stops at the first failure; a chat gets a terminal, and is left."""
        words = ["bash", "-o", "pipefail", "-ec", line]
        if "carat chat" in line:
            return self.chat(line)
        return subprocess.run(words, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=cli.TIMEOUT)

    def chat(self, line):
        child = pexpect.spawn("bash", ["-ec", line], cwd=str(self.folder), env={**self.env, "TERM": "xterm", "NO_COLOR": "1"},
                              encoding="utf-8", timeout=cli.TIMEOUT)
        child.expect_exact(">>> ")
        child.send("/exit\r")
        child.expect(pexpect.EOF)
        child.close()
        return subprocess.CompletedProcess(line, child.exitstatus, child.before, "")

    def test_every_command_does_what_it_is_there_for(self):
        lines = commands((ROOT / "README.md").read_text())
        self.assertGreater(len(lines), 20)
        for line in lines:
            with self.subTest(line=line):
                for slow, quick in QUICKER.items():
                    line = line.replace(slow, quick)
                for script in re.findall(r"scripts/([a-z-]+)", line):
                    self.assertTrue(os.access(ROOT / "scripts" / script, os.X_OK), script)
                if NEEDS_FIXTURES.search(line) and not cli.FIXTURES.is_dir():
                    continue
                result = self.run_line(line)
                # So small a model need not come to the end of what it is held to, and says so.
                self.assertIn(result.returncode, (0, 6) if CONSTRAINED.search(line) else (0,),
                              result.stdout[-600:] + result.stderr[-600:])

    def test_the_files_it_names_are_there(self):
        text = re.sub(r"^```.*?^```$", "", (ROOT / "README.md").read_text(), flags=re.M | re.S)
        named = re.findall(r"`((?:app|convert|docs|engine|kernels|packaging|scripts|test|tokenizer)/[\w./-]+)`", text)
        self.assertGreater(len(named), 8)
        for name in named:
            self.assertTrue((ROOT / name).exists(), name)


if __name__ == "__main__":
    cli.main()
