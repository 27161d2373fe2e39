"""carat bench: what is measured, how it is printed, what is refused."""
import csv
import io
import json
import os
import signal
import sqlite3
import statistics
import time

import carat_cli as cli

QUICK = ("-p", 8, "-n", 4, "-r", 2, "-t", 1)
KEYS = """build_commit build_number cpu_info gpu_info backends model_filename model_type model_size model_n_params
          n_batch n_ubatch n_threads type_k type_v n_gpu_layers n_prompt n_gen n_depth test_time avg_ns stddev_ns
          avg_ts stddev_ts samples_ns samples_ts ttft_ms load_ms warmup_ms peak_rss cpu_quota isa gb_per_s
          gb_per_s_ceiling tflops tflops_ceiling ceiling_product ceiling_share""".split()
TABLE_KEYS = [key for key in KEYS if not key.startswith("samples_")]


class Case(cli.ModelCase):
    def bench(self, *arguments, **keywords):
        result = cli.carat("bench", *arguments, **keywords)
        self.assertEqual(result.code, 0, result)
        return result

    def rows(self, *arguments):
        return json.loads(self.bench(*arguments, "-o", "json").out)

    def measured(self, *arguments):
        rows = self.rows("-m", cli.STORIES, "-r", 1, "-t", 1, *arguments)
        return [(row["n_prompt"], row["n_gen"], row["n_depth"]) for row in rows]


class Formats(Case):
    def test_json_has_the_keys_of_llama_bench_and_ours(self):
        prompt, reply = self.rows("-m", cli.STORIES, *QUICK)
        for row, tokens in ((prompt, 8), (reply, 4)):
            self.assertEqual(list(row), KEYS)
            self.assertEqual(row["model_filename"], str(cli.STORIES))
            self.assertEqual(row["model_n_params"], 292800)
            self.assertEqual(len(row["samples_ns"]), 2)
            self.assertEqual(row["avg_ns"], int(statistics.mean(row["samples_ns"])))
            self.assertEqual(row["stddev_ns"], int(statistics.stdev(row["samples_ns"])))
            for ns, speed in zip(row["samples_ns"], row["samples_ts"]):
                self.assertAlmostEqual(speed, tokens * 1e9 / ns, places=3)
            self.assertAlmostEqual(row["avg_ts"], statistics.mean(row["samples_ts"]), places=3)
            self.assertAlmostEqual(row["stddev_ts"], statistics.stdev(row["samples_ts"]), places=3)
            self.assertIn(row["isa"], cli.isas())
            self.assertGreater(row["peak_rss"], 1e6)
            self.assertGreater(row["load_ms"], 0)
            self.assertGreater(row["warmup_ms"], 0)
        self.assertEqual((prompt["n_prompt"], prompt["n_gen"], reply["n_prompt"], reply["n_gen"]), (8, 0, 0, 4))
        self.assertAlmostEqual(prompt["ttft_ms"] * 1e6, prompt["avg_ns"], delta=0.01 * prompt["avg_ns"] + 1000)
        self.assertLess(reply["ttft_ms"] * 1e6, reply["avg_ns"])

    def test_rates_belong_to_what_is_measured(self):
        prompt, reply, both = self.rows("-m", cli.STORIES, *QUICK, "-pg", "8,4")
        self.assertEqual((prompt["gb_per_s"], reply["tflops"]), (None, None))
        self.assertEqual((both["gb_per_s"], both["tflops"], both["ceiling_share"]), (None, None, None))
        self.assertAlmostEqual(prompt["ceiling_share"], prompt["tflops"] / prompt["tflops_ceiling"], places=6)
        self.assertAlmostEqual(reply["ceiling_share"], reply["gb_per_s"] / reply["gb_per_s_ceiling"], places=6)
        # 4 tokens read all weights but the embedding, which is not the output here or is read as that.
        self.assertLess(reply["gb_per_s"] * reply["avg_ns"], 4 * reply["model_size"] * 1.1)
        self.assertGreater(reply["gb_per_s"] * reply["avg_ns"], 4 * reply["model_size"] * 0.8)
        self.assertTrue(prompt["ceiling_product"])

    def test_the_commit_is_that_of_the_program(self):
        listed = json.loads(self.bench("-p", 4, "-n", 0, "-o", "json").out)
        self.assertEqual(listed[0]["build_commit"], json.loads(cli.carat("version", "--json").out)["commit"])

    def test_a_deadline_is_told(self):
        result = cli.carat("bench", "-m", cli.STORIES, "-r", 1000, "--timeout", "0.2", "-o", "jsonl")
        self.assertEqual(result.code, 124, result)
        self.assertIn("carat: error: the time was up", result.err)

    def test_without_ceilings_and_warm_up(self):
        prompt, reply = self.rows("-m", cli.STORIES, *QUICK, "--no-ceilings", "--no-warmup")
        for row in (prompt, reply):
            self.assertEqual((row["ceiling_share"], row["ceiling_product"], row["warmup_ms"]), (None, "", None))
        self.assertIsNone(prompt["tflops_ceiling"])
        self.assertGreater(reply["gb_per_s"], 0)

    def test_jsonl_has_an_object_in_each_line(self):
        lines = self.bench("-m", cli.STORIES, *QUICK, "-o", "jsonl").out.decode().splitlines()
        self.assertEqual([json.loads(line)["n_prompt"] for line in lines], [8, 0])

    def test_csv(self):
        text = self.bench("-m", cli.STORIES, *QUICK, "-o", "csv", "--no-ceilings").out.decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual(list(rows[0]), TABLE_KEYS)
        self.assertEqual([(row["n_prompt"], row["n_gen"]) for row in rows], [("8", "0"), ("0", "4")])
        self.assertEqual(rows[0]["ceiling_share"], "")
        self.assertGreater(float(rows[0]["avg_ts"]), 0)

    def test_sql_can_be_run_twice(self):
        database = sqlite3.connect(":memory:")
        for _ in range(2):
            database.executescript(self.bench("-m", cli.STORIES, *QUICK, "-o", "sql").out.decode())
        columns = [row[1] for row in database.execute("PRAGMA table_info(llama_bench)")]
        self.assertEqual(columns, TABLE_KEYS)
        found = database.execute("SELECT n_prompt, n_gen, avg_ts > 0, typeof(ceiling_share) FROM llama_bench")
        self.assertEqual(found.fetchall(), [(8, 0, 1, "real"), (0, 4, 1, "real")] * 2)

    def test_markdown_has_the_columns_of_llama_bench_first(self):
        lines = self.bench("-m", cli.STORIES, *QUICK).out.decode().splitlines()
        table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
        self.assertEqual(table[0], ["model", "size", "params", "backend", "threads", "test", "t/s", "ttft ms", "rate",
                                    "of ceiling"])
        self.assertTrue(all(set(cell) <= set("-:") for cell in table[1]))
        self.assertEqual([row[5] for row in table[2:]], ["pp8", "tg4"])
        for row in table[2:]:
            self.assertEqual((row[2], row[3], row[4]), ("0.29 M", "CPU", "1"))
            self.assertRegex(row[6], r"^\d+\.\d\d ± \d+\.\d\d$")
            self.assertRegex(row[9], r"^\d+%$")
        self.assertEqual(len({len(line) for line in lines if line.startswith("|")}), 1)
        self.assertTrue(any(line.startswith("build: carat ") for line in lines))
        self.assertIn("warm-up", lines[-1])

    def test_a_second_report_goes_to_standard_error(self):
        result = self.bench("-m", cli.STORIES, *QUICK, "-o", "csv", "-oe", "jsonl")
        self.assertEqual(len(result.out.splitlines()), 3)
        self.assertEqual([json.loads(line)["n_gen"] for line in result.err.splitlines()], [0, 4])


class Tests(Case):
    def test_lists_ranges_and_repeated_flags(self):
        self.assertEqual(self.measured("-p", "4,8", "-n", 0), [(4, 0, 0), (8, 0, 0)])
        self.assertEqual(self.measured("-p", 4, "-p", 8, "-n", 0), [(4, 0, 0), (8, 0, 0)])
        self.assertEqual(self.measured("-p", "1-3", "-n", 0), [(1, 0, 0), (2, 0, 0), (3, 0, 0)])
        self.assertEqual(self.measured("-p", "2-9+3", "-n", 0), [(2, 0, 0), (5, 0, 0), (8, 0, 0)])
        self.assertEqual(self.measured("-p", 0, "-n", "1-4*2"), [(0, 1, 0), (0, 2, 0), (0, 4, 0)])

    def test_pairs_and_depths(self):
        self.assertEqual(self.measured("-p", 0, "-n", 0, "-pg", "8,4", "-pg", "4,2"), [(8, 4, 0), (4, 2, 0)])
        self.assertEqual(self.measured("-p", 4, "-n", 2, "-d", "0,16"), [(4, 0, 0), (0, 2, 0), (4, 0, 16), (0, 2, 16)])
        result = self.bench(cli.STORIES, "-r", 1, "-t", 1, "-p", 4, "-n", 2, "-pg", "4,2", "-d", 16)
        rows = [line.split("|") for line in result.out.decode().splitlines() if line.startswith("| llama")]
        names = [row[6].strip() for row in rows]
        self.assertEqual(names, ["pp4 @ d16", "tg2 @ d16", "pp4+tg2 @ d16"])

    def test_threads_batches_and_instruction_sets_multiply(self):
        rows = self.rows("-m", cli.STORIES, "-r", 1, "-p", 4, "-n", 0, "-t", "1,2", "-b", "4,8", "-ub", 2, "--isa",
                         "reference,baseline", "--no-ceilings")
        found = [(row["isa"], row["n_threads"], row["n_batch"], row["n_ubatch"]) for row in rows]
        self.assertEqual(found, [(isa, t, b, 2) for isa in ("reference", "baseline") for t in (1, 2) for b in (4, 8)])

    def test_several_models(self):
        micro = cli.MICRO / "micro-gemma3-f16.gguf"
        for models in (("-m", f"{cli.STORIES},{micro}"), ("-m", cli.STORIES, "-m", micro)):
            rows = self.rows(*models, "-r", 1, "-t", 1, "-p", 4, "-n", 0)
            self.assertEqual([row["model_filename"] for row in rows], [str(cli.STORIES), str(micro)])
        self.assertEqual(rows[1]["model_type"].split()[0], "gemma3")
        self.assertEqual(rows[1]["model_type"].split()[-1], "F16")

    def test_the_model_by_position_and_by_environment(self):
        self.assertEqual(len(self.rows(cli.STORIES, *QUICK)), 2)
        environment = cli.environment(CARAT_MODEL=cli.STORIES, CARAT_THREADS=2)
        result = self.bench("-p", 8, "-n", 0, "-r", 1, "-o", "jsonl", env=environment)
        self.assertEqual(json.loads(result.out.splitlines()[0])["n_threads"], 2)


    def test_types_of_the_cache(self):
        micro = cli.MICRO / "micro-gemma3-f16.gguf"
        rows = self.rows("-m", micro, "-r", 1, "-t", 1, "-p", 0, "-n", 2, "-d", 64, "-ctk", "f16,f32", "-ctv", "f16",
                         "-ctv", "f32", "--no-ceilings")
        types = [(row["type_k"], row["type_v"]) for row in rows]
        self.assertEqual(types, [("f16", "f16"), ("f16", "f32"), ("f32", "f16"), ("f32", "f32")])
        read = [row["gb_per_s"] * row["avg_ns"] for row in rows]  # bytes
        self.assertAlmostEqual(read[1], read[2], delta=1e-6 * read[1])
        self.assertAlmostEqual(read[1] - read[0], read[3] - read[2], delta=1e-6 * read[1])
        self.assertGreater(read[1], read[0])
        result = self.bench("-m", micro, "-r", 1, "-t", 1, "-p", 2, "-n", 0, "-ctk", "bf16")
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in result.out.decode().splitlines()]
        self.assertEqual((lines[0][5], lines[2][5]), ("type_k", "bf16"))
        self.assertNotIn("type_v", lines[0])


class Presets(cli.Case):
    def test_a_preset_needs_no_file(self):
        result = cli.carat("bench", "--preset", "gemma3-270m", "--type", "q4_0,Q4_K_M", "-p", 4, "-n", 1, "-r", 1,
                           "-t", 1, "-o", "json", "--no-ceilings")
        self.assertEqual(result.code, 0, result)
        rows = json.loads(result.out)
        self.assertEqual([row["model_type"] for row in rows],
                         ["gemma3 268M Q4_0"] * 2 + ["gemma3 268M Q4_K_M"] * 2)
        self.assertEqual({row["model_n_params"] for row in rows}, {268098176})
        self.assertGreater(rows[2]["model_size"], rows[0]["model_size"])
        self.assertTrue(all(row["avg_ts"] > 0 for row in rows))

    def test_a_type_whose_blocks_do_not_divide_the_rows_gives_way_to_another(self):
        result = cli.carat("bench", "--preset", "gemma3-270m", "--type", "q2_k", "-p", 1, "-n", 0, "-r", 1, "-t", 1,
                           "-o", "json", "--no-warmup", "--no-ceilings")
        row = json.loads(result.out)[0]
        self.assertLess(row["model_size"], row["model_n_params"])  # not f16

    def test_what_does_not_fit_is_refused_with_the_arithmetic(self):
        result = cli.carat("bench", "--preset", "gemma3-27b", "--type", "f32")
        self.assertEqual(result.code, 5, result)
        self.assertIn("108.0 GB of weights", result.err)
        self.assertIn("available", result.err)

    def test_unknown_names_are_refused_with_the_known_ones(self):
        self.assert_fails(cli.carat("bench", "--preset", "gemma4-1b"), 2, "gemma4-1b", "qwen3-0.6b")
        self.assert_fails(cli.carat("bench", "--preset", "qwen3-0.6b", "--type", "q9_0"), 2, "q9_0", "q4_k_m", "sfp")
        self.assert_fails(cli.carat("bench", "-m", __file__, "--type", "q4_0"), 2, "--preset")


class Signature(cli.Case):
    def test_it_is_the_same_on_every_instruction_set_and_number_of_threads(self):
        result = cli.carat("bench", "--signature", "--isa", ",".join(cli.isas()), "-t", "1,2")
        self.assertEqual((result.code, result.err), (0, ""), result)
        lines = result.out.decode().splitlines()
        self.assertEqual(len(lines), 2 * len(cli.isas()))
        self.assertEqual(len(set(lines)), 1)
        self.assertRegex(lines[0], "^[0-9a-f]{8}$")


class Mistakes(cli.Case):
    def test_values_that_are_none(self):
        for flag, value in (("-p", "x"), ("-p", "-1"), ("-p", "1,"), ("-p", ""), ("-p", "5-2"), ("-p", "1-4+0"),
                            ("-p", "0-4*2"), ("-p", "1-4*1"), ("-p", "1-99999"), ("-n", "1.5"), ("-pg", "8"),
                            ("-pg", "8,4,2"), ("-t", "0"), ("-t", "9999"), ("-b", "0"), ("-ub", "0"), ("-d", "-5"),
                            ("-r", "0"), ("-ctk", "q4_0"), ("-ctv", "f16,"), ("--timeout", "-1"), ("-o", "xml"), ("-oe", "yaml"), ("--isa", "abacus"), ("-fa", "off")):
            with self.subTest(flag=flag, value=value):
                self.assert_fails(cli.carat("bench", "-m", __file__, flag, value), 2)

    def test_nothing_to_measure(self):
        self.assert_fails(cli.carat("bench", "-m", __file__, "-p", 0, "-n", 0), 2, "-pg")

    def test_a_gpu_is_not_there(self):
        self.assert_fails(cli.carat("bench", "-m", __file__, "-ngl", 99), 5, "-ngl 99")

    def test_models_that_cannot_be_opened(self):
        self.assert_fails(cli.carat("bench", "-m", "/nowhere"), 3, "/nowhere")
        self.assert_fails(cli.carat("bench", "-m", __file__), 3, "bench_test.py")
        if cli.FIXTURES.is_dir():
            self.assert_fails(cli.carat("bench", "-m", f"{cli.STORIES},/nowhere", "-o", "json"), 3, "/nowhere")

    def test_flags_of_what_is_not_there_are_unknown(self):
        for flag in ("-mmp", "--rpc", "--numa", "-sm"):
            self.assert_fails(cli.carat("bench", flag, 1), 2)


class Interrupted(Case):
    def test_what_was_finished_is_reported(self):
        process = cli.start("bench", "-m", cli.STORIES, "-p", 4, "-n", 1000000, "-r", 1000, "-t", 1, "-o", "json")
        first = os.read(process.stdout.fileno(), 2)  # "[\n" comes before the first test
        while b"}" not in first:
            first += os.read(process.stdout.fileno(), 4096)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=cli.TIMEOUT)
        self.assertEqual((process.returncode, err), (130, b""))
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual([row["n_prompt"] for row in json.loads(first + out)], [4])

    def test_the_timeout_is_of_the_whole_run(self):
        for seconds in (1, 5, 25):
            begin = time.monotonic()
            result = cli.carat("bench", cli.STORIES, "-p", "4,5,6", "-n", 1000000, "-r", 1000, "-t", 1, "-o", "json",
                               "--no-ceilings", "--timeout", seconds)
            self.assertLess(time.monotonic() - begin, seconds + 5)
            self.assertEqual(result.code, 124, result)
            rows = json.loads(result.out)
            if rows:
                break
        self.assertEqual([row["n_prompt"] for row in rows], [4, 5, 6][: len(rows)])
        self.assertGreater(len(rows[0]["samples_ns"]), 0)

    def test_a_timeout_before_the_first_test_leaves_nothing(self):
        result = cli.carat("bench", cli.STORIES, "--timeout", "1ms", "-o", "json")
        self.assertEqual(result.code, 124, result)

    def test_finished_repetitions_of_a_test_count(self):
        for seconds in (1, 5, 25):  # on a busy machine not one may be finished
            process = cli.start("bench", cli.STORIES, "-p", 0, "-n", 4, "-r", 1000000, "-t", 1, "-o", "jsonl")
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=cli.TIMEOUT)
            self.assertEqual(process.returncode, 130)
            if out:
                break
        self.assertGreater(len(json.loads(out)["samples_ns"]), 0)


if __name__ == "__main__":
    cli.main()
