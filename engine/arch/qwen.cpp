// Qwen 2, 2.5 and 3, dense (gguf.md, 4 to 6).
#include "engine/arch/arch.h"

namespace carat {

ModelConfig read_qwen2(const ArchKeys& keys) {
  ModelConfig c = keys.common();
  c.qkv_bias = true;
  return c;
}

ModelConfig read_qwen3(const ArchKeys& keys) {
  ModelConfig c = keys.common();
  c.qk_norm = true;
  return c;
}

}  // namespace carat
