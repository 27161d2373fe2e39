// The products of AMX tiles with nothing else to do.
#pragma once
#include "kernels/cpu/amx.h"
#include "kernels/cpu/probe.h"

namespace carat::cpu {

// Six tiles of sums, as the panels have them, of one pair of operands: numbers of either sign from 0.5 to 1, since
// zeros are multiplied faster (2.3 against 3.0 TFLOP/s a core, measured).
template <class Isa>
inline std::uint64_t multiply_tiles_alone(std::size_t rounds) noexcept {
  alignas(64) char tiles[2 * kTileBytes];
  random_bits<Isa>(tiles, sizeof tiles);
  for (std::size_t i = 0; i < sizeof tiles; i += 4) {
    std::uint32_t pair;
    __builtin_memcpy(&pair, tiles + i, 4);
    pair = (pair & 0x807F807F) | 0x3F003F00;
    __builtin_memcpy(tiles + i, &pair, 4);
  }
  barrier<Isa>();
  configure_tiles<Isa>();
  _tile_loadd(6, tiles, 64);
  _tile_loadd(7, tiles + kTileBytes, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (std::size_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 7, 6);
    _tile_dpbf16ps(1, 7, 6);
    _tile_dpbf16ps(2, 7, 6);
    _tile_dpbf16ps(3, 7, 6);
    _tile_dpbf16ps(4, 7, 6);
    _tile_dpbf16ps(5, 7, 6);
  }
  _tile_stored(5, tiles, 64);
  _tile_release();
  barrier<Isa>();
  return static_cast<unsigned char>(tiles[0]);
}

template <>
struct Products<Amx> {
  static constexpr ProbeRow row = {read_bytes<Amx>, multiply_tiles_alone<Amx>,
                                   2.0 * 6 * kTileRows* kTileRows* kTileDepth, "bf16 tiles"};
};

}  // namespace carat::cpu
