#include "engine/synthetic.h"

#include <cmath>
#include <map>

#include "engine/session.h"
#include "kernels/quant/codecs.h"
#include "test/support/catch.h"

using namespace carat;

namespace {

constexpr Preset kTiny = {"tiny", "gemma3", 2, 256, 512, 4, 2, 64, 1200, 512, 8, 1e6f};

std::vector<FileTensor> tensors_of(const Preset& preset, DType matrices) {
  std::vector<FileTensor> tensors = preset_tensors(preset);
  for (FileTensor& tensor : tensors)
    if (tensor.n_dims == 2) tensor.dtype = matrices;
  return tensors;
}

std::uint64_t parameters(const Preset& preset) {
  std::uint64_t sum = 0;
  for (const FileTensor& tensor : preset_tensors(preset)) sum += tensor.dims[0] * tensor.dims[1];
  return sum;
}

}  // namespace

TEST_CASE("each preset has as many parameters as its model is known to have", "[preset]") {
  const std::map<std::string_view, std::uint64_t> known = {
      {"gemma-2b", 2506172416},     {"gemma-7b", 8537680896},    {"gemma2-2b", 2614341888},
      {"gemma2-9b", 9241705984},    {"gemma2-27b", 27227128320}, {"gemma3-270m", 268098176},
      {"gemma3-1b", 999885952},     {"gemma3-4b", 3880263168},   {"gemma3-12b", 11766034176},
      {"gemma3-27b", 27009346304},  {"llama2-7b", 6738415616},   {"llama3.1-8b", 8030261248},
      {"llama3.2-1b", 1235814400},  {"llama3.2-3b", 3212749824}, {"qwen2.5-0.5b", 494032768},
      {"qwen2.5-1.5b", 1543714304}, {"qwen2.5-3b", 3085938688},  {"qwen2.5-7b", 7615616512},
      {"qwen3-0.6b", 596049920},    {"qwen3-1.7b", 1720574976},  {"qwen3-4b", 4022468096},
      {"qwen3-8b", 8190735360}};
  CHECK(presets().size() == known.size());
  for (const Preset& preset : presets()) {
    INFO(preset.name);
    CHECK(parameters(preset) == known.at(preset.name));
  }
}

TEST_CASE("a preset is found in any case, and nothing else is", "[preset]") {
  REQUIRE(find_preset("Gemma3-1B") != nullptr);
  CHECK(find_preset("Gemma3-1B")->layers == 26);
  CHECK(find_preset("gemma3-1") == nullptr);
  CHECK(find_preset("") == nullptr);
}

TEST_CASE("a made-up model of every preset's architecture loads and its logits are numbers", "[synthetic]") {
  for (const char* architecture : {"gemma", "gemma2", "gemma3", "llama", "qwen2", "qwen3"}) {
    for (const bool tied : {false, true}) {
      Preset preset = kTiny;
      preset.architecture = architecture;
      preset.tied = tied;
      const SyntheticModel made = make_synthetic(preset, preset_tensors(preset));
      const Model model = load_model(made.file, make_cpu_backend({}));
      INFO(architecture);
      CHECK(model.weights.unused.empty());
      CHECK(model.config.vocabulary == preset.vocabulary);
      Session session(model, {16, 16});
      for (const float logit : session.feed(std::vector<TokenId>{5, 1199, 7, 0, 800})) REQUIRE(std::isfinite(logit));
    }
  }
}

TEST_CASE("made-up weights of every type are ordinary numbers", "[synthetic]") {
  for (const DTypeInfo& type : kDTypes) {
    INFO(type.name);
    const SyntheticModel made = make_synthetic(kTiny, tensors_of(kTiny, type.id));
    for (const FileTensor& tensor : made.file.tensors()) {
      const Tensor matrix = as_matrix(tensor);
      std::vector<float> row(matrix.cols);
      double squares = 0;
      std::size_t odd = 0;
      for (std::size_t r = 0; r < matrix.rows; ++r) {
        dequantize_row(matrix.dtype, row_view(matrix, r, 1).where, row.data(), row.size());
        for (const float value : row) {
          odd += value != 0 && !std::isnormal(value);
          squares += static_cast<double>(value) * static_cast<double>(value);
        }
      }
      CHECK(odd == 0);
      if (tensor.n_dims != 2) continue;
      const double expected = static_cast<double>(matrix.rows);  // of each row, 1
      CHECK(squares == Approx(expected).epsilon(0.15));
    }
  }
}

TEST_CASE("rows of a matrix that is cut from a pool differ", "[synthetic]") {
  Preset preset = kTiny;
  preset.vocabulary = 5000;  // of 256: five times the pool
  const SyntheticModel made = make_synthetic(preset, tensors_of(preset, DType::q4_0));
  const Tensor embed = as_matrix(made.file.need("token_embd.weight"));
  std::map<std::string, std::size_t> rows;
  for (std::size_t r = 0; r < embed.rows; ++r)
    ++rows[{static_cast<const char*>(row_view(embed, r, 1).where), row_bytes(DType::q4_0, 256)}];
  CHECK(rows.size() > 3000);
}

TEST_CASE("made-up weights depend on the seed and nothing else", "[synthetic]") {
  const auto bytes = [](std::uint64_t seed) {
    const SyntheticModel made = make_synthetic(kTiny, tensors_of(kTiny, DType::q8_0), seed);
    return std::vector<std::byte>(made.memory.bytes().begin(), made.memory.bytes().end());
  };
  CHECK(bytes(1) == bytes(1));
  CHECK(bytes(1) != bytes(2));
}
