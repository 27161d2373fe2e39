// Every kernel of every instruction set this machine has, against the reference row, at sizes around the registers.
#include <sys/mman.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/half.h"
#include "kernels/quant/codecs.h"
#include "test/support/catch.h"
#include "test/support/random_tensors.h"

using namespace carat;
using cpu::Table;
using test::random_floats, test::random_weights;

namespace {

std::vector<const Table*> fast_tables() {
  const auto all = cpu::usable();
  return {all.begin(), all.end() - 1};
}

struct QuantisedRow {
  std::vector<std::int16_t> q;
  std::vector<std::int8_t> bytes;
  std::vector<std::int32_t> bias;
  std::vector<float> scale, sum, half_sum;
  cpu::Activation view;

  int code(const Table& table, std::size_t i) const {
    if (!table.codes_in_bytes) return q[i];
    const std::size_t high = cpu::place_of_high_byte(i);
    return 256 * bytes[high] + static_cast<std::uint8_t>(bytes[high + 64]);
  }
};

QuantisedRow quantise(const Table& table, const std::vector<float>& x) {
  const std::size_t n = x.size(), groups = n / cpu::kGroup;
  QuantisedRow row{std::vector<std::int16_t>(n),
                   std::vector<std::int8_t>(256 * cpu::quads(n)),
                   std::vector<std::int32_t>(32 * cpu::quads(n)),
                   std::vector<float>(groups),
                   std::vector<float>(groups),
                   std::vector<float>(2 * groups),
                   {}};
  const cpu::Quantised to{row.q.data(),     row.bytes.data(), row.bias.data(),
                          row.scale.data(), row.sum.data(),   row.half_sum.data()};
  table.quantize_activation(x.data(), groups * cpu::kGroup, to);
  row.view = {x.data(), to.q, to.bytes, to.bias, to.scale, to.sum, to.half_sum, nullptr};
  return row;
}

// A few tokens side by side.
struct QuantisedRows {
  std::vector<std::int8_t> bytes;
  std::vector<float> scale, sum, half_sum;
  std::vector<std::int32_t> high_sum;
  cpu::Together view;
};

QuantisedRows bring_together(const Table& table, const std::vector<cpu::Activation>& x, std::size_t cols) {
  const std::size_t groups = cols / cpu::kGroup, n = cpu::kFewTokens;
  QuantisedRows rows{std::vector<std::int8_t>(2 * cols * n),
                     std::vector<float>(groups * n),
                     std::vector<float>(groups * n),
                     std::vector<float>(2 * groups * n),
                     std::vector<std::int32_t>(2 * groups * n),
                     {}};
  rows.view = {rows.bytes.data(), rows.scale.data(), rows.sum.data(), rows.half_sum.data(), rows.high_sum.data()};
  table.bring_together(x.data(), x.size(), 0, groups, rows.view);
  return rows;
}

// Bytes that end with a page, behind which there is nothing.
class AtTheEnd {
 public:
  explicit AtTheEnd(const std::vector<std::byte>& bytes) : size_((bytes.size() + kPage - 1) / kPage * kPage + kPage) {
    pages_ =
        static_cast<std::byte*>(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(pages_ != MAP_FAILED);
    bytes_ = pages_ + size_ - kPage - bytes.size();
    std::ranges::copy(bytes, bytes_);
    REQUIRE(::mprotect(pages_ + size_ - kPage, kPage, PROT_NONE) == 0);
  }
  AtTheEnd(const AtTheEnd&) = delete;
  AtTheEnd& operator=(const AtTheEnd&) = delete;
  ~AtTheEnd() { ::munmap(pages_, size_); }

  const std::byte* data() const { return bytes_; }

 private:
  static constexpr std::size_t kPage = 4096;
  std::size_t size_;
  std::byte *pages_, *bytes_;
};

double norm(const std::vector<float>& x) {
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE("row products agree with the reference for every type, on every instruction set, at odd sizes", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  for (const DTypeInfo& type : kDTypes) {
    for (const std::size_t blocks : {1, 2, 3, 7, 8, 9, 17, 28, 36, 63}) {
      const std::size_t cols = type.block == 1 ? 8 * blocks + blocks % 3 : blocks * type.block, rows = 3;
      const AtTheEnd w(random_weights(type.id, rows, cols, 17));
      const std::vector<float> x = random_floats(cols, 23, 3);
      const QuantisedRow row = quantise(*isa, x);
      std::vector<float> found(rows), expected(rows);
      const auto index = static_cast<std::size_t>(type.id);
      isa->row_products[index](w.data(), rows, cols, row.view, found.data());
      cpu::kReference.row_products[index](w.data(), rows, cols, row.view, expected.data());
      INFO(isa->name << " " << type.name << " " << cols << " columns");
      for (std::size_t r = 0; r < rows; ++r) CHECK(found[r] == Approx(expected[r]).margin(3e-4 * norm(x)));
    }
  }
}

TEST_CASE("a few tokens at once get the bits that each gets alone", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::size_t tokens = GENERATE(2, 3, 5, 16), rows = GENERATE(1, 4, 7, 17);
  for (const DTypeInfo& type : kDTypes) {
    for (const std::size_t blocks : {1, 2, 3, 7, 8, 17, 36, 47}) {
      const std::size_t cols = type.block == 1 ? 61 * blocks + 3 : blocks * type.block;
      const AtTheEnd w(random_weights(type.id, rows, cols, 29));
      std::vector<std::vector<float>> x;
      std::vector<QuantisedRow> quantised;
      std::vector<cpu::Activation> views;
      for (unsigned t = 0; t < tokens; ++t) {
        x.push_back(random_floats(cols, t, 2));
        quantised.push_back(quantise(*isa, x.back()));
      }
      for (std::size_t t = 0; t < tokens; ++t) {
        views.push_back(quantised[t].view);
        views[t].exact = x[t].data();
      }
      const auto index = static_cast<std::size_t>(type.id);
      INFO(isa->name << " " << type.name << " " << cols << " columns " << rows << " rows " << tokens << " tokens");
      const auto check = [&] {
        std::vector<float> found(tokens * (rows + 2)), alone(rows);
        isa->few_rows[index](w.data(), rows, cols, views.data(), tokens, found.data(), rows + 2);
        for (std::size_t t = 0; t < tokens; ++t) {
          isa->row_products[index](w.data(), rows, cols, views[t], alone.data());
          CHECK(std::equal(alone.begin(), alone.end(), found.begin() + static_cast<std::ptrdiff_t>(t * (rows + 2))));
        }
      };
      check();
      if (isa->bring_together == nullptr || type.block == 1) continue;
      const QuantisedRows together = bring_together(*isa, views, cols);
      views[0].together = &together.view;
      check();
    }
  }
}

TEST_CASE("unpacked weights are bit for bit those of the codec", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  for (const DTypeInfo& type : kDTypes) {
    for (const std::size_t blocks : {1, 2, 7, 8, 9, 19}) {
      const std::size_t cols = type.block == 1 ? 5 * blocks + 1 : blocks * type.block;
      const auto w = random_weights(type.id, 1, cols, 5);
      std::vector<float> found(cols), expected(cols);
      isa->dequantize[static_cast<std::size_t>(type.id)](w.data(), found.data(), cols);
      dequantize_row(type.id, w.data(), expected.data(), cols);
      INFO(isa->name << " " << type.name << " " << cols << " columns");
      CHECK(found == expected);
    }
  }
}

TEST_CASE("blocks of any bits are multiplied and unpacked without a fault", "[isa][robust]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  std::mt19937 random(3);
  for (const DTypeInfo& type : kDTypes) {
    const std::size_t cols = type.block == 1 ? 96 : 3 * type.block;
    std::vector<std::byte> w(row_bytes(type.id, cols));
    for (std::byte& b : w) b = static_cast<std::byte>(random());
    const std::vector<float> x = random_floats(cols, 1);
    const QuantisedRow row = quantise(*isa, x);
    std::vector<float> out(cols);
    isa->row_products[static_cast<std::size_t>(type.id)](w.data(), 1, cols, row.view, out.data());
    isa->dequantize[static_cast<std::size_t>(type.id)](w.data(), out.data(), cols);
  }
  SUCCEED();
}

TEST_CASE("activations keep fifteen bits of their group's largest element", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::vector<float> x = random_floats(96, 9, 100);
  const QuantisedRow row = quantise(*isa, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t g = i / cpu::kGroup;
    CHECK(std::abs(row.scale[g] * static_cast<float>(row.code(*isa, i)) - x[i]) <= 0.5001f * row.scale[g]);
  }
  for (std::size_t g = 0; g < 3; ++g) {
    double sum = 0;
    for (std::size_t i = 0; i < cpu::kGroup; ++i) {
      sum += row.scale[g] * static_cast<float>(row.code(*isa, g * cpu::kGroup + i));
    }
    CHECK(row.sum[g] == Approx(sum).epsilon(1e-5).margin(1e-2));
    CHECK(row.half_sum[2 * g] + row.half_sum[2 * g + 1] == Approx(row.sum[g]).epsilon(1e-5).margin(1e-3));
  }
}

TEST_CASE("a group of zeros, of infinities or of NaN is quantised without a fault", "[isa][robust]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const QuantisedRow zeros = quantise(*isa, std::vector<float>(32, 0.0f));
  for (std::size_t i = 0; i < 32; ++i) CHECK(zeros.code(*isa, i) == 0);
  quantise(*isa, std::vector<float>(32, HUGE_VALF));
  quantise(*isa, std::vector<float>(32, NAN));
  quantise(*isa, std::vector<float>(32, 1e-42f));
}

namespace {

Tensor random_activations(Backend& backend, std::size_t rows, std::size_t cols, unsigned seed) {
  const Tensor x = backend.make(DType::f32, rows, cols);
  const std::vector<float> values = random_floats(rows * cols, seed);
  std::copy(values.begin(), values.end(), static_cast<float*>(x.where));
  return x;
}

std::vector<float> values_of(Backend& backend, const Tensor& x) {
  std::vector<float> out(x.rows * x.cols);
  backend.read(out, x);
  return out;
}

double worst_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, static_cast<double>(std::abs(a[i] - b[i])));
  return worst;
}

}  // namespace

TEST_CASE("products with many tokens agree with the reference, for every type, however rows and tokens are cut",
          "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::size_t rows = GENERATE(1, 5, 49), tokens = GENERATE(4, 16, 33, 49, 65);
  for (const DTypeInfo& type : kDTypes) {
    // Weights of single elements come in rows that are whole groups, too: some are multiplied as integers then.
    for (const std::size_t cols : type.block == 1    ? std::vector<std::size_t>{525, 544}
                                  : type.block == 32 ? std::vector<std::size_t>{1056}
                                                     : std::vector<std::size_t>{768}) {
      std::vector<std::byte> bytes = random_weights(type.id, rows, cols, 31);
      const Tensor w{type.id, rows, cols, bytes.data()};
      const auto multiply = [&](const Table& table) {
        cpu::CpuBackend backend(table, {2, ""});
        const Tensor out = backend.make(DType::f32, tokens, rows);
        backend.matmul(random_activations(backend, tokens, cols, 37), 0, {{out, w}});
        return values_of(backend, out);
      };
      INFO(isa->name << " " << type.name << " " << cols << " columns " << rows << " rows " << tokens << " tokens");
      const bool rounds_to_bf16 = isa->unpack_tiles[0] != nullptr && type.block > 1;
      const bool in_codes = isa->codes[static_cast<std::size_t>(type.id)].unpack != nullptr && cols % cpu::kGroup == 0;
      // Of sums of ~1000 products of normal numbers, 32 or so; integers keep 14 bits of a token.
      const double rounding = rounds_to_bf16 ? 0.5 : in_codes ? 8e-3 : 1e-3;
      CHECK(worst_difference(multiply(*isa), multiply(cpu::kReference)) < rounding);
    }
  }
}

TEST_CASE("gated feed-forward networks of many tokens agree with the reference, whatever types they mix", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::size_t tokens = GENERATE(4, 33, 65), hidden = GENERATE(32, 224);
  const std::size_t width = 96;
  const DType q4 = DType::q4_0, q5 = DType::q5_1, f16 = DType::f16;
  for (const auto& [gate, up, down] : {std::array{q4, q4, q5}, {q5, f16, q4}, {f16, f16, q4}, {q4, q4, f16}}) {
    std::vector<std::byte> gate_bytes = random_weights(gate, hidden, width, 3),
                           up_bytes = random_weights(up, hidden, width, 5),
                           down_bytes = random_weights(down, width, hidden, 7);
    const Tensor w_gate{gate, hidden, width, gate_bytes.data()}, w_up{up, hidden, width, up_bytes.data()},
        w_down{down, width, hidden, down_bytes.data()};
    const auto feed = [&](const Table& table) {
      cpu::CpuBackend backend(table, {2, ""});
      const Tensor out = backend.make(DType::f32, tokens, width);
      backend.feed_forward(out, random_activations(backend, tokens, width, 9), 0, {w_gate, w_up, w_down, Gate::gelu});
      return values_of(backend, out);
    };
    const std::vector<float> expected = feed(cpu::kReference);
    INFO(isa->name << " " << info(gate).name << " " << info(down).name << " " << hidden << " " << tokens << " tokens");
    CHECK(worst_difference(feed(*isa), expected) < (isa->unpack_tiles[0] != nullptr ? 0.1 : 2e-4) * norm(expected));
  }
}

TEST_CASE("integer products of a panel do not overflow, even with the largest codes and tokens", "[isa][robust]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::size_t tokens = 4;
  BlockQ6_K block{};  // every code -32, every scale -128
  std::fill(std::begin(block.scales), std::end(block.scales), std::int8_t{-128});
  block.d = half_from_float(1.0f);
  const Tensor w{DType::q6_k, 1, 256, &block};
  cpu::CpuBackend backend(*isa, {1, ""});
  const Tensor x = backend.make(DType::f32, tokens, 256), out = backend.make(DType::f32, tokens, 1);
  std::fill_n(static_cast<float*>(x.where), tokens * 256, 1.0f);
  backend.matmul(x, 0, {{out, w}});
  for (const float sum : values_of(backend, out)) CHECK(sum == Approx(256.0 * 32 * 128));
}

TEST_CASE("norms, gates, caps and rotations agree with the reference", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::size_t n = GENERATE(1, 3, 7, 8, 15, 16, 17, 64, 100);
  const std::vector<float> x = random_floats(n, 41, 4), y = random_floats(n, 43);
  const auto same = [&](const char* what, auto apply) {
    std::vector<float> found = x, expected = x;
    apply(*isa, found.data());
    apply(cpu::kReference, expected.data());
    INFO(isa->name << " " << what << " " << n);
    for (std::size_t i = 0; i < n; ++i) CHECK(found[i] == Approx(expected[i]).epsilon(1e-5).margin(1e-6));
  };
  same("add", [&](const Table& t, float* v) { t.add(v, y.data(), n); });
  same("scale", [&](const Table& t, float* v) { t.scale(v, n, 1.7f); });
  same("silu_gate", [&](const Table& t, float* v) { t.silu_gate(v, y.data(), n); });
  same("gelu_gate", [&](const Table& t, float* v) { t.gelu_gate(v, y.data(), n); });
  same("soft_cap", [&](const Table& t, float* v) { t.soft_cap(v, n, 3.0f); });
  same("rms_norm", [&](const Table& t, float* v) { t.rms_norm(v, v, y.data(), n, 1e-6f); });
  same("rope_adjacent", [&](const Table& t, float* v) { t.rope_adjacent(v, y.data(), n / 2); });
  same("rope_halves", [&](const Table& t, float* v) { t.rope_halves(v, y.data(), n / 2); });
}

TEST_CASE("gates and caps saturate where exp overflows, instead of turning into NaN", "[isa]") {
  const Table* isa = GENERATE(from_range(cpu::usable().begin(), cpu::usable().end()));
  std::vector<float> x = {-1e4f, 1e4f, -90, 90}, ones(4, 1.0f);
  isa->silu_gate(x.data(), ones.data(), 4);
  CHECK(std::abs(x[0]) < 1e-20f);
  CHECK(x[1] == 1e4f);
  x = {-1e4f, 1e4f, -90, 90};
  isa->gelu_gate(x.data(), ones.data(), 4);
  CHECK(std::abs(x[0]) < 1e-20f);
  CHECK(x[1] == 1e4f);
  x = {-1e30f, 1e30f, 0, 1};
  isa->soft_cap(x.data(), 4, 30);
  CHECK(x[0] == Approx(-30));
  CHECK(x[1] == Approx(30));
}

TEST_CASE("halves are rounded as the codec rounds them", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  std::vector<float> x = random_floats(77, 47, 1000);
  for (const float special : {0.0f, -0.0f, 65504.0f, 65520.0f, 1e-8f, 6e-8f, 2049.0f, 2051.0f}) x.push_back(special);
  constexpr auto kF16 = static_cast<std::size_t>(DType::f16);
  std::vector<std::byte> found(2 * x.size()), expected(2 * x.size());
  isa->quantize[kF16](x.data(), found.data(), x.size());
  cpu::kReference.quantize[kF16](x.data(), expected.data(), x.size());
  CHECK(found == expected);
}

namespace {

// A cached head of random keys and values, in a ring of 150 rows, each with room for two heads.
struct RandomCache {
  std::vector<std::byte> k, v;
  cpu::CachedHead head;
  explicit RandomCache(std::size_t head_dim, DType k_type = DType::f16, DType v_type = DType::f16)
      : k(random_weights(k_type, 150, 2 * head_dim, 2)), v(random_weights(v_type, 150, 2 * head_dim, 3)) {
    const auto rows = [&](const std::vector<std::byte>& from, DType type) {
      return cpu::CachedRows{from.data(), row_bytes(type, head_dim), row_bytes(type, 2 * head_dim), type};
    };
    head = {rows(k, k_type), rows(v, v_type), 150, head_dim};
  }
};

void check_close(const std::vector<float>& found, const std::vector<float>& expected) {
  float worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::abs(found[i] - expected[i]));
  CHECK(worst < 1e-4f);
}

}  // namespace

TEST_CASE("attention of one token agrees with the reference over rings, caps and head sizes", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::size_t head_dim = GENERATE(8, 24, 64, 80, 256), last = GENERATE(0, 1, 63, 64, 200);
  const float cap = GENERATE(0.0f, 5.0f);
  const std::size_t queries = GENERATE(1, 3, 7);
  const RandomCache cache(head_dim);
  const std::vector<float> q = random_floats(queries * head_dim, 1, 2);
  const auto attend = [&](const Table& table) {
    std::vector<float> out(queries * head_dim);
    std::vector<cpu::RunningSoftmax> softmax(queries);
    cpu::Attention a{cache.head, q.data(),   queries,       last < 150 ? 0 : last - 149, last, 0.3f,
                     cap,        out.data(), softmax.data()};
    table.attend(a);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] /= softmax[i / head_dim].sum;
    return out;
  };
  INFO(isa->name << " head " << head_dim << " last " << last << " cap " << cap);
  check_close(attend(*isa), attend(cpu::kReference));
}

TEST_CASE("attention of a block of tokens agrees with the reference over windows, rings and head sizes", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const std::size_t head_dim = GENERATE(8, 24, 64, 80, 256), position = GENERATE(0, 1, 60, 129, 170);
  const std::size_t window = GENERATE(0, 5, 70);
  const std::size_t queries = 3, tokens = 16, stride = queries * head_dim + 5;
  if (window == 0 && position + tokens > 150) return;  // only a window may be longer ago than the ring holds
  const RandomCache cache(head_dim);
  const std::vector<float> q = random_floats(tokens * stride, 1, 2);
  const auto attend = [&](const Table& table) {
    std::vector<float> out(q.size());
    cpu::AlignedFloats scratch;
    scratch.grow(cpu::attention_scratch(head_dim));
    cpu::BlockAttention a{
        cache.head, q.data(),      stride, tokens, queries, position, window, 0.3f, window == 5 ? 4.0f : 0.0f,
        out.data(), scratch.data()};
    table.attend_block(a);
    return out;
  };
  INFO(isa->name << " head " << head_dim << " position " << position << " window " << window);
  check_close(attend(*isa), attend(cpu::kReference));
}

TEST_CASE("attention reads keys and values of every type that a cache is kept in", "[isa]") {
  const Table* isa = GENERATE(from_range(fast_tables()));
  const DType k = GENERATE(DType::f16, DType::bf16, DType::q8_0, DType::f32);
  const DType v = GENERATE(DType::f16, DType::bf16, DType::q8_0, DType::f32);
  const std::size_t head_dim = GENERATE(32, 96), queries = 2, tokens = 20, last = 99;
  const RandomCache cache(head_dim, k, v);
  const std::vector<float> q = random_floats(tokens * queries * head_dim, 1, 2);
  const auto one = [&](const Table& table) {
    std::vector<float> out(queries * head_dim);
    std::vector<cpu::RunningSoftmax> softmax(queries);
    table.attend({cache.head, q.data(), queries, 0, last, 0.3f, 0, out.data(), softmax.data()});
    for (std::size_t i = 0; i < out.size(); ++i) out[i] /= softmax[i / head_dim].sum;
    return out;
  };
  const auto block = [&](const Table& table) {
    std::vector<float> out(q.size());
    cpu::AlignedFloats scratch;
    scratch.grow(cpu::attention_scratch(head_dim));
    table.attend_block(
        {cache.head, q.data(), queries * head_dim, tokens, queries, last - 30, 0, 0.3f, 0, out.data(), scratch.data()});
    return out;
  };
  INFO(isa->name << " " << info(k).name << " " << info(v).name << " head " << head_dim);
  check_close(one(*isa), one(cpu::kReference));
  check_close(block(*isa), block(cpu::kReference));
}

TEST_CASE("an instruction set is found by its name, and only if the machine has it", "[isa]") {
  CHECK(cpu::select("") == cpu::usable().front());
  CHECK(cpu::select("reference") == &cpu::kReference);
  CHECK(cpu::select("baseline") == &cpu::kBaseline);
  CHECK(cpu::select("mmx") == nullptr);
}
