// What is wrong with a grammar, a regular expression or a schema.
#pragma once
#include <stdexcept>

namespace carat {

// A constraint that cannot be used. The message reads "place: reason", in one line.
class BadConstraint : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace carat
