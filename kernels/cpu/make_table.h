// One instruction set's row, from the kernels written over any. A new quantised type adds its line to each list here.
#pragma once
#include "kernels/cpu/attention.h"
#include "kernels/cpu/encode_k.h"
#include "kernels/cpu/few_rows.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/probe.h"
#include "kernels/cpu/quad_few_rows_x86.h"

namespace carat::cpu {

template <class Isa, class Read>
constexpr void set_float(Table& table, DType dtype) noexcept {
  table.row_products[static_cast<std::size_t>(dtype)] = float_row_products<Isa, Read>;
  table.few_rows[static_cast<std::size_t>(dtype)] = float_few_rows<Isa, Read>;
  table.dequantize[static_cast<std::size_t>(dtype)] = unpack_floats<Isa, Read>;
  table.unpack_tiles[static_cast<std::size_t>(dtype)] = TilePanels<Isa>::template floats<Read>;
}

template <class Isa, class Block>
constexpr void set_blocks(Table& table, DType dtype) noexcept {
  if constexpr (kTakesQuads<Isa>) {
    table.row_products[static_cast<std::size_t>(dtype)] = quad_row_products<Isa, Block>;
    table.few_rows[static_cast<std::size_t>(dtype)] = quad_few_rows<Isa, Block>;
  } else {
    table.row_products[static_cast<std::size_t>(dtype)] = quantized_row_products<Isa, Block>;
    table.few_rows[static_cast<std::size_t>(dtype)] = quantized_few_rows<Isa, Block>;
  }
  table.dequantize[static_cast<std::size_t>(dtype)] = unpack_blocks<Isa, Block>;
  table.unpack_tiles[static_cast<std::size_t>(dtype)] = TilePanels<Isa>::template blocks<Block>;
  table.codes[static_cast<std::size_t>(dtype)] = code_format<Isa, Block>();
}

// The types that files are written in; for the others the codecs are fast enough.
template <class Isa>
constexpr void set_encoders(Table& table) noexcept {
  const auto set = [&table](DType dtype, auto encode) { table.quantize[static_cast<std::size_t>(dtype)] = encode; };
  set(DType::f32, encode_f32<Isa>);
  set(DType::f16, encode_f16<Isa>);
  set(DType::bf16, encode_bf16<Isa>);
  set(DType::sfp, encode_sfp<Isa>);
  set(DType::q4_0, encode_small_blocks<Isa, BlockQ4_0>);
  set(DType::q4_1, encode_small_blocks<Isa, BlockQ4_1>);
  set(DType::q5_0, encode_small_blocks<Isa, BlockQ5_0>);
  set(DType::q5_1, encode_small_blocks<Isa, BlockQ5_1>);
  set(DType::q8_0, encode_small_blocks<Isa, BlockQ8_0>);
  set(DType::q4_k, encode_q4_k<Isa>);
  set(DType::q5_k, encode_q5_k<Isa>);
  set(DType::q6_k, encode_q6_k<Isa>);
}

template <class Isa>
constexpr Table make_table(const char* name) noexcept {
  Table table{};
  table.name = name;
  set_float<Isa, ReadF32<Isa>>(table, DType::f32);
  set_float<Isa, ReadF16<Isa>>(table, DType::f16);
  set_float<Isa, ReadBF16<Isa>>(table, DType::bf16);
  set_float<Isa, ReadSFP<Isa>>(table, DType::sfp);
  if constexpr (kIs512<typename Isa::wide>)  // elsewhere no faster than floats, which keep more
    table.codes[static_cast<std::size_t>(DType::sfp)] = {unpack_floats_to_codes<Isa, ReadSFP<Isa>>, 0};
  set_blocks<Isa, BlockQ4_0>(table, DType::q4_0);
  set_blocks<Isa, BlockQ4_1>(table, DType::q4_1);
  set_blocks<Isa, BlockQ5_0>(table, DType::q5_0);
  set_blocks<Isa, BlockQ5_1>(table, DType::q5_1);
  set_blocks<Isa, BlockQ8_0>(table, DType::q8_0);
  set_blocks<Isa, BlockQ2_K>(table, DType::q2_k);
  set_blocks<Isa, BlockQ3_K>(table, DType::q3_k);
  set_blocks<Isa, BlockQ4_K>(table, DType::q4_k);
  set_blocks<Isa, BlockQ5_K>(table, DType::q5_k);
  set_blocks<Isa, BlockQ6_K>(table, DType::q6_k);
  set_blocks<Isa, BlockIQ4_NL>(table, DType::iq4_nl);
  set_blocks<Isa, BlockIQ4_XS>(table, DType::iq4_xs);
  table.codes_in_bytes = kTakesQuads<Isa>;
  if constexpr (kTakesQuads<Isa>) table.bring_together = bring_together<Isa>;
  table.quantize_activation = quantize_activation<Isa, kTakesQuads<Isa>>;
  table.tile_tokens = kPackedTokens<Isa>;
  table.pack_tile = pack_tile<Isa>;
  table.pack_codes = pack_codes<Isa>;
  table.slab_rows = kSlabRows;
  table.panel_product = multiply_panel<Isa>;
  table.gated_panel = multiply_gated_panel<Isa>;
  TilePanels<Isa>::replace_panels(table);
  table.rms_norm = rms_norm<Isa>;
  table.add = add<Isa>;
  table.silu_gate = silu_gate<Isa>;
  table.gelu_gate = gelu_gate<Isa>;
  table.soft_cap = soft_cap<Isa>;
  table.scale = scale<Isa>;
  table.rope_adjacent = rope_adjacent<Isa>;
  table.rope_halves = rope_halves<Isa>;
  table.attend = attend<Isa>;
  table.attend_block = attend_block<Isa>;
  set_encoders<Isa>(table);
  table.compare = compare<Isa>;
  table.probe = Products<Isa>::row;
  return table;
}

}  // namespace carat::cpu
