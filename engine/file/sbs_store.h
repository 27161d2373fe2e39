// The container of `.sbs` files: blobs by name ("BlobStore").
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/byte_reader.h"

namespace carat {

inline constexpr std::uint64_t kSbsBlobAlignment = 256;
inline constexpr std::uint64_t kSbsFileAlignment = 65536;
inline constexpr std::size_t kSbsKeyBytes = 16;
inline constexpr std::size_t kSbsMaxBlobs = 16384;
inline constexpr std::size_t kSbsHeaderBytes = 16;     // magic, u32 number of blobs, u64 size of the file
inline constexpr std::size_t kSbsDirectoryBytes = 32;  // of each blob: key, u64 offset, u64 size

// What blobs can be called: 1 to 16 letters of ASCII.
bool is_sbs_key(std::string_view key);

inline constexpr std::string_view kSbsNoTokenizer = "unavailable";  // the blob `tokenizer` of a file without one

struct SbsBlob {
  std::string key;
  std::span<const std::byte> bytes;
};

struct SbsStore {
  std::uint32_t version = 0;  // 1: the directory comes first; 2, since July 2025: last
  std::vector<SbsBlob> blobs;

  const SbsBlob* find(std::string_view key) const;  // null if missing
};

// Verifies all that the directory says: where each blob lies follows from the sizes before it. Throws BadFile.
SbsStore read_sbs_store(std::span<const std::byte> bytes, const std::string& file);

}  // namespace carat
