// Every model of the fixtures, on every instruction set, against logits of an independent engine and of exact
// arithmetic: how close is close enough is said in the fixtures' README.md.
#include "test/support/golden_logits.h"

#include <filesystem>

#include "test/support/catch.h"

using namespace carat;
namespace fs = std::filesystem;
using test::beside, test::read_floats, test::read_ids;

namespace {

struct Distance {
  double worst = 0;
  double mean_square = 0;
};

Distance distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  Distance d;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    d.worst = std::max(d.worst, difference);
    d.mean_square += difference * difference / static_cast<double>(a.size());
  }
  return d;
}

std::vector<float> logits_of(const ModelFile& file, std::string_view isa, std::size_t batch,
                             const std::vector<TokenId>& ids, const CacheTypes& cache = {}) {
  return test::logits_of(load_model(file, make_cpu_backend({2, std::string(isa)})), batch, ids, cache);
}

std::vector<fs::path> models() { return test::models_of({"micro", "tiny"}); }

}  // namespace

TEST_CASE("golden logits: f16 files within 0.01 of the other engine, quantised files nearer to exact than it",
          "[golden]") {
  CARAT_NEEDS_FIXTURES();
  for (const fs::path& path : models()) {
    const ModelFile file = open_model_file(path);
    const std::vector<TokenId> ids = read_ids(path.parent_path() / "tokens.txt");
    const std::vector<float> other = read_floats(beside(path, ".logits.f32"));
    const bool quantised = fs::exists(beside(path, ".exact.f32"));
    for (const std::string_view isa : usable_isas()) {
      for (const std::size_t batch : {1, 512}) {
        if (isa == "reference" && batch == 1) continue;  // the same arithmetic, and slow
        const std::vector<float> ours = logits_of(file, isa, batch, ids);
        INFO(path.filename() << " " << isa << " batch " << batch);
        if (!quantised) {
          CHECK(distance(ours, other).worst < 0.01);
          continue;
        }
        const std::vector<float> exact = read_floats(beside(path, ".exact.f32"));
        const Distance mine = distance(ours, exact), theirs = distance(other, exact);
        const bool in_bf16 = isa == "amx" && batch > 1;
        if (!in_bf16) CHECK(mine.worst < 0.01);  // theirs is ten times that
        CHECK(mine.worst < theirs.worst);
        CHECK(mine.mean_square < theirs.mean_square);
      }
    }
  }
}

TEST_CASE("golden logits: a prompt cut into batches gives the same, to rounding", "[golden]") {
  CARAT_NEEDS_FIXTURES();
  for (const fs::path& path : models()) {
    const ModelFile file = open_model_file(path);
    const std::vector<TokenId> ids = read_ids(path.parent_path() / "tokens.txt");
    for (const std::string_view isa : usable_isas()) {
      if (isa == "reference") continue;  // nothing is rounded there
      const double rounding = isa == "amx" ? 0.1 : 3e-3;
      const std::vector<float> whole = logits_of(file, isa, 512, ids);
      for (const std::size_t batch : {1, 7, 32}) {
        INFO(path.filename() << " " << isa << " batch " << batch);
        CHECK(distance(logits_of(file, isa, batch, ids), whole).worst < rounding);
      }
    }
  }
}

TEST_CASE("golden logits: a cache of q8_0 or bf16 moves them by less than 0.1", "[golden]") {
  CARAT_NEEDS_FIXTURES();
  for (const fs::path& path : models()) {
    const ModelFile file = open_model_file(path);
    if (read_config(file).head_dim % 32 != 0) continue;
    const std::vector<TokenId> ids = read_ids(path.parent_path() / "tokens.txt");
    for (const std::string_view isa : usable_isas()) {
      if (isa == "reference") continue;  // slow
      const std::vector<float> with_halves = logits_of(file, isa, 512, ids);
      for (const DType type : {DType::q8_0, DType::bf16}) {
        INFO(path.filename() << " " << isa << " " << info(type).name);
        CHECK(distance(logits_of(file, isa, 512, ids, {type, type}), with_halves).worst < 0.1);
      }
    }
  }
}
