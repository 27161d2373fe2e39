// What an `.sbs` file of any generation holds, under the names of today's, verified and not interpreted.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/sbs.h"
#include "engine/file/sbs_unpack.h"

namespace carat {

struct SbsContents {
  struct Item {
    SbsTensor tensor;
    std::span<const std::byte> bytes;
    NuqLayout layout = NuqLayout::by_group;  // of nuq
  };

  std::uint32_t version = 0;   // of the container
  SbsConfig config;            // of files without one: of the model that their tensors fit
  bool has_directory = true;   // files of before 2025 have none
  std::string_view tokenizer;  // a SentencePiece model; empty if the file has none
  std::vector<Item> tensors;
  std::vector<std::string> unread;  // names without a shape: what is not text in a file without a directory
};

// The bytes outlive the result. Throws BadFile and Unsupported.
SbsContents read_sbs_contents(std::span<const std::byte> bytes, const std::string& file);

// What read_sbs() makes of them. `bytes` are those of the whole file, `mapping` is what keeps them, or empty. Matrices
// of f32 may lie at any address. Throws BadFile and Unsupported.
ModelFile assemble_sbs(const SbsContents& contents, MappedFile mapping, std::span<const std::byte> bytes,
                       const std::string& file);

}  // namespace carat
