// Texts too tall to be edited in place, with a short stand-in for each.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace carat {

// A terminal shows no more of a line than it has rows, and libedit draws only the end of one that is taller. So a tall
// text stands in the line as "[#1: 560 lines, 50960 bytes]" until the line is sent. A stand-in that is edited is what
// it looks like: text.
class Folds {
 public:
  // A stand-in for `text`; the same for the same text.
  std::string fold(std::string_view text);

  // `text` with what each stand-in in it stands for.
  std::string unfold(std::string_view text) const;

 private:
  std::vector<std::pair<std::string, std::string>> folds_;  // the stand-in, the text
};

}  // namespace carat
