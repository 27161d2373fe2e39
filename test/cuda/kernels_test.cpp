// Every verb of the CUDA backend against the CPU's reference, on shapes that are a multiple of nothing.
#include <cmath>

#include "kernels/gpu.h"
#include "test/cuda/device.h"
#include "test/support/catch.h"
#include "test/support/random_tensors.h"

using namespace carat;
using test::random_floats, test::random_weights;

namespace {

// Both backends with the same tensors, so that a verb can be said to each in the same words.
struct Side {
  std::unique_ptr<Backend> backend;

  Tensor tensor(const std::vector<float>& values, std::size_t rows, std::size_t cols) const {
    const Tensor made = backend->make(DType::f32, rows, cols);
    backend->write(made, std::as_bytes(std::span(values)));
    return made;
  }
  std::vector<float> values(const Tensor& tensor) const {
    std::vector<float> out(tensor.rows * tensor.cols);
    backend->read(out, tensor);
    return out;
  }
};

struct Pair {
  Side cpu{make_cpu_backend({1, "reference"})}, gpu{make_gpu_backend(0)};

  // `f(side)` returns what it computed; both are to be as near as `margin` times the largest value.
  template <class F>
  void compare(double margin, F f) const {
    const std::vector<float> expected = cpu.values(f(cpu)), found = gpu.values(f(gpu));
    double largest = 0, worst = 0;
    REQUIRE(expected.size() == found.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      REQUIRE(std::isfinite(found[i]));
      largest = std::max(largest, std::abs(double{expected[i]}));
      worst = std::max(worst, std::abs(double{expected[i]} - double{found[i]}));
    }
    CHECK(worst <= margin * largest);
  }
};

constexpr double kRounding = 2e-6;        // of sums in float
constexpr double kElevenBits = 1e-3;      // of tiles in half precision
constexpr double kOfSharpSoftmax = 6e-3;  // of scores of about ten in half precision

Tensor host_weight(DType dtype, std::size_t rows, std::size_t cols, const std::vector<std::byte>& bytes) {
  return {dtype, rows, cols, const_cast<std::byte*>(bytes.data()), 0.75f};
}

bool fits(const DTypeInfo& type, std::size_t cols) { return cols % type.block == 0; }

}  // namespace

TEST_CASE("cuda: products of every type, for few tokens and for many, are those of the reference", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  for (const DTypeInfo& type : kDTypes) {
    for (const std::size_t cols : {256u, 768u, 32u, 7u}) {
      if (!fits(type, cols)) continue;
      const std::size_t rows = 67, more_rows = 5;
      const std::vector<std::byte> bytes = random_weights(type.id, rows + more_rows, cols, 3);
      const Tensor host = host_weight(type.id, rows, cols, bytes);
      const Tensor other = row_view(host_weight(type.id, rows + more_rows, cols, bytes), rows, more_rows);
      for (const auto& [tokens, few] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 3}, {19, 2}, {70, 0}}) {
        INFO(type.name << " cols " << cols << ", tokens " << tokens << ", few " << few);
        const std::vector<float> x = random_floats(tokens * cols, 7, 3);
        const std::size_t count = tokens, at_first = few;
        pair.compare(few == tokens ? kRounding : kElevenBits, [&](const Side& side) {
          const Tensor out = side.backend->make(DType::f32, count, rows + more_rows);
          const Tensor one = side.backend->make(DType::f32, count, rows);
          const Tensor two = side.backend->make(DType::f32, count, more_rows);
          side.backend->matmul(side.tensor(x, count, cols), at_first,
                               {{one, side.backend->adopt_weight(host)}, {two, side.backend->adopt_weight(other)}});
          std::vector<float> all = side.values(one), last = side.values(two);
          all.insert(all.end(), last.begin(), last.end());
          side.backend->write(out, std::as_bytes(std::span(all)));
          return out;
        });
      }
    }
  }
}

TEST_CASE("cuda: long rows are cut into parts of the shared memory, and by several warps", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  for (const DType type : {DType::q4_0, DType::f32, DType::q6_k}) {
    const std::size_t cols = 12288, rows = 9;
    const std::vector<std::byte> bytes = random_weights(type, rows, cols, 5);
    for (const std::size_t tokens : {1u, 5u}) {
      const std::vector<float> x = random_floats(tokens * cols, 6);
      pair.compare(kRounding, [&](const Side& side) {
        const Tensor out = side.backend->make(DType::f32, tokens, rows);
        side.backend->matmul(side.tensor(x, tokens, cols), tokens,
                             {{out, side.backend->adopt_weight(host_weight(type, rows, cols, bytes))}});
        return out;
      });
    }
  }
}

TEST_CASE("cuda: a token of a few comes to the same bits as if it was alone", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Side gpu{make_gpu_backend(0)};
  for (const DType type : {DType::q4_0, DType::q2_k, DType::bf16, DType::f32}) {
    const std::size_t cols = 2560, rows = 11, tokens = 7;
    const std::vector<std::byte> bytes = random_weights(type, rows, cols, 5);
    const Tensor w = gpu.backend->adopt_weight(host_weight(type, rows, cols, bytes));
    const Tensor x = gpu.tensor(random_floats(tokens * cols, 6), tokens, cols);
    const Tensor together = gpu.backend->make(DType::f32, tokens, rows);
    const Tensor alone = gpu.backend->make(DType::f32, tokens, rows);
    gpu.backend->matmul(x, tokens, {{together, w}});
    for (std::size_t t = 0; t < tokens; ++t) gpu.backend->matmul(row_view(x, t, 1), 1, {{row_view(alone, t, 1), w}});
    INFO(info(type).name);
    CHECK(gpu.values(together) == gpu.values(alone));
  }
}

TEST_CASE("cuda: a row of a prompt comes to the same bits in any company", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Side gpu{make_gpu_backend(0)};
  const std::size_t cols = 160, rows = 70, tokens = 130;
  const std::vector<std::byte> bytes = random_weights(DType::q4_1, rows, cols, 5);
  const Tensor w = gpu.backend->adopt_weight(host_weight(DType::q4_1, rows, cols, bytes));
  const Tensor x = gpu.tensor(random_floats(tokens * cols, 6), tokens, cols);
  const Tensor all = gpu.backend->make(DType::f32, tokens, rows), some = gpu.backend->make(DType::f32, tokens, rows);
  gpu.backend->matmul(x, 0, {{all, w}});
  gpu.backend->matmul(row_view(x, 0, 50), 0, {{row_view(some, 0, 50), w}});
  gpu.backend->matmul(row_view(x, 50, 80), 0, {{row_view(some, 50, 80), w}});
  CHECK(gpu.values(all) == gpu.values(some));
}

TEST_CASE("cuda: the largest and the smallest activations of a prompt keep eleven bits", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  const std::size_t cols = 64, rows = 3, tokens = 20;
  const std::vector<std::byte> bytes = random_weights(DType::f16, rows, cols, 5);
  for (const float size : {1e-33f, 1e-3f, 1e6f, 1e33f}) {
    INFO(size);
    const std::vector<float> x = random_floats(tokens * cols, 6, size);
    pair.compare(kElevenBits, [&](const Side& side) {
      const Tensor out = side.backend->make(DType::f32, tokens, rows);
      side.backend->matmul(side.tensor(x, tokens, cols), 0,
                           {{out, side.backend->adopt_weight(host_weight(DType::f16, rows, cols, bytes))}});
      return out;
    });
  }
}

TEST_CASE("cuda: tokens are looked up in tables of every type", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  for (const DTypeInfo& type : kDTypes) {
    for (const std::size_t cols : {512u, 32u, 21u}) {
      if (!fits(type, cols)) continue;
      INFO(type.name << " " << cols);
      const std::vector<std::byte> bytes = random_weights(type.id, 9, cols, 3);
      const std::vector<TokenId> ids = {8, 0, 3, 3};
      pair.compare(1e-7, [&](const Side& side) {
        const Tensor out = side.backend->make(DType::f32, ids.size(), cols);
        side.backend->embed(out, side.backend->adopt_weight(host_weight(type.id, 9, cols, bytes)), ids, 3.5f);
        return out;
      });
    }
  }
}

TEST_CASE("cuda: what is done between the products is what the reference does", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  const std::size_t tokens = 5, cols = 3 * 36;
  const std::vector<float> x = random_floats(tokens * cols, 1, 4), y = random_floats(tokens * cols, 2);
  const std::vector<float> gain = random_floats(36, 3), frequencies = random_floats(7, 4);
  const std::vector<SequenceId> sequence(tokens, 0);
  const std::vector<std::int32_t> position = {0, 1, 17, 4000, 131071};
  const std::vector<std::size_t> rows = {4, 0, 4};
  const auto host = [](const std::vector<float>& values) {
    return Tensor{DType::f32, 1, values.size(), const_cast<float*>(values.data())};
  };
  SECTION("norms of rows and of heads") {
    for (const std::vector<float>* gains : {&gain, &x})
      pair.compare(kRounding, [&](const Side& side) {
        const Tensor in = side.tensor(x, gains == &gain ? tokens : 1, gains == &gain ? cols : tokens * cols);
        side.backend->rms_norm(in, in, side.backend->adopt_weight(host(*gains)), 1e-5f);
        return in;
      });
  }
  SECTION("sums, of rows and of one row") {
    for (const std::size_t summed : {tokens, std::size_t{1}})
      pair.compare(0, [&](const Side& side) {
        const Tensor sum = side.tensor(x, tokens, cols);
        side.backend->add(
            sum, side.tensor({y.begin(), y.begin() + static_cast<std::ptrdiff_t>(summed * cols)}, summed, cols));
        return sum;
      });
  }
  SECTION("soft caps") {
    pair.compare(kRounding, [&](const Side& side) {
      const Tensor capped = side.tensor(x, tokens, cols);
      side.backend->soft_cap(capped, 5);
      return capped;
    });
  }
  SECTION("rows that are gathered") {
    pair.compare(0, [&](const Side& side) {
      const Tensor out = side.backend->make(DType::f32, rows.size(), cols);
      side.backend->gather(out, side.tensor(x, tokens, cols), rows);
      return out;
    });
  }
  SECTION("rotations, of both styles and of parts of heads") {
    for (const RopeStyle style : {RopeStyle::adjacent, RopeStyle::halves})
      pair.compare(kRounding, [&](const Side& side) {
        const Tensor rotations = side.backend->make(DType::f32, tokens, 14), turned = side.tensor(x, tokens, cols);
        side.backend->rotations(rotations, side.backend->adopt_weight(host(frequencies)), {sequence, position, 0});
        side.backend->rope(turned, 36, rotations, style);
        return turned;
      });
  }
}

TEST_CASE("cuda: feed-forward networks, also into their own input", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  const std::size_t width = 96, hidden = 160;
  const std::vector<std::byte> gate = random_weights(DType::q8_0, hidden, width, 1),
                               up = random_weights(DType::q5_0, hidden, width, 2),
                               down = random_weights(DType::f16, width, hidden, 3);
  for (const Gate act : {Gate::silu, Gate::gelu}) {
    for (const auto& [tokens, few] : {std::pair<std::size_t, std::size_t>{2, 2}, {21, 3}}) {
      const std::size_t rows = tokens, at_first = few;
      const std::vector<float> x = random_floats(tokens * width, 9, 0.1f);
      pair.compare(few == tokens ? 1e-5 : 3e-3, [&](const Side& side) {
        const Tensor in = side.tensor(x, rows, width);
        const Tensor w_gate = side.backend->adopt_weight(host_weight(DType::q8_0, hidden, width, gate)),
                     w_up = side.backend->adopt_weight(host_weight(DType::q5_0, hidden, width, up)),
                     w_down = side.backend->adopt_weight(host_weight(DType::f16, width, hidden, down));
        side.backend->feed_forward(in, in, at_first, {w_gate, w_up, w_down, act});
        return in;
      });
    }
  }
}

namespace {

struct Heads {
  std::size_t heads, kv_heads, head_dim;
};

// Two sequences in a ring of `slots`, the first of them around it.
KvLayer fill_cache(const Side& side, const Heads& h, DType type, std::size_t slots) {
  const std::size_t cols = h.kv_heads * h.head_dim, length = slots + 5;
  Backend& b = *side.backend;
  const KvLayer layer{b.make(type, 2 * slots, cols), b.make(type, 2 * slots, cols), slots};
  for (const SequenceId sequence : {0, 1}) {
    const std::size_t rows = sequence == 0 ? length : slots / 2;
    const std::vector<SequenceId> sequences(rows, sequence);
    std::vector<std::int32_t> positions(rows);
    for (std::size_t i = 0; i < rows; ++i) positions[i] = static_cast<std::int32_t>(i);
    // In two parts: no slot is written twice by one call.
    for (const auto& [first, end] : {std::pair<std::size_t, std::size_t>{0, std::min(rows, slots)}, {slots, rows}}) {
      if (first >= end) continue;
      const std::size_t n = end - first;
      b.store(layer, side.tensor(random_floats(n * cols, 11 + static_cast<unsigned>(first)), n, cols),
              side.tensor(random_floats(n * cols, 12 + static_cast<unsigned>(first)), n, cols),
              {std::span(sequences).subspan(first, n), std::span(positions).subspan(first, n), 0});
    }
  }
  return layer;
}

struct Where {
  SequenceId sequence;
  std::size_t position;
};

Tensor attend_at(const Side& side, const KvLayer& layer, const Heads& h, const std::vector<Where>& places,
                 std::size_t few, std::size_t window, float cap) {
  std::vector<SequenceId> sequences;
  std::vector<std::int32_t> positions;
  for (const Where& place : places) {
    sequences.push_back(place.sequence);
    positions.push_back(static_cast<std::int32_t>(place.position));
  }
  const std::size_t cols = h.heads * h.head_dim;
  const Tensor q = side.tensor(random_floats(places.size() * cols, 13, 2), places.size(), cols);
  const Tensor out = side.backend->make(DType::f32, places.size(), cols);
  side.backend->attend(out, q, layer, {sequences, positions, few},
                       {h.heads, h.kv_heads, h.head_dim, 0.3f, cap, window});
  return out;
}

const std::vector<Heads> kHeads = {{4, 2, 32}, {9, 1, 64}, {2, 2, 256}, {3, 1, 18}, {1, 1, 320}};
constexpr DType kCaches[] = {DType::f16, DType::bf16, DType::q8_0, DType::f32};

}  // namespace

TEST_CASE("cuda: attention of few tokens, over every cache, ring and window, is the reference's", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  for (const Heads& h : kHeads) {
    for (const DType type : kCaches) {
      if (h.head_dim % info(type).block != 0) continue;
      for (const std::size_t slots : {40u, 333u}) {
        INFO(info(type).name << " heads " << h.heads << " of " << h.head_dim << ", slots " << slots);
        const std::size_t last = slots + 4;
        const std::vector<Where> places = {{0, last}, {1, 0}, {1, slots / 2 - 1}, {0, last - 1}};
        for (const std::size_t window : {std::size_t{7}, slots - 3})
          pair.compare(1e-5, [&](const Side& side) {
            return attend_at(side, fill_cache(side, h, type, slots), h, places, 4, window, window == 7 ? 20.0f : 0.0f);
          });
      }
    }
  }
}

TEST_CASE("cuda: attention of prompts, over every cache, ring and window, is the reference's", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  for (const Heads& h : kHeads) {
    for (const DType type : kCaches) {
      if (h.head_dim % info(type).block != 0) continue;
      const std::size_t slots = 150, last = slots + 4, count = 45;
      std::vector<Where> places = {{1, 30}};  // few
      for (std::size_t i = 0; i < count; ++i) places.push_back({0, last + 1 - count + i});
      for (std::size_t i = 0; i < 20; ++i) places.push_back({1, 40 + i});
      for (const std::size_t window : {std::size_t{7}, slots - count, std::size_t{0}}) {
        INFO(info(type).name << " heads " << h.heads << " of " << h.head_dim << ", window " << window);
        if (window == 0) places.erase(places.begin() + 1, places.begin() + 1 + static_cast<std::ptrdiff_t>(count));
        pair.compare(kOfSharpSoftmax, [&](const Side& side) {
          return attend_at(side, fill_cache(side, h, type, slots), h, places, 1, window, window == 7 ? 20.0f : 0.0f);
        });
      }
    }
  }
}

TEST_CASE("cuda: what is stored is read back byte for byte, as the CPU stores it", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Pair pair;
  const std::size_t cols = 64, slots = 8;
  const std::vector<float> x = random_floats(3 * cols, 1, 3);
  const std::vector<SequenceId> sequence = {0, 0, 1};
  const std::vector<std::int32_t> position = {6, 9, 2};
  for (const DType type : {DType::f16, DType::bf16, DType::q8_0, DType::f32}) {
    std::vector<std::vector<std::byte>> stored;
    for (const Side* side : {&pair.cpu, &pair.gpu}) {
      const KvLayer layer{side->backend->make(type, 2 * slots, cols), side->backend->make(type, 2 * slots, cols),
                          slots};
      const Tensor rows = side->tensor(x, 3, cols);
      side->backend->store(layer, rows, rows, {sequence, position, 3});
      for (const Tensor& part : {layer.k, layer.v}) {
        stored.emplace_back(byte_size(part));
        side->backend->read(stored.back(), part);
      }
    }
    INFO(info(type).name);
    CHECK(stored[0] == stored[2]);
    CHECK(stored[1] == stored[3]);
  }
}

TEST_CASE("cuda: memory that is not there is refused, with what is left", "[cuda]") {
  CARAT_NEEDS_GPU();
  const auto backend = make_gpu_backend(0);
  const std::size_t more = find_gpus().found[0].memory;
  CHECK_THROWS_WITH(backend->make(DType::f32, more / 1024, 1024), Catch::Contains("MiB are left"));
  CHECK_NOTHROW(backend->make(DType::f32, 1, 4));
}
