"""carat on a GPU, as it is seen from outside: the program is built with an emulated one (test/support/cuda_emulator)."""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import carat_cli as cli  # noqa: E402
import events  # noqa: E402

LAYERS = 5  # of the small model


def with_gpu(memory=1 << 30, count=1):
    return cli.environment(CARAT_EMULATED_GPUS=count, CARAT_EMULATED_GPU_MEMORY=memory)


class Devices(cli.Case):
    def test_what_there_is(self):
        _, gpu = json.loads(cli.carat("devices", "--json", env=with_gpu()).out)
        self.assertEqual((gpu["device"], gpu["name"], gpu["architecture"]), ("cuda0", "emulated GPU", "sm_90"))
        self.assertEqual((gpu["memory"], gpu["free"]), (1 << 30, 1 << 30))
        self.assertIn(b"cuda0  emulated GPU\n     sm_90, 1.0 GiB of memory", cli.carat("devices", env=with_gpu()).out)
        self.assertEqual(len(json.loads(cli.carat("devices", "--json", env=with_gpu(count=0)).out)), 1)
        self.assertIn("no CUDA-capable device", cli.carat("devices", env=with_gpu(count=0)).err)
        self.assertIs(json.loads(cli.carat("version", "--json").out)["cuda"], True)

    def test_none_is_no_matter_unless_one_was_asked_for(self):
        for flags in (("-ngl", 33), ("-ngl", "all"), ("--device", "cuda"), ("--device", "cuda0"), ("--device", "cuda1")):
            result = cli.carat("run", "-m", "demo", "-p", "x", "-n", 1, *flags, env=with_gpu(count=0))
            self.assert_fails(result, 5, "no CUDA-capable device")
        for flags in ((), ("-ngl", "auto"), ("-ngl", 0), ("--device", "cpu")):
            self.assertEqual(cli.carat("run", "-m", "demo", "-p", "x", "-n", 1, *flags, env=with_gpu(count=0)).code, 0)

    def test_a_driver_that_is_too_old_or_missing(self):
        for version, why in ((0, "no NVIDIA driver"), (12040, "the driver is for CUDA 12.4, and 13.0 is needed")):
            env = {**with_gpu(), "CARAT_EMULATED_DRIVER": str(version)}
            self.assert_fails(cli.carat("run", "-m", "demo", "-p", "x", "-n", 1, "-ngl", "all", env=env), 5, why)
            self.assertEqual(cli.carat("run", "-m", "demo", "-p", "x", "-n", 1, env=env).code, 0)

    def test_what_is_none(self):
        self.assert_fails(cli.carat("run", "-m", "demo", "-p", "x", "-ngl", "some", env=with_gpu()), 2, "-ngl some")
        self.assert_fails(cli.carat("run", "-m", "demo", "-p", "x", "-ngl", "-1", env=with_gpu()), 2)
        self.assert_fails(cli.carat("run", "-m", "demo", "-p", "x", "--device", "cuda7", env=with_gpu()), 5, "cuda7")
        self.assert_fails(cli.carat("run", "-m", "demo", "-p", "x", "--device", "cpu", "-ngl", 2, env=with_gpu()), 5, "--device is cpu")


class Layers(cli.ModelCase):
    def start_and_text(self, *flags, **gpu):
        result = self.story("-p", "Once upon a time", "-n", 12, "-c", 64, "-o", "ndjson", *flags, env=with_gpu(**gpu))
        self.assertEqual(result.code, 0, result)
        parsed = events.parse(result.out)
        return parsed[0], parsed[-1]["text"]

    def test_any_number_of_them_says_the_same(self):
        start, expected = self.start_and_text("--device", "cpu")
        self.assertEqual((start["device"], start["gpu_layers"]), ("cpu", 0))
        for flags, device, layers in ((("-ngl", 2), "cuda+cpu", 2), (("-ngl", 99), "cuda", LAYERS),
                                      (("-ngl", "all"), "cuda", LAYERS), ((), "cuda", LAYERS)):
            with self.subTest(flags=flags):
                start, text = self.start_and_text(*flags)
                self.assertEqual((start["device"], start["gpu_layers"], text), (device, layers, expected))

    def test_as_many_as_fit(self):
        refused = self.story("-p", "x", "-n", 1, "-c", 64, "-ngl", "all", env=with_gpu(memory=269_800_000))
        self.assert_fails(refused, 5, "-ngl all: 5 layers take", "fits")
        fitting = int(refused.err.split("-ngl ")[-1].split()[0])
        self.assertTrue(0 < fitting < LAYERS, refused)
        start, _ = self.start_and_text(memory=269_800_000)
        self.assertEqual((start["gpu_layers"], start["device"]), (fitting, "cuda+cpu"))
        start, _ = self.start_and_text("-ngl", fitting, memory=269_800_000)
        self.assertEqual(start["gpu_layers"], fitting)
        start, _ = self.start_and_text(memory=1 << 20)
        self.assertEqual((start["gpu_layers"], start["device"]), (0, "cpu"))

    def test_an_error_is_the_last_event(self):
        result = self.story("-p", "x", "-n", 1, "-c", 64, "-ngl", 3, "-o", "ndjson", env=with_gpu(memory=1 << 20))
        last = events.parse(result.out)[-1]
        self.assertEqual((result.code, last["type"], last["code"]), (5, "error", "no_resource"))

    def test_bench_says_what_it_measured(self):
        row = json.loads(cli.carat("bench", "-m", cli.STORIES, "-p", 0, "-n", 2, "-r", 1, "-t", 1, "-ngl", "all", "-o", "json",
                                   env=with_gpu(memory=1 << 29)).out)[0]
        self.assertEqual((row["backends"], row["gpu_info"], row["n_gpu_layers"]), ("CUDA", "emulated GPU", LAYERS))
        self.assertGreater(row["gb_per_s_ceiling"], 0)
        table = cli.carat("bench", "-m", cli.STORIES, "-p", 4, "-n", 0, "-r", 1, "-t", 1, "-ngl", 1, env=with_gpu()).out
        self.assertIn(b"| CUDA,CPU", table)


if __name__ == "__main__":
    cli.main()
