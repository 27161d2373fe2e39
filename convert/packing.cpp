#include "convert/packing.h"

#include "engine/file/sbs.h"
#include "engine/file/sbs_pack.h"
#include "kernels/cpu/dispatch.h"

namespace carat {

std::string_view Packing::name() const {
  if (const DType* dtype = std::get_if<DType>(&type_)) return info(*dtype).name;
  return std::get<SbsType>(type_) == SbsType::i8 ? "i8" : "nuq";
}

std::optional<DType> Packing::dtype() const {
  const DType* dtype = std::get_if<DType>(&type_);
  return dtype == nullptr ? std::nullopt : std::optional(*dtype);
}

std::size_t Packing::group() const { return dtype() ? info(*dtype()).block : sbs_group(std::get<SbsType>(type_)); }

std::uint64_t Packing::bytes(std::uint64_t values) const {
  return dtype() ? row_bytes(*dtype(), values) : sbs_bytes(std::get<SbsType>(type_), values);
}

void Packing::encode(const cpu::Table& isa, const float* values, std::size_t n, std::byte* packed,
                     float* decoded) const {
  if (!dtype()) return pack_sbs(std::get<SbsType>(type_), {values, n}, packed, decoded);
  cpu::encoder(isa, *dtype())(values, packed, n);
  isa.dequantize[static_cast<std::size_t>(*dtype())](packed, decoded, n);
}

}  // namespace carat
