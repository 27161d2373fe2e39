#include "engine/file/sbs_store.h"

#include <algorithm>
#include <set>

#include "engine/file/quote.h"
#include "engine/file/sbs.h"

namespace carat {

namespace {

struct Header {
  std::uint32_t blobs = 0;
  std::uint64_t file_bytes = 0;
};

Header read_header(ByteReader& in) {
  if (!is_sbs(in.take(kSbsMagic.size()))) in.fail("is not the header of an .sbs file");
  Header header;
  header.blobs = in.read<std::uint32_t>();
  header.file_bytes = in.read<std::uint64_t>();
  return header;
}

void check(const ByteReader& in, const Header& header, std::uint64_t size) {
  if (header.blobs == 0) in.fail("holds no blobs");
  if (header.blobs > kSbsMaxBlobs)
    in.fail("holds " + std::to_string(header.blobs) + " blobs, more than " + std::to_string(kSbsMaxBlobs));
  if (header.file_bytes != size)
    in.fail("says that the file has " + std::to_string(header.file_bytes) + " bytes, but it has " +
            std::to_string(size) + ": was it cut short?");
}

std::string read_key(ByteReader& in) {
  const auto bytes = in.take(kSbsKeyBytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string key(text.substr(0, text.find('\0')));
  if (!is_sbs_key(key) || text.find_first_not_of('\0', key.size()) != text.npos)
    in.fail("the key " + quote(text) + " is no name of 1 to 16 letters");
  return key;
}

}  // namespace

bool is_sbs_key(std::string_view key) {
  return !key.empty() && key.size() <= kSbsKeyBytes &&
         std::ranges::all_of(key, [](char c) { return c > ' ' && c < 127; });
}

const SbsBlob* SbsStore::find(std::string_view key) const {
  const auto found = std::ranges::find(blobs, key, &SbsBlob::key);
  return found == blobs.end() ? nullptr : &*found;
}

SbsStore read_sbs_store(std::span<const std::byte> bytes, const std::string& file) {
  SbsStore store;
  ByteReader in(bytes, file);
  Header header = read_header(in);
  store.version = header.blobs > 0 ? 1 : 2;
  std::uint64_t blobs_end = bytes.size();
  if (store.version == 2) {
    // What the first header says is the same in every file; the real one is the last of the file.
    if (bytes.size() < 2 * kSbsHeaderBytes) in.fail("ends before its directory: was it cut short?");
    in.skip(bytes.size() - 2 * kSbsHeaderBytes);
    header = read_header(in);
  }
  check(in, header, bytes.size());
  const std::uint64_t directory = kSbsDirectoryBytes * std::uint64_t{header.blobs};
  if (directory + 2 * kSbsHeaderBytes > bytes.size()) in.fail("has no room for a directory of its blobs");
  if (store.version == 2) blobs_end = bytes.size() - kSbsHeaderBytes - directory;

  in = ByteReader(bytes, file);
  in.skip(store.version == 2 ? blobs_end : kSbsHeaderBytes);
  std::set<std::string> keys;
  for (std::uint32_t i = 0; i < header.blobs; ++i) {
    store.blobs.push_back({read_key(in), {}});
    if (!keys.insert(store.blobs.back().key).second)
      in.fail("blob " + quote(store.blobs.back().key) + " appears twice");
  }
  std::uint64_t expected =
      store.version == 2 ? kSbsBlobAlignment : round_up(kSbsHeaderBytes + directory, kSbsBlobAlignment);
  for (SbsBlob& blob : store.blobs) {
    const auto offset = in.read<std::uint64_t>();
    if (offset != expected)
      in.fail("blob " + quote(blob.key) + " is at byte " + std::to_string(offset) + ", expected " +
              std::to_string(expected));
    const auto size = in.read<std::uint64_t>();
    if (size == 0) in.fail("blob " + quote(blob.key) + " is empty");
    if (offset > blobs_end || size > blobs_end - offset) in.fail("blob " + quote(blob.key) + " ends outside the file");
    blob.bytes = bytes.subspan(offset, size);
    expected = round_up(offset + size, kSbsBlobAlignment);
  }
  return store;
}

}  // namespace carat
