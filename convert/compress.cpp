#include "convert/compress.h"

#include <algorithm>
#include <numeric>

#include "convert/conversion.h"
#include "engine/file/output_file.h"

namespace carat {

namespace {

// "blk.7.ffn_down.weight" -> "blk.*.ffn_down.weight", "qkv_ein_7" -> "qkv_ein_*"
std::string kind_of(const std::string& name) {
  constexpr std::string_view kPrefix = "blk.";
  const std::size_t number = name.find_last_not_of("0123456789");
  const bool is_numbered = number != std::string::npos && number + 1 < name.size();
  if (is_numbered && name[number] == '_') return name.substr(0, number + 1) + "*";  // of an .sbs file
  if (!name.starts_with(kPrefix)) return name;
  const std::size_t end = name.find('.', kPrefix.size());
  return end == std::string::npos ? name : "blk.*" + name.substr(end);
}

void unscale(Distortion& distortion, float scale) {
  const double square = static_cast<double>(scale) * static_cast<double>(scale);
  distortion.squares *= square;
  distortion.misses *= square;
  distortion.worst *= static_cast<double>(scale);
}

}  // namespace

void CompressReport::add(const PlannedTensor& planned, const Distortion& distortion) {
  const std::string kind = kind_of(planned.tensor.name);
  auto group =
      std::ranges::find_if(groups, [&](const TensorGroup& g) { return g.name == kind && g.type == planned.type; });
  if (group == groups.end()) group = groups.insert(groups.end(), {kind, planned.type, 0, 0, 0, {}});
  ++group->tensors;
  group->bytes_before += planned.tensor.bytes();
  group->bytes_after += planned.bytes;
  group->distortion.add(distortion);
}

TensorGroup CompressReport::total() const {
  TensorGroup sum{"", DType::f32, 0, 0, 0, {}};
  for (const TensorGroup& group : groups) {
    sum.tensors += group.tensors;
    sum.bytes_before += group.bytes_before;
    sum.bytes_after += group.bytes_after;
    sum.distortion.add(group.distortion);
  }
  return sum;
}

std::uint64_t source_bytes(std::span<const PlannedTensor> plan) {
  return std::accumulate(plan.begin(), plan.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const PlannedTensor& planned) { return sum + planned.tensor.bytes(); });
}

Conversion::Conversion(const std::vector<PlannedTensor>& plan, const CompressOptions& options)
    : plan_(plan),
      options_(options),
      encoder_(options.threads, options.isa, options.stop,
               [this](std::uint64_t bytes) {
                 done_ += bytes;
                 if (options_.progress) options_.progress(done_);
               }),
      digests_(plan.size()) {}

void Conversion::encode(std::size_t i, const ByteSink& sink, float scale) {
  Distortion distortion = encoder_.encode(plan_[i].tensor, plan_[i].type, digests_[i].passing(sink));
  unscale(distortion, scale);
  report_.add(plan_[i], distortion);
}

CompressReport Conversion::finish(const std::filesystem::path& target,
                                  const std::function<void(const ByteSink&)>& write, const Open& open) && {
  OutputFile out(target, options_.existing);
  write([&](std::span<const std::byte> bytes) { out.write(bytes); });
  if (options_.verify) {
    const Find find = open(out.unfinished(), target.string());
    for (std::size_t i = 0; i < plan_.size(); ++i)
      verify_tensor(plan_[i].tensor.name, find(plan_[i]), digests_[i], target, options_.stop);
  }
  out.commit();
  report_.file_bytes = out.position();
  return std::move(report_);
}

}  // namespace carat
