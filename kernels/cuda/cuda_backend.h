// An NVIDIA GPU as a backend: weights and cache in its memory, a step as a list of kernels on one stream.
#pragma once
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/arguments.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/step.h"
#include "kernels/cuda/upload.h"

namespace carat::cuda {

// Of attention, at most: a token's positions are cut into so many.
inline constexpr std::size_t kMostSegments = 64;

class CudaBackend final : public Backend {
 public:
  // `processors`: how many the device has.
  CudaBackend(int device, std::uint32_t processors);
  ~CudaBackend() override;

  std::string_view name() const override { return "cuda"; }
  Tensor adopt_weight(const Tensor& host) override;
  Tensor make(DType, std::size_t rows, std::size_t cols) override;
  void reserve(const FewRowsShape&) override;
  using Backend::read;
  void read(std::span<std::byte> out, const Tensor&) override;
  void write(const Tensor& to, std::span<const std::byte> from) override;
  void embed(Tensor out, const Tensor& table, std::span<const TokenId> ids, float scale) override;
  void rms_norm(Tensor out, const Tensor& x, const Tensor& gain, float eps) override;
  void matmul(const Tensor& x, std::size_t few, std::initializer_list<Product>) override;
  void add(Tensor x, const Tensor& y) override;
  void feed_forward(Tensor out, const Tensor& x, std::size_t few, const FeedForward&) override;
  void gather(Tensor out, const Tensor& x, std::span<const std::size_t> rows) override;
  void rotations(Tensor out, const Tensor& frequencies, const Rows&) override;
  void rope(Tensor x, std::size_t head_dim, const Tensor& rotations, RopeStyle) override;
  void store(const KvLayer&, const Tensor& k, const Tensor& v, const Rows&) override;
  void attend(Tensor out, const Tensor& q, const KvLayer&, const Rows&, const AttentionShape&) override;
  void soft_cap(Tensor x, float cap) override;

 private:
  // Numbers of a step that kernels read from the device, so that the same kernels do for every step.
  struct Input {
    std::vector<std::int32_t> values;  // those on the device
    DeviceMemory memory;
    std::size_t room = 0;
    bool used = false;  // by what has not run yet
  };
  // Scratch that grows to the largest shape seen.
  struct Scratch {
    DeviceMemory memory;
    std::size_t bytes = 0;
  };

  // The device becomes that of the calling thread, which may be another one each time.
  void use() const;
  void run();
  template <class T>
  const std::int32_t* bring(Input& input, std::span<const T> values);
  template <class T>
  T* grow(Scratch& scratch, std::size_t count, const char* what);
  void multiply_few(const Tensor& x, std::initializer_list<Product>);
  // Rows of x in half precision, for multiply_many().
  void pack_rows(const Tensor& x);
  void multiply_many(const Tensor& x, const Product&);
  void attend_rows(const Tensor& out, const Tensor& q, const KvLayer&, const Rows&, std::size_t first,
                   std::size_t count, std::size_t segments, const AttentionShape&);
  // Rows of one sequence.
  void attend_run(const Tensor& out, const Tensor& q, const KvLayer&, const Rows&, std::size_t first, std::size_t count,
                  const AttentionShape&);

  int device_;
  std::uint32_t processors_;
  Stream stream_;
  Step step_;
  Upload upload_;
  std::vector<DeviceMemory> memory_;
  Input ids_, sequence_, position_, gathered_;
  Scratch packed_, factor_, hidden_, up_, partial_, softmax_;
};

}  // namespace carat::cuda
