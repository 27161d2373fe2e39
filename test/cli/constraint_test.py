"""carat run with a constraint: an answer meets it, or says that it does not."""
import json
import random
import re
import tempfile

import jsonschema

import carat_cli as cli

SCHEMAS = 200


def random_schema(rng, depth):
    """A schema of what is supported, without one that nothing meets."""
    kinds = ["string", "length", "pattern", "format", "together", "integer", "bounded", "number", "between", "boolean", "null",
             "enum", "const", "types"]
    if depth > 0:
        kinds += ["object", "array", "tuple", "anyOf", "oneOf"] * 2
    kind = rng.choice(kinds)
    low = rng.randint(-200, 200)
    few = rng.randint(0, 3)
    if kind == "length":
        return {"type": "string", "minLength": few, "maxLength": few + rng.randint(0, 20)}
    if kind == "pattern":
        return {"type": "string", "pattern": rng.choice(["^[a-z]{1,8}$", "x\\d+$", "^(yes|no)$", "^\"\\w*\\\\$", "^.{0,9}$"])}
    if kind == "format":
        formats = ["date", "time", "date-time", "uuid", "ipv4", "ipv6", "email", "uri", "hostname", "duration"]
        return {"type": "string", "format": rng.choice(formats)}
    if kind == "together":
        return rng.choice([
            {"type": "string", "pattern": rng.choice(["[a-z]\\d", "^[A-Z][a-z]*$", "^(\\w+-)*x$"]), "minLength": 2 + few,
             "maxLength": 5 + rng.randint(0, 20)},
            {"type": "string", "format": "hostname", "minLength": few, "maxLength": 9},
            {"type": "string", "format": "uuid", "pattern": "^[0-9]{4}"},
            {"type": "string", "format": "email", "pattern": "\\.org$", "maxLength": 30}])
    if kind == "bounded":
        return {"type": "integer", "minimum": low, "exclusiveMaximum": low + rng.randint(1, 500)}
    if kind == "between":
        return {"type": "number", "exclusiveMinimum": low / 8, "maximum": low / 8 + rng.randint(1, 99) / 16}
    if kind == "enum":
        return {"enum": rng.sample(["a", "b\"\n", 1, 2.5, None, True, {"x": [1]}, "é"], 1 + few)}
    if kind == "const":
        return {"const": rng.choice(["k", 7, [1, {"a": None}], False])}
    if kind == "types":
        return {"type": rng.sample(["boolean", "null", "integer"], 2), "title": "a"}
    if kind == "object":
        names = rng.sample(["a", "b", "name", "né", "a\"b", "long name"], 1 + few)
        schema = {"type": "object", "properties": {name: random_schema(rng, depth - 1) for name in names},
                  "required": rng.sample(names, rng.randint(0, len(names)))}
        if rng.random() < 0.3:
            schema["additionalProperties"] = rng.choice([False, {"type": "boolean"}])
        return schema
    if kind == "array":
        return {"type": "array", "items": random_schema(rng, depth - 1), "minItems": few, "maxItems": few + rng.randint(0, 2)}
    if kind == "tuple":
        first = [random_schema(rng, depth - 1) for _ in range(1 + few)]
        return {"type": "array", "prefixItems": first, "items": rng.choice([False, {"type": "null"}]),
                "minItems": few, "maxItems": 5}
    if kind == "anyOf":
        return {"anyOf": [random_schema(rng, depth - 1) for _ in range(2)]}
    if kind == "oneOf":
        return {"oneOf": [{"type": "object", "properties": {"kind": {"const": name}, "v": random_schema(rng, depth - 1)},
                           "required": ["kind"]} for name in ("x", "y")]}
    return {"type": kind}


class Constraints(cli.ModelCase):
    """The small model knows nothing of JSON: it wants to leave a grammar at every token."""

    def write(self, *arguments, model=cli.STORIES):
        return cli.carat("run", "-m", model, "--raw", "-p", "Once", "--no-newline", "-t", 1, *arguments)

    def test_every_whole_answer_to_a_random_schema_is_valid(self):
        rng = random.Random(5)
        whole = 0
        for number in range(SCHEMAS):
            schema = random_schema(rng, 2)
            with self.subTest(number=number, schema=schema):
                result = self.write("-j", json.dumps(schema), "-n", 400, "-s", number, "--temp", 1.5)
                self.assertIn(result.code, (0, 6), result)
                if result.code == 0:
                    whole += 1
                    jsonschema.validate(json.loads(result.out), schema, jsonschema.Draft202012Validator)
        self.assertGreater(whole, SCHEMAS * 3 // 4)

    def test_patterns_and_grammars_hold(self):
        cases = [("--regex", r"(yes|no), \w{3,9}[.!]", r"(yes|no), \w{3,9}[.!]"),
                 ("--regex", r"[^ -~]{5}", r"[^ -~]{5}"),
                 ("--grammar", 'root ::= "- " [a-z]{3,12} ("\\n- " [a-z]+){2} "\\n"', r"- [a-z]{3,12}(\n- [a-z]+){2}\n"),
                 ("--grammar", 'root ::= "(" root ")" | "x"', r"\(*x\)*")]
        for model in (cli.STORIES, cli.MICRO / "micro-qwen3-f16.gguf", cli.MICRO / "micro-gemma3-f16.gguf"):
            for flag, text, pattern in cases:
                with self.subTest(model=model.name, flag=flag, text=text):
                    result = self.write(flag, text, "-n", 300, "-s", 1, "--top-k", 0, model=model)
                    if result.code == 0:
                        self.assertTrue(re.fullmatch(pattern, result.out.decode()), result)
                    else:
                        self.assertEqual(result.code, 6, result)

    def test_format_json_writes_an_object(self):
        for seed in range(5):
            result = self.write("--format", "json", "-n", 500, "-s", seed)
            if result.code == 0:
                self.assertIsInstance(json.loads(result.out), dict)

    def test_an_answer_that_cannot_go_on_ends_by_itself_with_or_without_an_end_token(self):
        for flags in ((), ("--ignore-eos",)):
            result = self.write("--regex", "abc", *flags)
            self.assertEqual((result.code, result.out, result.err), (0, b"abc", ""), result)

    def test_a_cut_answer_is_printed_and_returns_6_with_one_note(self):
        for flags in (("-n", 5), ("-c", 8)):
            with self.subTest(flags):
                result = self.write("--regex", "[a-z]{200}", *flags)
                self.assertEqual(result.code, 6, result)
                self.assertTrue(re.fullmatch("[a-z]+", result.out.decode()), result)
                self.assertEqual(result.err.count("constraint"), 1, result)

    def test_the_constraint_of_a_file_is_that_of_the_flag(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"const": "x"}')
            file.flush()
            for flag in ("-jf", "--json-schema-file"):
                self.assertEqual(self.write(flag, file.name).out, b'"x"')
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('root ::= "x"')
            file.flush()
            self.assertEqual(self.write("--grammar-file", file.name).out, b"x")


class Refusals(cli.Case):
    def test_usage_that_makes_no_sense_returns_2(self):
        for flags, word in [(("--regex", "a", "--format", "json"), "one constraint only"),
                            (("--format", "xml"), "'xml'"),
                            (("--grammar-file", "/nonexistent"), "cannot be read")]:
            with self.subTest(flags):
                self.assert_fails(cli.carat("run", "-m", "x.gguf", "-p", "a", *flags), 2, word)

    def test_a_constraint_that_is_none_returns_6_with_its_place(self):
        for flags, words in [(("--regex", "a("), ("--regex", "character 3")),
                             (("--grammar", "root ::= b"), ("--grammar", "rule 'b'")),
                             (("-j", '{"properties":{"a":{"not":{}}}}'), ("--json-schema", "/properties/a", "'not'")),
                             (("-j", "{"), ("not JSON",))]:
            with self.subTest(flags):
                self.assert_fails(cli.carat("run", "-m", "x.gguf", "-p", "a", *flags), 6, *words)


if __name__ == "__main__":
    cli.main()
