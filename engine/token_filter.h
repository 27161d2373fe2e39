// What restricts the tokens of an answer: a grammar, say, of which the engine knows nothing.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/backend.h"

namespace carat {

class TokenFilter {
 public:
  // What may come next.
  enum class Next : std::uint8_t {
    tokens,  // some tokens, perhaps the end among them
    end,     // the end and nothing else
    none,    // nothing: no token goes on with what was written, which is not whole either
  };

  virtual ~TokenFilter() = default;

  // Sets the logits of the tokens that may not come next to minus infinity.
  virtual Next mask(std::span<float> logits) = 0;

  // A token of the answer, one that mask() has left.
  virtual void accept(TokenId token) = 0;
};

}  // namespace carat
