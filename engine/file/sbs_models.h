// The published Gemma models as gemma.cpp knows them: for files that hold no configuration, or say less than all.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/file/sbs_config.h"

namespace carat {

struct KnownGemma {
  SbsModel model;
  std::string_view specifier;  // what gemma.cpp's tools call it: "gemma2-2b"
  std::string_view name;
  std::string_view architecture;  // as GGUF calls it
  std::uint32_t layers, width, hidden, heads, kv_heads, head_dim, vocabulary;
  std::uint32_t context;  // gemma.cpp's; from Gemma 3 4B on, the models were trained for more
  std::uint32_t window;   // of local layers; 0 = there are none
};

std::span<const KnownGemma> known_gemmas();

SbsConfig canonical_config(const KnownGemma& known);

// A model as the flag --model of gemma.cpp's tools names it: "gemma2-2b-it", "9b-pt", "gemma3-1b".
struct NamedGemma {
  const KnownGemma* known;
  std::optional<SbsWrapping> wrapping;  // if the name says it: -it or -pt
};
std::optional<NamedGemma> find_gemma(std::string_view name);

// The configuration with what files of before May 2025 leave unsaid. Throws BadFile and Unsupported.
SbsConfig completed(SbsConfig config, const std::string& file);

// The id that ends a turn. Gemma 1 and 2: <end_of_turn> is 107; Gemma 3: 106.
std::int32_t end_of_turn(std::string_view architecture);

// Trained with the positions of global layers divided by 8, for 131072 positions: Gemma 3 from 4B on.
bool is_long_gemma3(SbsModel model);

// A tensor of a store without directory: its name says the type, its shape is not known.
struct UnshapedTensor {
  std::string name;
  SbsType type = SbsType::unknown;
  std::uint64_t bytes = 0;
};

// The model whose tensors have these sizes. Throws Unsupported if none is known.
SbsConfig deduce_sbs_config(std::span<const UnshapedTensor> tensors, const std::string& file);

}  // namespace carat
