// Llama 1 to 3.x, and what shares its shape: Mistral, TinyLlama, SmolLM, Yi (gguf.md, 4 to 6).
#include "engine/arch/arch.h"

namespace carat {

ModelConfig read_llama(const ArchKeys& keys) {
  ModelConfig c = keys.common();
  if (c.rope_dim != c.head_dim)
    keys.unsupported("rope.dimension_count", std::to_string(c.rope_dim) + " of " + std::to_string(c.head_dim) +
                                                 " elements of a head turn; expected all");
  c.rope_style = RopeStyle::adjacent;
  return c;
}

}  // namespace carat
