// GGUF: header, keys, tensors, the network and the tokenizer they describe.
#include <algorithm>
#include <limits>
#include <variant>

#include "test/fuzz/model_target.h"
#include "test/support/tiny_model.h"

namespace carat::fuzz {
namespace {

void add_vocabulary(GgufWriter& writer, std::size_t size, bool merged) {
  std::vector<std::string> pieces = {"<unk>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>", "a", "b", "ab"};
  while (pieces.size() < size) pieces.push_back("t" + std::to_string(pieces.size()));
  std::vector<std::int32_t> kinds(size, 1);
  kinds[0] = 2;
  kinds[1] = kinds[2] = kinds[3] = kinds[4] = 3;
  writer.set("tokenizer.ggml.model", std::string_view(merged ? "gpt2" : "llama"));
  writer.set_array("tokenizer.ggml.tokens", std::vector<std::string_view>(pieces.begin(), pieces.end()));
  writer.set_array("tokenizer.ggml.token_type", kinds);
  if (merged) {
    writer.set("tokenizer.ggml.pre", std::string_view("qwen2"));
    writer.set_array<std::string_view>("tokenizer.ggml.merges", {"a b"});
  } else {
    writer.set_array("tokenizer.ggml.scores", std::vector<float>(size, -1));
  }
  writer.set("tokenizer.chat_template", std::string_view("<start_of_turn>user\n{{ content }}<end_of_turn>"));
}

Bytes seed(const char* architecture, DType dtype) {
  test::TinyShape shape;
  shape.architecture = architecture;
  shape.layers = 1;
  shape.width = shape.hidden = info(dtype).block > 32 ? 256 : 32;
  shape.heads = 2;
  shape.kv_heads = 1;
  shape.head_dim = shape.width / 2;
  shape.vocabulary = 12;
  shape.dtype = dtype;
  test::TinyModelWriter model(shape);
  add_vocabulary(model.writer(), shape.vocabulary, shape.architecture == "qwen2");
  return model.bytes();
}

// A number that is as likely to be just wrong as far out.
template <class T>
T changed(T value, std::mt19937& random) {
  const T kMax = std::numeric_limits<T>::max(), kMin = std::numeric_limits<T>::lowest();
  const T choices[] = {T{0},
                       T{1},
                       T{2},
                       kMax,
                       kMin,
                       static_cast<T>(value + 1),
                       static_cast<T>(value - 1),
                       static_cast<T>(value * 2),
                       static_cast<T>(value / 2),
                       static_cast<T>(random())};
  return one_of<T>(choices, random);
}

Value changed_value(const Value& value, std::mt19937& random) {
  return std::visit(
      [&]<class T>(const T& v) -> Value {
        if constexpr (std::is_same_v<T, bool>)
          return !v;
        else if constexpr (std::is_arithmetic_v<T>)
          return changed(v, random);
        else if constexpr (std::is_same_v<T, std::string_view>) {
          constexpr std::string_view kTexts[] = {"", "llama", "gemma3", "qwen3", "none", "linear", "yarn", "\xff"};
          return one_of<std::string_view>(kTexts, random);
        } else {
          ValueArray shorter = v;  // one element fewer by count: the bytes are the writer's business
          shorter.count = random() % 2 == 0 ? shorter.count : shorter.count / 2;
          return shorter;
        }
      },
      value);
}

// Other lengths for one of the dimensions, with as many bytes as that takes.
void reshape(std::vector<std::uint64_t>& dims, DType dtype, Bytes& bytes, std::mt19937& random) {
  const std::size_t which = random() % dims.size();
  const std::uint64_t step = which == 0 ? info(dtype).block : 1;
  const std::uint64_t steps = dims[which] / step;
  dims[which] = step * (random() % 2 == 0 ? steps / 2 + 1 : 1 + random() % (2 * steps + 1));
  std::uint64_t rows = 1;
  for (std::size_t i = 1; i < dims.size(); ++i) rows *= dims[i];
  bytes.resize(rows * row_bytes(dtype, dims[0]));
}

}  // namespace

void run(std::span<const std::byte> input) {
  run_model(input, [](auto bytes, const char* name) { return parse_gguf(bytes, name); });
}

std::vector<Bytes> seeds() {
  return {seed("llama", DType::f16),  seed("qwen2", DType::q8_0),  seed("qwen3", DType::q4_0),
          seed("gemma", DType::bf16), seed("gemma2", DType::q4_k), seed("gemma3", DType::q6_k)};
}

// One key changed or dropped, or one tensor renamed, reshaped or given another type; the rest is written as it was.
Bytes mutated(std::span<const std::byte> input, std::mt19937& random) try {
  const ModelFile file = parse_gguf(input, "input");
  const std::size_t keys = file.metadata().entries().size(), tensors = file.tensors().size();
  if (keys + tensors == 0) return {};
  const std::size_t chosen = random() % (keys + tensors);
  GgufWriter writer;
  std::size_t at = 0;
  for (const Metadata::Entry& entry : file.metadata().entries()) {
    const bool is_chosen = at++ == chosen;
    if (is_chosen && random() % 4 == 0) continue;
    const bool kept = !is_chosen || entry.key == "general.alignment";  // our writer has its own
    writer.set(entry.key, kept ? entry.value : changed_value(entry.value, random));
  }
  std::vector<Bytes> reshaped(tensors);  // room for those that are larger than they were
  for (const FileTensor& tensor : file.tensors()) {
    std::vector<std::uint64_t> dims(tensor.dims.begin(), tensor.dims.begin() + static_cast<long>(tensor.n_dims));
    Bytes& bytes = reshaped[&tensor - file.tensors().data()];
    bytes.assign(tensor.bytes.begin(), tensor.bytes.end());
    if (at++ == chosen && !dims.empty()) reshape(dims, tensor.dtype, bytes, random);
    writer.add_tensor(tensor.name, tensor.dtype, dims, bytes);
  }
  Bytes out;
  writer.write([&](std::span<const std::byte> part) { out.insert(out.end(), part.begin(), part.end()); });
  return out;
} catch (const std::exception&) {
  return {};
}

}  // namespace carat::fuzz
