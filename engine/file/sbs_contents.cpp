#include "engine/file/sbs_contents.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "engine/error.h"
#include "engine/file/quote.h"
#include "engine/file/sbs_metadata.h"
#include "engine/file/sbs_models.h"
#include "engine/file/sbs_names.h"
#include "engine/file/sbs_store.h"
#include "engine/file/sbs_toc.h"

namespace carat {

namespace {

// The letter before a name says the type, in files of before May 2025.
struct Prefix {
  char letter;
  SbsType type;
};
constexpr std::array kPrefixes = {Prefix{'F', SbsType::f32}, Prefix{'B', SbsType::bf16}, Prefix{'$', SbsType::sfp},
                                  Prefix{'2', SbsType::nuq}, Prefix{'I', SbsType::i8}};

const Prefix* prefix_of(std::string_view name) {
  const auto found = std::ranges::find(kPrefixes, name.empty() ? '\0' : name.front(), &Prefix::letter);
  return found == kPrefixes.end() || name.size() == 1 ? nullptr : &*found;
}

[[noreturn]] void refuse(const std::string& file, std::string_view tensor, const std::string& why) {
  throw BadFile(file + ": tensor " + quote(tensor) + ": " + why);
}

// Both layouts of nuq where their sizes differ; where they do not, the one of today.
SbsContents::Item checked_item(const SbsTensor& tensor, std::span<const std::byte> bytes, const std::string& file) {
  const std::uint64_t elements = std::uint64_t{tensor.rows} * tensor.cols;
  SbsContents::Item item{tensor, bytes};
  if (bytes.size() == sbs_bytes(tensor.type, elements)) return item;
  item.layout = NuqLayout::tables_first;
  if (tensor.type == SbsType::nuq && bytes.size() == nuq_tables_first_bytes(elements)) return item;
  refuse(
      file, tensor.name,
      "has " + std::to_string(bytes.size()) + " bytes, expected " + std::to_string(sbs_bytes(tensor.type, elements)));
}

void read_directory(const SbsStore& store, const std::string& file, SbsContents& contents) {
  const SbsBlob* toc = store.find("toc");
  if (toc == nullptr) throw BadFile(file + ": blob 'toc': is missing, although there is a 'config'");
  std::vector<SbsTensor> tensors = parse_sbs_toc(toc->bytes, file);
  const bool prefixed = std::ranges::find(tensors, "c_embedding", &SbsTensor::name) == tensors.end();
  std::set<std::string> names;
  for (SbsTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) refuse(file, tensor.name, "is in the directory twice");
    const SbsBlob* blob = store.find(tensor.name);
    if (blob == nullptr) refuse(file, tensor.name, "is in the directory, but not in the file");
    if (prefixed && prefix_of(tensor.name) != nullptr) tensor.name.erase(0, 1);
    contents.tensors.push_back(checked_item(tensor, blob->bytes, file));
  }
}

// One factor for each of four matrices of a layer, in this order (sbs.md, section 9.2). A tool of 2024 wrote four times
// as many; the first ones are right.
void apply_scales(const SbsStore& store, const std::string& file, SbsContents& contents) {
  const SbsBlob* blob = store.find("Fscales") != nullptr ? store.find("Fscales") : store.find("scales");
  if (blob == nullptr) return;
  std::map<std::string, SbsTensor*> by_name;
  for (SbsContents::Item& item : contents.tensors) by_name.emplace(item.tensor.name, &item.tensor);
  ByteReader in(blob->bytes, file);
  for (std::uint32_t layer = 0; layer < contents.config.num_layers; ++layer) {
    for (const char* name : {"att_ein_", "qkv_ein_", "gating_ein_", "linear_w_"}) {
      if (in.remaining() < 4) throw BadFile(file + ": blob " + quote(blob->key) + ": is too short for its layers");
      const auto scale = in.read<float>();
      if (!(scale > 0) || !std::isfinite(scale))
        throw BadFile(file + ": blob " + quote(blob->key) + ": a scale is " + std::to_string(scale));
      const auto found = by_name.find(name + std::to_string(layer));
      if (found != by_name.end()) found->second->scale = scale;
    }
  }
}

// A store of before 2025: nothing but tensors, whose names say their type.
void read_by_names(const SbsStore& store, const std::string& file, SbsContents& contents) {
  contents.has_directory = false;
  std::vector<UnshapedTensor> found;
  std::map<std::string, std::span<const std::byte>> bytes;
  for (const SbsBlob& blob : store.blobs) {
    if (blob.key.find("gr_lin_") != blob.key.npos) throw Unsupported(file + ": RecurrentGemma is not supported");
    const Prefix* prefix = prefix_of(blob.key);
    if (blob.key == "Fscales" || blob.key == "scales") continue;
    if (prefix == nullptr) throw Unsupported(file + ": blob " + quote(blob.key) + ": its name says no type we know");
    found.push_back({blob.key.substr(1), prefix->type, blob.bytes.size()});
    if (!bytes.emplace(found.back().name, blob.bytes).second) refuse(file, found.back().name, "appears twice");
  }
  contents.config = deduce_sbs_config(found, file);
  const auto plans = sbs_plans_by_name(sbs_shape(contents.config, file));
  for (const UnshapedTensor& tensor : found) {
    const auto plan = plans.find(tensor.name);
    if (plan == plans.end()) {
      contents.unread.push_back(tensor.name);
    } else {
      // All of them are older than today's layout of nuq.
      const SbsTensor shaped{tensor.name, tensor.type, plan->second.rows, plan->second.cols, 1};
      contents.tensors.push_back({shaped, bytes.at(tensor.name), NuqLayout::tables_first});
    }
  }
  apply_scales(store, file, contents);
}

}  // namespace

SbsContents read_sbs_contents(std::span<const std::byte> bytes, const std::string& file) {
  const SbsStore store = read_sbs_store(bytes, file);
  SbsContents contents;
  contents.version = store.version;
  if (const SbsBlob* config = store.find("config")) {
    contents.config = parse_sbs_config(config->bytes, file);
    read_directory(store, file, contents);
  } else {
    read_by_names(store, file, contents);
  }
  if (const SbsBlob* tokenizer = store.find("tokenizer")) {
    const std::string_view model(reinterpret_cast<const char*>(tokenizer->bytes.data()), tokenizer->bytes.size());
    if (model != kSbsNoTokenizer) contents.tokenizer = model;
  }
  return contents;
}

}  // namespace carat
