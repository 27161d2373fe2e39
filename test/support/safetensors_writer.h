// Small safetensors files, sound or not, and folders as Hugging Face has them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace carat::test {

inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Collects tensors and writes them; of those without values the file has only the room, as a hole.
class SafetensorsWriter {
 public:
  void add(const std::string& name, const std::vector<std::uint64_t>& shape, const std::vector<float>& values) {
    place(name, "F32", shape, 4);
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  void add_bf16(const std::string& name, const std::vector<std::uint64_t>& shape,
                const std::vector<std::uint16_t>& values) {
    place(name, "BF16", shape, 2);
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * 2);
  }
  void add_doubles(const std::string& name, const std::vector<std::uint64_t>& shape,
                   const std::vector<double>& values) {
    place(name, "F64", shape, 8);
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  }
  void add_hole(const std::string& name, const std::vector<std::uint64_t>& shape) { place(name, "BF16", shape, 2); }

  void write(const std::filesystem::path& path) const {
    const std::string header = header_.dump();
    write_file(path, safetensors_bytes(header, data_));
    std::filesystem::resize_file(path, 8 + header.size() + end_);
  }

 private:
  void place(const std::string& name, const char* dtype, const std::vector<std::uint64_t>& shape, std::uint64_t bytes) {
    for (const std::uint64_t dim : shape) bytes *= dim;
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {end_, end_ + bytes}}};
    end_ += bytes;
  }

  nlohmann::json header_;
  std::string data_;
  std::uint64_t end_ = 0;
};

}  // namespace carat::test
