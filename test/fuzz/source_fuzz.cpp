// Whatever compress-weights reads: files of every format, taken as far as their tensors' rows.
#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "convert/safetensors.h"
#include "convert/source.h"
#include "engine/error.h"
#include "test/fuzz/target.h"
#include "test/support/tiny_model.h"
#include "test/support/tiny_sbs.h"

namespace carat::fuzz {
namespace {

// A file in memory, which has a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes) : file_(::memfd_create("fuzz", 0)) {
    (void)!::write(file_, bytes.data(), bytes.size());
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(file_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

Bytes safetensors_of(const std::string& header, std::span<const std::byte> data) {
  const std::uint64_t length = header.size();
  Bytes all(sizeof length);
  std::memcpy(all.data(), &length, sizeof length);
  const Bytes text = bytes_of(header);
  for (const auto part : {std::span<const std::byte>(text), data}) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Bytes safetensors() {
  const nlohmann::json header = {{"a.weight", {{"dtype", "F32"}, {"shape", {2, 3}}, {"data_offsets", {0, 24}}}},
                                 {"b.weight", {{"dtype", "BF16"}, {"shape", {4}}, {"data_offsets", {24, 32}}}}};
  return safetensors_of(header.dump(), Bytes(32, std::byte{1}));
}

// Empty if the input is no such file.
Bytes mutated_safetensors(std::span<const std::byte> input, std::mt19937& random) {
  std::uint64_t length = 0;
  std::memcpy(&length, input.data(), sizeof length);
  const auto rest = input.subspan(sizeof length);
  if (length > rest.size()) return {};
  nlohmann::json header = nlohmann::json::parse(text_of(rest.first(length)), nullptr, false);
  if (!header.is_object() || header.empty()) return {};
  const auto entry = std::next(header.begin(), static_cast<std::ptrdiff_t>(random() % header.size()));
  const auto number = [&]() -> std::uint64_t {
    const std::uint64_t choices[] = {0, 1, 2, 3, 4, 8, rest.size() - length, std::uint64_t{1} << 32, UINT64_MAX};
    return one_of<std::uint64_t>(choices, random);
  };
  constexpr std::string_view kTypes[] = {"F32", "F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", ""};
  const nlohmann::json fields[][2] = {{"shape", {number(), number()}},
                                      {"shape", nlohmann::json::array()},
                                      {"shape", {number(), number(), number()}},
                                      {"data_offsets", {number(), number()}},
                                      {"data_offsets", {0, number()}},
                                      {"dtype", one_of<std::string_view>(kTypes, random)},
                                      {"dtype", nullptr}};
  const auto& [name, value] = fields[random() % std::size(fields)];
  if (entry->is_object()) (*entry)[name.get<std::string>()] = value;
  return safetensors_of(header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), rest.subspan(length));
}

// llama2.c's first header: seven numbers, then the weights.
Bytes checkpoint() {
  const std::int32_t header[] = {8, 16, 1, 2, 2, 10, 4};  // width, hidden, layers, heads, kv heads, words, context
  Bytes all(sizeof header + 4 * 4096);
  std::memcpy(all.data(), header, sizeof header);
  return all;
}

}  // namespace

void run(std::span<const std::byte> input) {
  try {
    parse_safetensors(input, "input");
  } catch (const Error&) {
  }
  if (input.empty()) return;
  try {
    const MemoryFile file(input);
    const ModelSource source = open_source(file.path());
    for (const SourceTensor& tensor : source.tensors) {
      if (tensor.rows() == 0 || tensor.cols() > input.size()) continue;
      std::vector<float> row(tensor.cols());
      tensor.read(tensor.rows() - 1, 1, row.data());
    }
  } catch (const Error&) {
  }
}

std::vector<Bytes> seeds() {
  return {safetensors(), checkpoint(), bytes_of("a 1 2\n" + std::string(8, '\0')),
          test::TinyModelWriter({.layers = 1, .width = 32, .hidden = 32}).bytes(),
          test::sbs_v2(test::tiny_sbs_blobs())};
}

// A field of an entry of a safetensors header; of any other file a digit of a text header, or a number of a binary one.
Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  if (input.size() < 8) return {};
  if (Bytes file = mutated_safetensors(input, random); !file.empty()) return file;
  Bytes changed(input.begin(), input.end());
  const std::size_t at = random() % std::min<std::size_t>(changed.size(), 256);
  changed[at] = static_cast<std::byte>(random() % 2 == 0 ? '0' + random() % 10 : random() % 256);
  return changed;
}

}  // namespace carat::fuzz
