// A build for the CPU alone.
#include "kernels/gpu.h"

namespace carat {

std::string_view gpu_kind() { return {}; }

Gpus find_gpus() { return {{}, "this build is for the CPU alone"}; }

std::unique_ptr<Backend> make_gpu_backend(std::size_t) { throw DeviceError(find_gpus().why_none); }

std::uint64_t gpu_scratch_bytes(const FewRowsShape&, std::size_t) { return 0; }

double gpu_copy_rate(std::size_t) { throw DeviceError(find_gpus().why_none); }

}  // namespace carat
