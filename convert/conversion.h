// What the writing of any kind of file begins and ends with: encoding, counting, verifying, putting in place.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "convert/compress.h"
#include "convert/encoder.h"
#include "convert/verify.h"

namespace carat {

class Conversion {
 public:
  // Both outlive it.
  Conversion(const std::vector<PlannedTensor>& plan, const CompressOptions& options);

  Encoder& encoder() { return encoder_; }

  // Hands the i-th tensor of the plan to `sink`. Its values were divided by `scale`, which the report is not to notice.
  void encode(std::size_t i, const ByteSink& sink, float scale = 1);

  // Where a tensor lies in a file that has been written; empty if it is not there as it was planned.
  using Find = std::function<std::span<const std::byte>(const PlannedTensor&)>;

  // Opens what is written so far, under a name that it does not have yet but messages are to name it by.
  using Open = std::function<Find(const std::filesystem::path& written, const std::string& name)>;

  // Lets `write` fill the file, looks for the tensors in it with what `open` returns, if they are to be verified, and
  // puts it in place.
  CompressReport finish(const std::filesystem::path& target, const std::function<void(const ByteSink&)>& write,
                        const Open& open) &&;

 private:
  const std::vector<PlannedTensor>& plan_;
  const CompressOptions& options_;
  std::uint64_t done_ = 0;  // bytes of the source
  Encoder encoder_;
  std::vector<Digest> digests_;
  CompressReport report_;
};

}  // namespace carat
