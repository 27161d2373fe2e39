#include "app/drafting.h"

#include "app/failure.h"
#include "app/memory_need.h"

namespace carat {
namespace {

void check_vocabulary(const ModelFiles& files, const Model& second, const OpenModel& first) {
  const std::size_t size = first.model.config.vocabulary;
  const auto tokenizer = open_tokenizer(files);
  bool is_same = second.config.vocabulary == size;
  for (std::size_t i = 0; i < size && is_same; ++i) {
    const auto id = static_cast<TokenId>(i);
    is_same = tokenizer->spelling(id) == first.tokenizer->spelling(id);
  }
  if (!is_same) throw BadUsage("--draft-model: " + files.file.path() + ": its vocabulary is not that of the model");
}

}  // namespace

std::unique_ptr<const SecondModel> open_second(const LookupFlags& flags, const OpenModel& first,
                                               const BackendOptions& options, const Loading& loading) {
  if (flags.draft_model.empty()) return nullptr;
  ModelFiles files{open_file(flags.draft_model, loading), MappedFile()};
  Model model = load_model(files.file, make_cpu_backend(options));
  check_vocabulary(files, model, first);
  return std::make_unique<const SecondModel>(SecondModel{std::move(files.file), std::move(model)});
}

Drafting::Drafting(const LookupFlags& flags, const SecondModel* second, const SessionOptions& room, bool shifts)
    : flags_(flags), context_(room.context), shifts_(shifts) {
  if (second == nullptr) return;
  check_memory(second->file, second->model, room);
  second_.emplace(second->model, room, flags.max_draft);
}

Drafter* Drafting::begin(std::span<const TokenId> prompt, const std::stop_token& stop) {
  if (second_) return second_->begin(prompt, stop) ? &*second_ : nullptr;
  lookup_ = flags_.make(context_, shifts_);
  if (!lookup_) return nullptr;
  for (const TokenId id : prompt) lookup_->note(id);
  return &*lookup_;
}

}  // namespace carat
