#include "engine/perplexity.h"

#include <algorithm>
#include <cmath>

namespace carat {

double surprise(std::span<const float> logits, TokenId token) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(token)]);
}

CrossEntropy cross_entropy(Session& session, std::span<const TokenId> ids, TokenId first, const std::stop_token& stop) {
  CrossEntropy result;
  std::vector<TokenId> window;
  while (!ids.empty()) {
    window.assign(first >= 0 ? 1 : 0, first);
    const std::size_t count = std::min(ids.size(), session.context() - window.size());
    if (count == 0) break;  // a context of one token, and that is `first`
    window.insert(window.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
    ids = ids.subspan(count);

    session.rewind(0);
    const auto add = [&](std::size_t i, std::span<const float> logits) {
      if (i + 1 == window.size()) return;
      result.total += surprise(logits, window[i + 1]);
      ++result.tokens;
    };
    if (!session.feed(window, 0, add, stop)) {
      result.stopped = true;
      break;
    }
  }
  return result;
}

}  // namespace carat
