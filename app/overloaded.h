// One visitor of a variant, out of a function for each of its types.
#pragma once

namespace carat {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // clang 14 does not deduce it by itself

}  // namespace carat
