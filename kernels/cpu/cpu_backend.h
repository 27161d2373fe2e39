// The CPU as a backend: one row of kernels, one crew of threads, weights where they lie in the file's mapping.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/thread_pool.h"

namespace carat::cpu {

// Zeroed memory that the system commits page by page as it is written.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  enum class Pages : std::uint8_t { small, large };
  // 64-byte aligned. Throws std::bad_alloc.
  void* take(std::size_t bytes, Pages pages);

 private:
  struct Piece {
    void* at;
    std::size_t bytes;
  };
  std::vector<Piece> pieces_;
};

// Scratch of its own pages, which large steps walk across.
class AlignedFloats {
 public:
  // At least `size` of them; what was in them is lost when they grow. Throws std::bad_alloc.
  void grow(std::size_t size);
  float* data() const { return floats_; }

 private:
  std::unique_ptr<Arena> arena_;
  float* floats_ = nullptr;
  std::size_t size_ = 0;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Table& table, const BackendOptions& o)
      : table_(table), pool_(o.threads, o.batch_threads > 0 ? o.batch_threads : o.threads, o.cpus) {}

  std::string_view name() const override { return table_.name; }
  Tensor adopt_weight(const Tensor& host) override { return host; }
  Tensor make(DType, std::size_t rows, std::size_t cols) override;
  void reserve(const FewRowsShape&) override;
  void read(std::span<float> out, const Tensor&) override;
  void embed(Tensor out, const Tensor& table, std::span<const TokenId> ids, float scale) override;
  void rms_norm(Tensor out, const Tensor& x, const Tensor& gain, float eps) override;
  void gather(Tensor out, const Tensor& x, std::span<const std::size_t> rows) override;
  void matmul(const Tensor& x, std::size_t few, std::initializer_list<Product>) override;
  void add(Tensor x, const Tensor& y) override;
  void feed_forward(Tensor out, const Tensor& x, std::size_t few, const FeedForward&) override;
  void rotations(Tensor out, const Tensor& frequencies, const Rows&) override;
  void rope(Tensor x, std::size_t head_dim, const Tensor& rotations, RopeStyle) override;
  void store(const KvLayer&, const Tensor& k, const Tensor& v, const Rows&) override;
  void attend(Tensor out, const Tensor& q, const KvLayer&, const Rows&, const AttentionShape&) override;
  void soft_cap(Tensor x, float cap) override;

 private:
  static_assert(kFewRows == kFewTokens);
  using FewTokens = std::array<Activation, kFewTokens>;

  // Packed tokens as the weights want them that they will meet.
  struct Packed {
    AlignedFloats codes, floats;
  };
  struct WeightTypes {
    bool in_codes, in_floats;
  };

  // Scratch that grows to the largest shape seen, so that no step after the first of its shape allocates; for few rows
  // it is reserved.
  struct Scratch {
    AlignedFloats q;  // [kFewRows, cols], two codes in a float's place
    AlignedFloats scale, sum, half_sum;
    AlignedFloats together;
    Together together_view;               // of `together`
    std::vector<RunningSoftmax> softmax;  // attention of few rows, by row, segment and head
    AlignedFloats partial;                // likewise
    Packed packed, packed_hidden;
    AlignedFloats hidden;  // [kFewRows, hidden]
    AlignedFloats panels;  // of each thread: kPanelScratch, or a block of attention
  };

  void grow_for_rows(std::size_t cols);
  // Rows [first, first + count) of x.
  FewTokens quantise(const Tensor& x, std::size_t first, std::size_t count, bool quantised);
  // Rows [first, first + rows) of w times `count` tokens.
  void multiply_slab(const Tensor& w, std::size_t first, std::size_t rows, const FewTokens& tokens, std::size_t count,
                     float* out, std::size_t stride) const;
  void multiply_rows(const Tensor& x, std::size_t first, std::size_t count, std::initializer_list<Product>);
  // Tokens [first, first + tokens) of x, in tiles.
  void pack(const Tensor& x, std::size_t first, std::size_t tokens, WeightTypes);
  bool in_codes(DType) const;  // whether panels of such weights are multiplied as integers
  // The packed tokens, which are rows `first` on of every `out`.
  void multiply_panels(const Packed& packed, std::size_t first, std::size_t tokens, std::initializer_list<Product>);
  // From packed tokens to packed hidden activations.
  void gate_panels(std::size_t tokens, const FeedForward&);
  void gate_rows(Tensor hidden, const Tensor& x, std::size_t first, const FeedForward&);
  Panel panel(const Tensor& w, std::size_t first, std::size_t rows, const Packed& packed, std::size_t tokens,
              std::size_t thread);

  void attend_blocks(const Tensor& out, const Tensor& q, const KvLayer&, const Rows&, std::size_t first,
                     std::size_t end, const AttentionShape&);
  void attend_rows(const Tensor& out, const Tensor& q, const KvLayer&, const Rows&, std::size_t first,
                   std::size_t count, const AttentionShape&);
  void merge_segments(float* out, std::size_t row, std::size_t segments, const AttentionShape&);
  void grow_for_attention(std::size_t heads, std::size_t head_dim);

  const Table& table_;
  ThreadPools pool_;
  Arena arena_;
  Scratch scratch_;
};

inline float* floats(const Tensor& tensor) { return static_cast<float*>(tensor.where); }
inline float* row(const Tensor& tensor, std::size_t r) { return floats(tensor) + r * tensor.cols; }
inline const std::byte* bytes(const Tensor& tensor) { return static_cast<const std::byte*>(tensor.where); }
inline std::size_t parts(std::size_t whole, std::size_t part) { return (whole + part - 1) / part; }

}  // namespace carat::cpu
