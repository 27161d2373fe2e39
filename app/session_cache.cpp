#include "app/session_cache.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "app/crc32.h"
#include "app/log.h"
#include "app/user_path.h"
#include "engine/error.h"
#include "engine/file/byte_reader.h"
#include "engine/file/output_file.h"

namespace carat {
namespace {

// The file: magic, version, key, position, furthest (64 bits each but the first two), the ids of all positions, the
// parts of the cache, and the CRC-32 of all that is before it. Little-endian.
constexpr std::array<char, 8> kMagic = {'c', 'a', 'r', 'a', 't', '-', 'k', 'v'};
constexpr std::uint32_t kVersion = 1;

// FNV-1a, 64 bits.
class Hash {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) value_ = (value_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  }
  void add(std::uint64_t number) { add(std::as_bytes(std::span(&number, 1))); }
  void add(std::string_view text) {
    add(text.size());
    add(std::as_bytes(std::span(text)));
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

void add_tensor(Hash& hash, const FileTensor& tensor) {
  constexpr std::size_t kPlaces = 8, kBytes = 32;
  hash.add(tensor.name);
  hash.add(static_cast<std::uint64_t>(tensor.dtype));
  for (const std::uint64_t dim : tensor.dims) hash.add(dim);
  const auto bytes = tensor.bytes;
  for (std::size_t i = 0; i < kPlaces; ++i) {
    const auto rest = bytes.subspan(bytes.size() / kPlaces * i);
    hash.add(rest.first(std::min(kBytes, rest.size())));
  }
}

// Writes, and sums up what it writes.
class SummedFile {
 public:
  explicit SummedFile(const std::filesystem::path& path) : file_(path) {
    using std::filesystem::perms;
    std::filesystem::permissions(file_.unfinished(), perms::owner_read | perms::owner_write);
  }
  void write(std::span<const std::byte> bytes) {
    sum_ = crc32(sum_, bytes);
    file_.write(bytes);
  }
  void commit() {
    file_.write(std::as_bytes(std::span(&sum_, 1)));
    file_.commit();
  }

 private:
  OutputFile file_;
  std::uint32_t sum_ = 0;
};

std::size_t bytes_of(std::span<const Tensor> parts) {
  std::size_t bytes = 0;
  for (const Tensor& part : parts) bytes += byte_size(part);
  return bytes;
}

bool sum_is_right(std::span<const std::byte> whole) {
  std::uint32_t sum = 0;
  if (whole.size() < sizeof sum) return false;
  const auto summed = whole.first(whole.size() - sizeof sum);
  std::memcpy(&sum, whole.data() + summed.size(), sizeof sum);
  return sum == crc32(0, summed);
}

struct Header {
  std::uint64_t key = 0, position = 0, furthest = 0;
};

Header read_header(ByteReader& in) {
  std::array<char, kMagic.size()> magic;
  std::memcpy(magic.data(), in.take(magic.size()).data(), magic.size());
  if (magic != kMagic) throw BadFile("not a cache");
  if (in.read<std::uint32_t>() != kVersion) throw BadFile("of another version");
  Header header;
  header.key = in.read<std::uint64_t>();
  header.position = in.read<std::uint64_t>();
  header.furthest = in.read<std::uint64_t>();
  return header;
}

}  // namespace

std::filesystem::path cache_path(const std::filesystem::path& transcript) {
  std::filesystem::path path = transcript;
  return path += ".kv";
}

std::uint64_t cache_key(const OpenModel& model, std::string_view frame, const CacheTypes& types) {
  Hash hash;
  for (const FileTensor& tensor : model.files.file.tensors()) add_tensor(hash, tensor);
  const ModelConfig& config = model.model.config;
  hash.add(config.architecture);
  for (const auto& rope : config.ropes) {
    hash.add(std::bit_cast<std::uint64_t>(rope.base));
    hash.add(std::bit_cast<std::uint64_t>(rope.factor));
  }
  for (const LayerConfig& layer : config.layers) hash.add(layer.window);
  hash.add(frame);
  hash.add(static_cast<std::uint64_t>(types.k));
  hash.add(static_cast<std::uint64_t>(types.v));
  return hash.value();
}

void save_cache(const std::filesystem::path& path, const Session& session, std::span<const TokenId> ids,
                std::uint64_t key) try {
  SummedFile file(path);
  const auto write = [&file](auto value) { file.write(std::as_bytes(std::span(&value, 1))); };
  write(kMagic);
  write(kVersion);
  write(key);
  write(std::uint64_t{session.position()});
  write(std::uint64_t{session.furthest()});
  file.write(std::as_bytes(ids.first(session.position())));
  std::vector<std::byte> bytes;
  for (const Tensor& part : session.cache_parts(session.furthest())) {
    bytes.resize(byte_size(part));
    session.copy_out(bytes, part);
    file.write(bytes);
  }
  file.commit();
} catch (const std::filesystem::filesystem_error& e) {
  throw Error(path.string() + ": cannot be written: " + e.code().message());
}

std::vector<TokenId> read_cache(std::span<const std::byte> whole, Session& session, std::uint64_t key,
                                std::size_t vocabulary) {
  ByteReader in(whole, "cache");
  const Header header = read_header(in);
  if (header.key != key) throw BadFile("of another model, template or type of cache");
  if (!sum_is_right(whole)) throw BadFile("damaged, or cut short");
  const bool fits = header.position <= header.furthest && header.furthest <= session.context();
  if (!fits) throw BadFile("of a larger context");
  if (header.position > in.remaining() / sizeof(TokenId)) throw BadFile("cut short");
  std::vector<TokenId> ids(header.position);
  const auto id_bytes = in.take(ids.size() * sizeof(TokenId));
  std::ranges::copy(id_bytes, std::as_writable_bytes(std::span(ids)).begin());
  const std::vector<Tensor> parts = session.cache_parts(header.furthest);
  if (in.remaining() != bytes_of(parts) + sizeof(std::uint32_t)) throw BadFile("of another context or batch");
  const auto known = [vocabulary](TokenId id) { return id >= 0 && static_cast<std::size_t>(id) < vocabulary; };
  if (!std::ranges::all_of(ids, known)) throw BadFile("of another vocabulary");
  std::vector<std::span<const std::byte>> contents;
  for (const Tensor& part : parts) contents.push_back(in.take(byte_size(part)));
  session.resume(header.position, header.furthest, contents);
  return ids;
}

std::vector<TokenId> load_cache(const std::filesystem::path& path, Session& session, std::uint64_t key,
                                std::size_t vocabulary) {
  if (!is_there(path)) return {};
  try {
    const MappedFile file = MappedFile::open(path);
    return read_cache(file.bytes(), session, key, vocabulary);
  } catch (const Error& e) {
    log_note(path.string() + ": is left unused: " + e.what());
    return {};
  }
}

}  // namespace carat
