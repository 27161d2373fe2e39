// From a type as a value to a type as a constant, for kernels that are compiled once for each.
#pragma once
#include <type_traits>
#include <utility>

#include "kernels/cuda/launch.h"
#include "kernels/dtype.h"

namespace carat::cuda {

// f(std::integral_constant<DType, type>) for this type.
template <class F>
Launch for_type(DType type, F&& f) {
  Launch made;
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    (void)((static_cast<std::size_t>(type) == i &&
            (made = f(std::integral_constant<DType, static_cast<DType>(i)>()), true)) ||
           ...);
  }
  (std::make_index_sequence<kDTypeCount>());
  return made;
}

}  // namespace carat::cuda
