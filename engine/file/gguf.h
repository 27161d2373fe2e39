// GGUF versions 2 and 3, reader and writer. Specification: docs/gguf.md of ggml.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/file/mapped_file.h"
#include "engine/file/model_file.h"
#include "engine/file/value.h"

namespace carat {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr std::uint32_t kGgufVersion = 3;      // what we write
inline constexpr std::uint64_t kGgufAlignment = 32;   // without general.alignment
inline constexpr std::size_t kGgufMaxNameBytes = 64;  // of a tensor
inline constexpr std::size_t kGgufMaxKeyBytes = 65535;

bool is_gguf(std::span<const std::byte> bytes);

// Reads and verifies; throws BadFile, or Unsupported for what a sound file may hold and we do not know. Given any part
// of a set PREFIX-00001-of-0000N.gguf, opens the whole set.
ModelFile read_gguf(MappedFile file, const std::filesystem::path& path);

// The same for one file in memory. The bytes outlive the result.
ModelFile parse_gguf(std::span<const std::byte> bytes, const std::string& name);

// Collects keys and tensors, then writes them in the order of their arrival, tensors back to back.
class GgufWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  using Source = std::function<void(const Sink&)>;  // hands a tensor's bytes to the sink, in as many pieces as it likes

  // Replaces an earlier value of the key. general.alignment, a u32, aligns the file so: set it before any tensor.
  void set(std::string_view key, const Value& value);

  // Takes a key back; one that is not there is fine.
  void unset(std::string_view key);

  // T is a type of Value: numbers, bool or std::string_view.
  template <class T>
  void set_array(std::string_view key, const std::vector<T>& items) {
    ByteWriter packed;
    for (const T item : items) write_value(packed, Value(item));
    set(key, ValueArray{kValueType<T>, items.size(), packed.bytes()});
  }

  // dims[0] is the length of a row. `source` is called while writing.
  void add_tensor(std::string name, DType dtype, const std::vector<std::uint64_t>& dims, Source source);

  // The bytes outlive the writing.
  void add_tensor(std::string name, DType dtype, const std::vector<std::uint64_t>& dims,
                  std::span<const std::byte> bytes);

  // Writes `target` whole or not at all. Throws Error.
  void write(const std::filesystem::path& target) const;
  void write(const Sink& sink) const;

 private:
  struct Pending {
    FileTensor tensor;  // all but its bytes
    std::uint64_t size;
    Source source;
  };

  std::vector<std::byte> header() const;  // up to the first tensor's data

  std::vector<std::pair<std::string, std::vector<std::byte>>> values_;  // key; type and value as in the file
  std::unordered_map<std::string, std::size_t> places_;                 // of keys in it
  std::vector<Pending> tensors_;
  std::uint64_t alignment_ = kGgufAlignment;
  std::uint64_t data_size_ = 0;
};

}  // namespace carat
