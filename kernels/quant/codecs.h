// The list of codecs, and the one place where a DType becomes a type. A new codec is added to `Codecs`.
#pragma once
#include <cassert>
#include <cstddef>
#include <tuple>
#include <utility>

#include "kernels/dtype.h"
#include "kernels/quant/float.h"
#include "kernels/quant/iq4_nl.h"
#include "kernels/quant/iq4_xs.h"
#include "kernels/quant/q2_k.h"
#include "kernels/quant/q3_k.h"
#include "kernels/quant/q4_0.h"
#include "kernels/quant/q4_1.h"
#include "kernels/quant/q4_k.h"
#include "kernels/quant/q5_0.h"
#include "kernels/quant/q5_1.h"
#include "kernels/quant/q5_k.h"
#include "kernels/quant/q6_k.h"
#include "kernels/quant/q8_0.h"
#include "kernels/quant/sfp.h"

namespace carat {

// A codec defines a format in portable scalar code: `dequantize_row` gives the values the format's authors give, bit
// for bit, and `quantize_row`, where there is one, the bytes of their quantiser without importance matrix. `n`, the
// number of elements, is a multiple of the block. Every block decodes, whatever its bits. Values that are NaN or
// infinite, or too large for a scale in half precision, encode to some block: which one is not promised.
using Codecs = std::tuple<F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, SFP>;

static_assert(std::tuple_size_v<Codecs> == kDTypeCount);
static_assert(
    []<std::size_t... i>(std::index_sequence<i...>) {
      return ((static_cast<std::size_t>(std::tuple_element_t<i, Codecs>::dtype) == i) && ...) &&
             ((sizeof(typename std::tuple_element_t<i, Codecs>::Block) == kDTypes[i].bytes) && ...);
    }(std::make_index_sequence<kDTypeCount>()),
    "Codecs must follow the order of DType");

template <typename Codec>
concept Encodes = requires(const float* x, typename Codec::Block* blocks, std::size_t n) {
  Codec::quantize_row(x, blocks, n);
};

// Calls `f` with an empty object of the codec of `type`, so that `f` knows the codec as a type:
// with_codec(type, [](auto codec) { using Codec = decltype(codec); … }).
template <std::size_t index = 0, typename F>
decltype(auto) with_codec(DType type, F&& f) {
  using Codec = std::tuple_element_t<index, Codecs>;
  if constexpr (index + 1 < kDTypeCount) {
    if (type != Codec::dtype) return with_codec<index + 1>(type, std::forward<F>(f));
  }
  assert(type == Codec::dtype);
  return std::forward<F>(f)(Codec());
}

inline bool has_encoder(DType type) {
  return with_codec(type, [](auto codec) { return Encodes<decltype(codec)>; });
}

// `row`: row_bytes(type, n) bytes, aligned for the type's block. `out`: [n].
inline void dequantize_row(DType type, const void* row, float* out, std::size_t n) {
  with_codec(type, [&](auto codec) {
    using Codec = decltype(codec);
    Codec::dequantize_row(static_cast<const typename Codec::Block*>(row), out, n);
  });
}

// `x`: [n]. `row`: row_bytes(type, n) bytes, aligned for the type's block. Only where `has_encoder(type)`.
inline void quantize_row(DType type, const float* x, void* row, std::size_t n) {
  with_codec(type, [&](auto codec) {
    using Codec = decltype(codec);
    if constexpr (Encodes<Codec>) {
      Codec::quantize_row(x, static_cast<typename Codec::Block*>(row), n);
    } else {
      assert(!"a type without an encoder");
    }
  });
}

}  // namespace carat
