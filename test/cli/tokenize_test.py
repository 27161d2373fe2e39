"""carat tokenize: text to ids and back."""
import carat_cli as cli

GPT2 = cli.FIXTURES / "vocab_gguf" / "ggml-vocab-gpt-2.gguf"
GEMMA = cli.MICRO / "micro-gemma3-f16.gguf"


class Tokenize(cli.ModelCase):
    def ids(self, model, *arguments, **keywords):
        result = cli.carat("tokenize", model, "--ids", *arguments, **keywords)
        self.assertEqual((result.code, result.err), (0, ""), result)
        self.assertTrue(result.out.endswith(b"\n"))
        return [int(word) for word in result.out.split()]

    def test_bos_comes_first_where_the_model_wants_it(self):
        self.assertEqual(self.ids(cli.STORIES, "One day"), [1, *self.ids(cli.STORIES, "--no-bos", "One day")])
        self.assertEqual(self.ids(GPT2, "One day"), self.ids(GPT2, "--no-bos", "One day"))

    def test_arguments_and_standard_input_are_the_same_text(self):
        self.assertEqual(self.ids(cli.STORIES, "One", "day"), self.ids(cli.STORIES, stdin=b"One day"))

    def test_standard_input_is_taken_to_its_last_byte(self):
        self.assertNotEqual(self.ids(cli.STORIES, stdin=b"One day\n"), self.ids(cli.STORIES, stdin=b"One day"))

    def test_the_texts_of_the_gpt_2_vectors(self):
        texts = GPT2.with_name(GPT2.name + ".inp").read_text().split("\n__ggml_vocab_test__\n")
        expected = GPT2.with_name(GPT2.name + ".out").read_text().splitlines()
        for text, ids in list(zip(texts, expected))[:12]:
            with self.subTest(text):
                self.assertEqual(self.ids(GPT2, "--no-bos", stdin=text.encode()), [int(i) for i in ids.split()])

    def test_an_empty_text_has_no_tokens(self):
        self.assertEqual(cli.carat("tokenize", cli.STORIES, "--count", stdin=b"").out, b"0\n")
        self.assertEqual(self.ids(cli.STORIES, ""), [])

    def test_count_and_listing_agree(self):
        text = "Once upon a time, héllo\t"
        listing = cli.carat("tokenize", cli.STORIES, text).out.decode().splitlines()
        self.assertEqual(int(cli.carat("tokenize", cli.STORIES, "--count", text).out), len(listing))
        self.assertEqual([int(line.split()[0]) for line in listing], self.ids(cli.STORIES, text))

    def test_there_and_back(self):
        for model in (cli.STORIES, GPT2):
            for text in ("Once upon a time", " two  spaces ", "héllo wörld 😀 日本", "line\n\nline\n", "<s> </s>"):
                ids = cli.carat("tokenize", model, "--ids", stdin=text.encode()).out
                with self.subTest(model=model.name, text=text):
                    self.assertEqual(cli.carat("tokenize", model, "--decode", stdin=ids).out.decode(), text)

    def test_control_tokens_are_text_unless_they_are_asked_for(self):
        for model, text, token in ((cli.STORIES, "</s>", 2), (GEMMA, "<eos>", 1), (GPT2, "<|endoftext|>", 50256)):
            with self.subTest(text):
                self.assertNotIn(token, self.ids(model, "a" + text + "b"))
                self.assertIn(token, self.ids(model, "--special", "a" + text + "b"))
                spelled = cli.carat("tokenize", model, "--decode", "--special", stdin=str(token).encode())
                self.assertEqual(spelled.out.decode(), text)

    def test_mistakes(self):
        self.assert_fails(cli.carat("tokenize", cli.STORIES, "--decode", "1 512"), 2, "byte 2", "511")
        self.assert_fails(cli.carat("tokenize", cli.STORIES, "--decode", "1 x"), 2, "byte 2")
        self.assert_fails(cli.carat("tokenize", cli.STORIES, "--ids", "--count", "x"), 2, "one of them")
        unknown = cli.FIXTURES / "vocab_gguf" / "ggml-vocab-deepseek-llm.gguf"
        self.assert_fails(cli.carat("tokenize", unknown, "x"), 3, "deepseek-llm")


if __name__ == "__main__":
    cli.main()
