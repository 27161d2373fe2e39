#include <algorithm>
#include <bit>
#include <cassert>
#include <stdexcept>

#include "engine/file/byte_writer.h"
#include "engine/file/gguf.h"
#include "engine/file/output_file.h"

namespace carat {

namespace {

// Gives the sink what the source makes, which is as much as was promised: a file with a hole in it must not be kept.
void pass_on(const GgufWriter::Source& source, const GgufWriter::Sink& sink, const std::string& name,
             std::uint64_t size) {
  std::uint64_t passed = 0;
  source([&](std::span<const std::byte> bytes) {
    passed += bytes.size();
    sink(bytes);
  });
  if (passed != size)
    throw std::logic_error("tensor '" + name + "': " + std::to_string(passed) + " bytes were written, expected " +
                           std::to_string(size));
}

}  // namespace

void GgufWriter::set(std::string_view key, const Value& value) {
  assert(!key.empty() && key.size() <= kGgufMaxKeyBytes);
  if (key == "general.alignment") {
    assert(tensors_.empty());
    alignment_ = std::get<std::uint32_t>(value);
    assert(std::has_single_bit(alignment_) && alignment_ >= 8);
  }
  ByteWriter out;
  out.write(static_cast<std::uint32_t>(value.index()));
  write_value(out, value);
  const auto [place, is_new] = places_.try_emplace(std::string(key), values_.size());
  if (is_new) values_.emplace_back(key, std::vector<std::byte>());
  values_[place->second].second = std::move(out).finish();
}

void GgufWriter::unset(std::string_view key) {
  const auto place = places_.find(std::string(key));
  if (place == places_.end()) return;
  const std::size_t gone = place->second;
  values_.erase(values_.begin() + static_cast<std::ptrdiff_t>(gone));
  places_.erase(place);
  for (auto& [name, at] : places_)
    if (at > gone) --at;
}

void GgufWriter::add_tensor(std::string name, DType dtype, const std::vector<std::uint64_t>& dims, Source source) {
  FileTensor tensor{std::move(name), dtype, {1, 1, 1, 1}, dims.size(), data_size_, {}};
  assert(!tensor.name.empty() && tensor.name.size() <= kGgufMaxNameBytes);
  assert(dims.size() <= tensor.dims.size() && info(dtype).gguf);
  std::ranges::copy(dims, tensor.dims.begin());
  assert(tensor.dims[0] % info(dtype).block == 0);
  const std::uint64_t size = byte_size(as_matrix(tensor));
  data_size_ += round_up(size, alignment_);
  tensors_.push_back({std::move(tensor), size, std::move(source)});
}

void GgufWriter::add_tensor(std::string name, DType dtype, const std::vector<std::uint64_t>& dims,
                            std::span<const std::byte> bytes) {
  add_tensor(std::move(name), dtype, dims, [bytes](const Sink& sink) { sink(bytes); });
}

std::vector<std::byte> GgufWriter::header() const {
  ByteWriter out;
  out.put(std::as_bytes(std::span(kGgufMagic)));
  out.write(kGgufVersion);
  out.write(std::uint64_t{tensors_.size()});
  out.write(std::uint64_t{values_.size()});
  for (const auto& [key, value] : values_) {
    out.write_text(key);
    out.put(value);
  }
  for (const Pending& pending : tensors_) {
    const FileTensor& tensor = pending.tensor;
    out.write_text(tensor.name);
    out.write(static_cast<std::uint32_t>(tensor.n_dims));
    for (std::size_t i = 0; i < tensor.n_dims; ++i) out.write(tensor.dims[i]);
    out.write(info(tensor.dtype).gguf.value());
    out.write(tensor.offset);
  }
  out.pad(alignment_);
  return std::move(out).finish();
}

void GgufWriter::write(const Sink& sink) const {
  sink(header());
  for (const Pending& pending : tensors_) {
    pass_on(pending.source, sink, pending.tensor.name, pending.size);
    const std::vector<std::byte> padding(round_up(pending.size, alignment_) - pending.size);
    if (!padding.empty()) sink(padding);
  }
}

void GgufWriter::write(const std::filesystem::path& target) const {
  OutputFile out(target);
  write([&](std::span<const std::byte> bytes) { out.write(bytes); });
  out.commit();
}

}  // namespace carat
