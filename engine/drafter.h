// Who guesses how a text goes on, so that several tokens can be checked in one step (Leviathan et al., 2023).
#pragma once
#include <span>

#include "engine/session.h"

namespace carat {

class Drafter {
 public:
  virtual ~Drafter() = default;

  // The next token of the text, read or written.
  virtual void note(TokenId token) = 0;
  // A guess of up to `limit` tokens that follow; often none. Valid until the next.
  virtual std::span<const TokenId> draft(std::size_t limit) = 0;
  // How many tokens of the last draft came true.
  virtual void came_true(std::size_t count) = 0;
  // How long a step of the model that checks took, which fed so many tokens.
  virtual void took(std::size_t tokens, double seconds) = 0;
};

}  // namespace carat
