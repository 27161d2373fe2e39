"""carat info, and what every command says to files that it cannot use."""
import json
import pathlib
import tempfile

import carat_cli as cli


class Info(cli.ModelCase):
    def facts(self, path, *flags):
        result = cli.carat("info", path, "--json", *flags)
        self.assertEqual((result.code, result.err), (0, ""), result)
        return json.loads(result.out)

    def test_the_facts_of_a_known_model(self):
        facts = self.facts(cli.STORIES)
        self.assertEqual(facts["file"]["architecture"], "llama")
        self.assertEqual(facts["file"]["types"], {"f32": {"tensors": 48, "bytes": 1171200}})
        self.assertEqual(facts["file"]["parameters"], 292800)
        network = facts["network"]
        self.assertEqual([network[key] for key in ("context", "layers", "width", "hidden", "heads", "kv_heads")],
                         [2048, 5, 64, 172, 8, 4])
        self.assertEqual(facts["tokenizer"]["stops"], [{"id": 2, "token": "</s>"}])
        self.assertEqual(facts["sampling"]["top_k"], 40)

    def test_numbers_are_told_as_they_were_written(self):
        result = cli.carat("info", "demo", "--json", "--metadata")
        self.assertIn(b'"gemma3.attention.layer_norm_rms_epsilon": 1e-06', result.out)
        facts = json.loads(cli.carat("info", cli.MICRO / "micro-gemma3-f16.gguf", "--json").out)
        self.assertEqual(facts["sampling"]["top_p"], 0.95)

    def test_windows_ropes_and_turns_of_a_gemma(self):
        facts = self.facts(cli.MICRO / "micro-gemma3-f16.gguf")
        self.assertEqual(facts["network"]["windows"], [{"tokens": 16, "layers": 6}])
        self.assertEqual([rope["base"] for rope in facts["network"]["ropes"]], [1e6, 1e4])
        self.assertEqual(facts["tokenizer"]["turns"], "gemma")
        self.assertEqual((facts["sampling"]["temp"], facts["sampling"]["top_k"]), (1, 64))

    def test_an_sbs_file_is_the_gguf_file_that_it_becomes(self):
        files = sorted((cli.FIXTURES / "sbs").glob("*.sbs"))
        self.assertGreater(len(files), 6)
        for path in files:
            with self.subTest(path.name), tempfile.TemporaryDirectory() as folder:
                other = pathlib.Path(folder) / "other.gguf"
                result = cli.carat("compress-weights", path, other, "--type", "f32", "-q")
                self.assertEqual((result.code, result.err), (0, ""), result)
                found, expected = self.facts(path), self.facts(other)
                for section in ("network", "tokenizer", "sampling"):
                    self.assertEqual(found[section], expected[section])
                for key in ("name", "architecture"):
                    self.assertEqual(found["file"][key], expected["file"][key])

    def test_lists_come_if_asked_for(self):
        self.assertNotIn("metadata", self.facts(cli.STORIES))
        facts = self.facts(cli.STORIES, "--metadata", "--tensors", "--template")
        self.assertEqual(facts["metadata"]["llama.block_count"], 5)
        self.assertEqual(facts["tensors"]["token_embd.weight"], {"type": "f32", "dims": [64, 512]})
        self.assertEqual(facts["template"], "")

    def test_memory_is_told_before_it_is_taken(self):
        memory = self.facts(cli.STORIES, "--memory", "-c", "1000")["memory"]
        per_token = 5 * 2 * 4 * 8 * 2  # layers, keys and values, heads, elements, bytes of an f16
        self.assertEqual((memory["context"], memory["cache_bytes"]), (1000, 1000 * per_token))
        self.assertEqual(memory["weights_bytes"], 1171200)
        parts = sum(memory[key] for key in ("weights_bytes", "cache_bytes", "activations_bytes"))
        self.assertEqual(memory["total_bytes"], parts)
        self.assertTrue(memory["fits"])
        wide = self.facts(cli.STORIES, "--memory", "-c", "1000", "-ctk", "f32", "-ctv", "f32")["memory"]
        self.assertEqual(wide["cache_bytes"], 2 * 1000 * per_token)

    def test_memory_of_a_window_does_not_grow_with_the_context(self):
        path = cli.MICRO / "micro-gemma3-f16.gguf"
        short, long = (self.facts(path, "--memory", "-b", "16", "-c", size)["memory"]["cache_bytes"]
                       for size in ("256", "512"))
        self.assertLess(long, 2 * short)

    def test_text_has_a_line_for_each_fact(self):
        result = cli.carat("info", cli.STORIES, "--tensors")
        self.assertEqual(result.code, 0)
        lines = [line.split() for line in result.out.decode().splitlines()]
        self.assertIn(["head_dim", "8"], lines)
        self.assertTrue(any(line[:1] == ["output_norm.weight"] for line in lines), lines)

    def test_a_vocabulary_by_itself(self):
        facts = self.facts(cli.FIXTURES / "vocab_gguf" / "ggml-vocab-gpt-2.gguf")
        self.assertNotIn("network", facts)
        self.assertEqual(facts["tokenizer"]["tokens"], 50257)

    def test_the_template_is_printed_alone(self):
        result = cli.carat("info", cli.MICRO / "micro-gemma3-f16.gguf", "--template")
        self.assertEqual(result.code, 0)
        self.assertNotIn(b"architecture ", result.out)


class BadFiles(cli.ModelCase):
    def commands(self, path):
        yield ("info", path)
        yield ("info", path, "--json", "--metadata", "--tensors", "--template")
        yield ("run", path, "-p", "x", "-n", "1")
        yield ("tokenize", path, "x")

    def test_each_file_loads_or_is_refused_in_one_line(self):
        files = [*(cli.FIXTURES / "gguf_misc").glob("*.gguf"), *(cli.FIXTURES / "vocab_gguf").glob("*.gguf"),
                 cli.FIXTURES / "stories260K_gguf" / "tinyllamas-stories-260k-f32.gguf",
                 cli.FIXTURES / "stories260K" / "stories260K.bin"]
        self.assertGreater(len(files), 15)
        for path in files:
            for arguments in self.commands(path):
                with self.subTest(command=arguments[0], file=path.name):
                    result = cli.carat(*arguments)
                    self.assertIn(result.code, (0, 3), result)
                    if result.code == 3:
                        self.assertRegex(result.err, r"^carat: error: [^\n]*\n$")
                    else:
                        self.assertEqual(result.err, "")

    def test_the_ones_that_are_known_to_be_bad_are_refused(self):
        for name, word in (("ggml-vocab-llama.v1.gguf", "version 1"), ("test-be-v3.gguf", "big-endian"),
                           ("tiny_truncated.gguf", "cut short"), ("prespec_fugg.gguf", "FUGG")):
            with self.subTest(name):
                path = cli.FIXTURES / "gguf_misc" / name
                self.assert_fails(cli.carat("info", path), 3, name, word)
                self.assert_fails(cli.carat("run", path, "-p", "x"), 3, name, word)


if __name__ == "__main__":
    cli.main()
