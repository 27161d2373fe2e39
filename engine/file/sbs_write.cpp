#include <algorithm>
#include <array>
#include <cassert>
#include <stdexcept>

#include "engine/error.h"
#include "engine/file/byte_writer.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"
#include "engine/file/sbs_store.h"
#include "engine/file/sbs_toc.h"

namespace carat {

namespace {

// What the first header says in every file: no blobs, one block. It marks the second kind of store.
constexpr std::uint64_t kFirstHeaderBytes = kSbsFileAlignment;

void write_header(ByteWriter& out, std::size_t blobs, std::uint64_t file_bytes) {
  out.put(std::as_bytes(std::span(kSbsMagic)));
  out.write(static_cast<std::uint32_t>(blobs));
  out.write(file_bytes);
}

// Hands blobs on as they come, and remembers where they lie for the directory at the end.
class StoreWriter {
 public:
  explicit StoreWriter(const SbsWriter::Sink& sink) : sink_(sink) {
    ByteWriter header;
    write_header(header, 0, kFirstHeaderBytes);
    header.pad(kSbsBlobAlignment);
    pass(header.bytes());
  }

  void add(const std::string& key, std::span<const std::byte> bytes) {
    add(key, bytes.size(), [bytes](const SbsWriter::Sink& sink) { sink(bytes); });
  }

  void add(const std::string& key, std::uint64_t size, const SbsWriter::Source& source) {
    assert(is_sbs_key(key) && size > 0);
    entries_.push_back({key, position_, size});
    source([&](std::span<const std::byte> bytes) { pass(bytes); });
    if (position_ - entries_.back().offset != size)  // a file with a hole in it must not be kept
      throw std::logic_error("blob '" + key + "': " + std::to_string(position_ - entries_.back().offset) +
                             " bytes were written, expected " + std::to_string(size));
    pad_to(round_up(position_, kSbsBlobAlignment));
  }

  // The directory is flush with the end, but counts as a whole number of blocks in the size of the file.
  void finish() {
    const std::uint64_t directory = kSbsHeaderBytes + kSbsDirectoryBytes * entries_.size();
    const std::uint64_t size = round_up(position_ + round_up(directory, kSbsBlobAlignment), kSbsFileAlignment);
    pad_to(size - directory);
    ByteWriter out;
    for (const Entry& entry : entries_) {
      out.put(std::as_bytes(std::span(entry.key)));
      out.pad(kSbsKeyBytes);
    }
    for (const Entry& entry : entries_) {
      out.write(entry.offset);
      out.write(entry.size);
    }
    write_header(out, entries_.size(), size);
    pass(out.bytes());
  }

 private:
  struct Entry {
    std::string key;
    std::uint64_t offset, size;
  };

  void pass(std::span<const std::byte> bytes) {
    position_ += bytes.size();
    sink_(bytes);
  }
  void pad_to(std::uint64_t position) {
    if (position > position_) pass(std::vector<std::byte>(position - position_));
  }

  const SbsWriter::Sink& sink_;
  std::vector<Entry> entries_;
  std::uint64_t position_ = 0;
};

// The order of gemma.cpp's types by the bits of an element.
int bits(SbsType type) { return type == SbsType::f32 ? 32 : type == SbsType::bf16 ? 16 : type == SbsType::nuq ? 4 : 8; }

}  // namespace

SbsWriter::SbsWriter(SbsConfig config) : config_(std::move(config)) {}

void SbsWriter::add_tensor(SbsTensor tensor, Source source) {
  assert(tensor.scale > 0);
  constexpr std::array<std::string_view, 3> kOwn = {"config", "tokenizer", "toc"};
  if (!is_sbs_key(tensor.name) || std::ranges::find(kOwn, tensor.name) != kOwn.end())
    throw Unsupported("tensor " + quote(tensor.name) + ": nothing in an .sbs file can have this name");
  if (tensors_.size() + kOwn.size() == kSbsMaxBlobs)
    throw Unsupported("an .sbs file has no room for " + std::to_string(kSbsMaxBlobs) + " tensors");
  const std::uint64_t size = sbs_bytes(tensor.type, std::uint64_t{tensor.rows} * tensor.cols);
  // gemma.cpp refuses a file whose configuration does not name the smallest type, the first of equals.
  if (tensors_.empty() || bits(tensor.type) < bits(config_.weight)) config_.weight = tensor.type;
  tensors_.push_back({std::move(tensor), size, std::move(source)});
}

void SbsWriter::add_tensor(SbsTensor tensor, std::span<const std::byte> bytes) {
  add_tensor(std::move(tensor), [bytes](const Sink& sink) { sink(bytes); });
}

void SbsWriter::set_tokenizer(std::string_view model) { tokenizer_ = model; }

void SbsWriter::write(const Sink& sink) const {
  StoreWriter store(sink);
  std::vector<SbsTensor> directory;
  for (const Pending& pending : tensors_) {
    store.add(pending.tensor.name, pending.size, pending.source);
    directory.push_back(pending.tensor);
  }
  const std::string_view tokenizer = tokenizer_.empty() ? kSbsNoTokenizer : tokenizer_;
  store.add("config", serialise(config_));
  store.add("tokenizer", std::as_bytes(std::span(tokenizer)));
  store.add("toc", serialise_sbs_toc(directory));
  store.finish();
}

}  // namespace carat
