// Who drafts for a session: a second model, the text itself, or nobody.
#pragma once
#include <memory>
#include <optional>

#include "app/open_model.h"
#include "app/options.h"
#include "engine/draft_model.h"

namespace carat {

struct SecondModel {
  ModelFile file;
  Model model;
};

// The model of --draft-model; null without the flag. Throws as open_model() does, and BadUsage where its vocabulary is
// not that of `first`.
std::unique_ptr<const SecondModel> open_second(const LookupFlags& flags, const OpenModel& first,
                                               const BackendOptions& options, const Loading& loading);

class Drafting {
 public:
  // For sessions of so much room; `shifts`: whose context moves on. `second` may be null, and outlives it.
  Drafting(const LookupFlags& flags, const SecondModel* second, const SessionOptions& room, bool shifts);

  // Who drafts the answer to this prompt, which has been read; null: nobody.
  Drafter* begin(std::span<const TokenId> prompt, const std::stop_token& stop);

 private:
  LookupFlags flags_;
  std::size_t context_;
  bool shifts_;
  std::optional<Lookup> lookup_;
  std::optional<DraftModel> second_;
};

}  // namespace carat
