// Encoders of the packed types that `.sbs` files alone have: the way back of sbs_unpack.h.
#pragma once
#include <cstddef>
#include <span>

#include "engine/file/sbs_config.h"

namespace carat {

// How many values of `type`, i8 or nuq, are encoded together.
std::size_t sbs_group(SbsType type);

// Encodes to i8 or nuq, in today's layout. `values` begin with a group; `packed` has sbs_bytes() of them. What the
// bytes stand for goes to `decoded`, of the same length. Values of nuq are within sfp's range. Takes any values, but
// those that are not finite become anything.
void pack_sbs(SbsType type, std::span<const float> values, std::byte* packed, float* decoded);

}  // namespace carat
