// The CPU backend with gemma.cpp's arithmetic, as of October 2025 on machines with AVX-512 BF16, where it differs from
// ours: what remains between its logits and these is not arithmetic but a mistake of one of us.
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "kernels/half.h"

namespace carat::test {

// Products round both sides to bf16. The softmax of a layer with a window also counts what earlier layers left in the
// buffer for the positions before the window (attention.cc, SingleDotSoftmaxWeightedSum: `logits` begins at position 0,
// not at `start_pos`), so that heads lose weight, each its own share. The models were trained without that.
class GemmaCppBackend final : public Backend {
 public:
  explicit GemmaCppBackend(std::unique_ptr<Backend> cpu) : cpu_(std::move(cpu)) {}

  std::string_view name() const override { return cpu_->name(); }
  Tensor adopt_weight(const Tensor& host) override {
    if (host.dtype != DType::f32 || host.rows == 1) return cpu_->adopt_weight(host);
    const Tensor rounded = cpu_->make(DType::bf16, host.rows, host.cols);
    std::transform(floats(host), floats(host) + host.rows * host.cols, static_cast<std::uint16_t*>(rounded.where),
                   bf16_from_float);
    originals_[rounded.where] = host;
    return rounded;
  }
  Tensor make(DType dtype, std::size_t rows, std::size_t cols) override { return cpu_->make(dtype, rows, cols); }
  void reserve(const FewRowsShape& shape) override { cpu_->reserve(shape); }
  void gather(Tensor out, const Tensor& x, std::span<const std::size_t> rows) override { cpu_->gather(out, x, rows); }
  using Backend::read;
  void read(std::span<std::byte> out, const Tensor& x) override { cpu_->read(out, x); }
  void write(const Tensor& to, std::span<const std::byte> from) override { cpu_->write(to, from); }
  void embed(Tensor out, const Tensor& table, std::span<const TokenId> ids, float scale) override {
    // Looked up as the file has it: only the logits' product rounds this table.
    const auto original = originals_.find(table.where);
    Tensor rows = original == originals_.end() ? table : original->second;
    rows.rows = table.rows;
    cpu_->embed(out, rows, ids, bf16_to_float(bf16_from_float(scale)));
  }
  void rms_norm(Tensor out, const Tensor& x, const Tensor& gain, float eps) override {
    cpu_->rms_norm(out, x, gain, eps);
  }
  void matmul(const Tensor& x, std::size_t few, std::initializer_list<Product> products) override {
    Tensor rounded = x;
    std::vector<float> values(floats(x), floats(x) + x.rows * x.cols);
    for (float& value : values) value = bf16_to_float(bf16_from_float(value));
    rounded.where = values.data();
    cpu_->matmul(rounded, few, products);
  }
  void add(Tensor x, const Tensor& y) override { cpu_->add(x, y); }
  void feed_forward(Tensor out, const Tensor& x, std::size_t few, const FeedForward& f) override {
    std::vector<float> gate(x.rows * f.w_gate.rows), up(gate.size());
    const Tensor hidden{DType::f32, x.rows, f.w_gate.rows, gate.data()};
    Tensor other = hidden;
    other.where = up.data();
    matmul(x, few, {{hidden, f.w_gate}, {other, f.w_up}});
    for (std::size_t i = 0; i < gate.size(); ++i) {  // Gemma has no other activation
      const float u = 0.7978845608f * gate[i] * (1 + 0.044715f * gate[i] * gate[i]);
      gate[i] *= 0.5f * (1 + std::tanh(u)) * up[i];
    }
    matmul(hidden, few, {{out, f.w_down}});
  }
  void rotations(Tensor out, const Tensor& frequencies, const Rows& rows) override {
    cpu_->rotations(out, frequencies, rows);
  }
  void rope(Tensor x, std::size_t head_dim, const Tensor& rotations, RopeStyle style) override {
    cpu_->rope(x, head_dim, rotations, style);
  }
  void store(const KvLayer& layer, const Tensor& k, const Tensor& v, const Rows& rows) override {
    cpu_->store(layer, k, v, rows);
  }
  void attend(Tensor out, const Tensor& q, const KvLayer& layer, const Rows& rows,
              const AttentionShape& shape) override {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      for (std::size_t head = 0; head < shape.heads; ++head) {
        std::vector<float>& scores = left_over(r * shape.heads + head, layer.slots);
        attend_one(floats(out) + (r * shape.heads + head) * shape.head_dim,
                   floats(q) + (r * shape.heads + head) * shape.head_dim, layer, head / (shape.heads / shape.kv_heads),
                   static_cast<std::size_t>(rows.position[r]), shape, scores);
      }
    }
  }
  void soft_cap(Tensor x, float cap) override { cpu_->soft_cap(x, cap); }

 private:
  static float* floats(const Tensor& tensor) { return static_cast<float*>(tensor.where); }

  // One row of scores for each row of a batch and head, never cleared.
  std::vector<float>& left_over(std::size_t row, std::size_t positions) {
    if (scores_.size() <= row) scores_.resize(row + 1);
    if (scores_[row].size() < positions) scores_[row].resize(positions);
    return scores_[row];
  }

  static void attend_one(float* out, const float* q, const KvLayer& layer, std::size_t kv_head, std::size_t position,
                         const AttentionShape& shape, std::vector<float>& scores) {
    const auto element = [&](const Tensor& cache, std::size_t p, std::size_t i) {
      const std::size_t at = p % layer.slots * cache.cols + kv_head * shape.head_dim + i;
      return half_to_float(static_cast<const std::uint16_t*>(cache.where)[at]);
    };
    const std::size_t first = shape.window > 0 && position + 1 > shape.window ? position + 1 - shape.window : 0;
    for (std::size_t p = first; p <= position; ++p) {
      scores[p] = 0;
      for (std::size_t i = 0; i < shape.head_dim; ++i) scores[p] += q[i] * shape.scale * element(layer.k, p, i);
    }
    float largest = -HUGE_VALF, sum = 0;
    for (std::size_t p = 0; p <= position; ++p) {
      if (shape.soft_cap > 0) scores[p] = shape.soft_cap * std::tanh(scores[p] / shape.soft_cap);
      largest = std::max(largest, scores[p]);
    }
    for (std::size_t p = 0; p <= position; ++p) sum += scores[p] = std::exp(scores[p] - largest);
    for (std::size_t p = 0; p <= position; ++p) scores[p] /= sum;
    for (std::size_t i = 0; i < shape.head_dim; ++i) {
      out[i] = 0;
      for (std::size_t p = first; p <= position; ++p) out[i] += scores[p] * element(layer.v, p, i);
    }
  }

  std::unique_ptr<Backend> cpu_;
  std::map<const void*, Tensor> originals_;  // of rounded weights, by their address
  std::vector<std::vector<float>> scores_;
};

}  // namespace carat::test
