// What a device must do for a transformer: hold memory and run ten verbs. Engine code knows no more than this.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/gate.h"
#include "kernels/tensor.h"

namespace carat {

using TokenId = std::int32_t;
using SequenceId = std::int32_t;

// Which sequence each row of the activations belongs to, and where in it. A prompt is many rows of one sequence;
// a decode step of a batch is one row of each; a speculative check is a few rows of one.
// Rows of one sequence stand together, in rising positions.
struct Rows {
  std::span<const SequenceId> sequence;
  std::span<const std::int32_t> position;
  // The first `few` rows are of sequences that bring few at a time, to which the others are no company: they come to
  // the same bits as if each was fed alone. Every row of a prompt behind them comes to the same bits whatever else is
  // fed, as long as the rows of its own sequence are the same.
  std::size_t few = 0;
  std::size_t size() const { return position.size(); }
};

// Which elements of a head a rotation pairs: (2i, 2i + 1), or (i, i + dim / 2).
enum class RopeStyle : std::uint8_t { adjacent, halves };

// How many rows of a sequence are few: up to here, to meet each weight row one by one is as fast as to unpack it.
inline constexpr std::size_t kFewRows = 16;

// The keys and values of one layer, f32, f16, bf16 or q8_0 [sequences * slots, kv_heads * head_dim]. Position p of
// sequence s lies in row s * slots + p % slots: where slots is smaller than the context, the layer is a ring and has a
// window.
struct KvLayer {
  Tensor k, v;
  std::size_t slots = 0;
};

struct AttentionShape {
  std::size_t heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 0;         // multiplies q · k
  float soft_cap = 0;      // s -> cap * tanh(s / cap); 0 = none
  std::size_t window = 0;  // positions seen, the query's own included; 0 = all
};

// One product of a shared input: out [tokens, w.rows] = x [tokens, w.cols] * w^T.
struct Product {
  Tensor out;
  const Tensor& w;
};

// A gated feed-forward network (Shazeer, 2020): w_down (act(w_gate x) * w_up x).
struct FeedForward {
  const Tensor &w_gate, &w_up;  // [hidden, width]
  const Tensor& w_down;         // [width, hidden]
  Gate act = Gate::silu;
};

// The largest shapes of what is done to few rows.
struct FewRowsShape {
  std::size_t width = 0;   // of any product's input
  std::size_t hidden = 0;  // of feed-forward networks
  std::size_t heads = 0, head_dim = 0;
};

// Memory and arithmetic of one device. Activations are f32 [tokens, width]. Calls run in program order and may run
// behind the caller's back until read(). Sizes and types are the engine's promise: it has checked the file.
// Not thread-safe: one caller at a time.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;

  // Memory, owned by the backend and freed with it.
  // The weight as this device reads it: in place where it can be, else a copy. `host` outlives the backend.
  virtual Tensor adopt_weight(const Tensor& host) = 0;
  // Room for [rows, cols], zeroed; memory is committed as it is first written.
  virtual Tensor make(DType, std::size_t rows, std::size_t cols) = 0;
  // Makes the room that steps of few rows need, so that none of them allocates.
  virtual void reserve(const FewRowsShape&) = 0;
  // Copies a tensor of f32 out, after everything asked for before is done.
  virtual void read(std::span<float> out, const Tensor&) = 0;

  // out[i] = table[ids[i]] * scale; table [vocabulary, width].
  virtual void embed(Tensor out, const Tensor& table, std::span<const TokenId> ids, float scale) = 0;
  // Each chunk of gain.cols elements of a row: out = x / sqrt(mean(x^2) + eps) * gain (Zhang & Sennrich, 2019).
  // Whole rows, or heads one by one. `out` may be `x`.
  virtual void rms_norm(Tensor out, const Tensor& x, const Tensor& gain, float eps) = 0;
  // `few` as in Rows.
  virtual void matmul(const Tensor& x, std::size_t few, std::initializer_list<Product>) = 0;
  // x += y; a y of one row is added to every row.
  virtual void add(Tensor x, const Tensor& y) = 0;
  // out [tokens, width] of x [tokens, width]; `out` may be `x`. `few` as in Rows.
  virtual void feed_forward(Tensor out, const Tensor& x, std::size_t few, const FeedForward&) = 0;
  // out[i] = x[rows[i]].
  virtual void gather(Tensor out, const Tensor& x, std::span<const std::size_t> rows) = 0;
  // The rotations of each row's position: out [tokens, 2 * frequencies], pairs (cos, sin) of position * frequency.
  virtual void rotations(Tensor out, const Tensor& frequencies, const Rows&) = 0;
  // Rotates the first rotations.cols elements of every head of x (Su et al., 2021).
  virtual void rope(Tensor x, std::size_t head_dim, const Tensor& rotations, RopeStyle) = 0;
  virtual void store(const KvLayer&, const Tensor& k, const Tensor& v, const Rows&) = 0;
  // out [tokens, heads * head_dim] = softmax(q k^T) v over the cached positions up to each row's own.
  virtual void attend(Tensor out, const Tensor& q, const KvLayer&, const Rows&, const AttentionShape&) = 0;
  // x = cap * tanh(x / cap).
  virtual void soft_cap(Tensor x, float cap) = 0;
};

struct BackendOptions {
  std::size_t threads = 1;        // CPU threads, the caller's included
  std::string isa;                // a name of usable_isas(); empty = the best
  std::size_t batch_threads = 0;  // the same for steps of more than kFewRows tokens; 0 = as many
  std::vector<int> cpus = {};     // thread i runs on cpus[i % size] alone; empty = wherever the system puts it
};

// The CPU backend. Throws std::invalid_argument when this machine has no such instruction set, and std::system_error
// when it refuses the threads.
std::unique_ptr<Backend> make_cpu_backend(const BackendOptions&);

// Instruction sets that this machine can use, best first; "reference" (slow, in double) is always last.
std::vector<std::string_view> usable_isas();

}  // namespace carat
