// Spoilt `.sbs` files: whatever the bytes, the reader refuses or gives what lies inside them.
#include <functional>

#include "engine/error.h"
#include "engine/file/sbs_store.h"
#include "engine/model.h"
#include "test/support/catch.h"
#include "test/support/corrupt.h"
#include "test/support/tiny_sbs.h"

namespace carat {
namespace {

using Catch::Contains;
using test::Bytes;
using test::SbsBlobs;

// Reads every byte that the file promises to hold, and binds the model, so that a sanitizer sees a broken promise.
void touch(const ModelFile& file) {
  unsigned sum = 0;
  for (const FileTensor& tensor : file.tensors())
    for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
  for (const Metadata::Entry& entry : file.metadata().entries())
    sum += static_cast<unsigned>(describe(entry.value).size());
  volatile unsigned kept = sum;
  (void)kept;
}

// Errors of ours mean refused; anything else that is thrown fails the test.
bool opens(const Bytes& bytes) {
  try {
    const ModelFile file = parse_sbs(bytes, "f");
    touch(file);
    load_model(file, make_cpu_backend({}));
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Where the blobs lie that say something: every flip of a weight is another weight.
std::vector<std::pair<std::size_t, std::size_t>> telling_ranges(const Bytes& whole) {
  const SbsStore store = read_sbs_store(whole, "f");
  const std::size_t directory = 16 + 32 * store.blobs.size();
  std::vector<std::pair<std::size_t, std::size_t>> ranges = {{0, 16}};
  ranges.emplace_back(store.version == 1 ? 16 : whole.size() - directory, directory);
  for (const char* key : {"config", "toc"}) {
    const auto bytes = store.find(key)->bytes;
    ranges.emplace_back(static_cast<std::size_t>(bytes.data() - whole.data()), bytes.size());
  }
  return ranges;
}

TEST_CASE("sbs: every truncation is refused, none is read past its end", "[sbs][robust]") {
  const Bytes first = test::sbs_v1(test::tiny_sbs_blobs());
  REQUIRE(opens(first));
  test::for_each_prefix(first, [&](const Bytes& cut) {
    if (opens(cut)) FAIL("prefix of " << cut.size());
  });
  const Bytes second = test::sbs_v2(test::tiny_sbs_blobs());
  REQUIRE(opens(second));
  for (std::size_t n = 0; n < second.size(); n += n < 600 || n + 600 > second.size() ? 1 : 97)
    if (opens(Bytes(second.data(), second.data() + n))) FAIL("prefix of " << n);
}

TEST_CASE("sbs: a byte more is refused too", "[sbs][robust]") {
  for (Bytes bytes : {test::sbs_v1(test::tiny_sbs_blobs()), test::sbs_v2(test::tiny_sbs_blobs())}) {
    bytes.push_back({});
    CHECK_FALSE(opens(bytes));
  }
}

TEST_CASE("sbs: bytes of directory, configuration and toc may be anything", "[sbs][robust]") {
  const Bytes whole = test::sbs_v1(test::tiny_sbs_blobs());
  std::size_t accepted = 0, total = 0;
  for (const auto& [first, count] : telling_ranges(whole)) {
    for (std::size_t at = first; at < first + count; ++at) {
      for (const unsigned change : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u, 255u}) {
        Bytes spoilt = whole;
        spoilt[at] ^= static_cast<std::byte>(change);
        accepted += opens(spoilt);
        ++total;
      }
    }
  }
  CHECK(accepted > 0);  // caps, end tokens, scales
  CHECK(accepted < total / 2);
}

TEST_CASE("sbs: every field survives extreme values", "[sbs][robust]") {
  std::size_t refused = 0;
  for (const Bytes& whole : {test::sbs_v1(test::tiny_sbs_blobs()), test::sbs_v2(test::tiny_sbs_blobs())}) {
    for (const auto& [first, count] : telling_ranges(whole)) {
      for (std::size_t at = first; at + 8 <= first + count; at += 4) {
        for (const std::uint64_t value :
             {std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0} >> 1, std::uint64_t{1} << 63,
              std::uint64_t{whole.size()}, std::uint64_t{1} << 32}) {
          for (const std::size_t bytes : {4u, 8u}) {
            Bytes spoilt = whole;
            std::memcpy(spoilt.data() + at, &value, bytes);
            refused += !opens(spoilt);
          }
        }
      }
    }
  }
  CHECK(refused > 0);
}

// What a test changes in the blobs of a sound file, whose configuration and directory it may write anew.
struct Draft {
  SbsBlobs blobs = test::tiny_sbs_blobs();
  SbsConfig config = test::tiny_sbs_config();
  std::vector<SbsTensor> directory = [this] {
    return parse_sbs_toc(std::find_if(blobs.begin(), blobs.end(), [](auto& b) { return b.first == "toc"; })->second,
                         "f");
  }();

  std::vector<std::byte>& blob(std::string_view key) {
    return std::find_if(blobs.begin(), blobs.end(), [&](auto& b) { return b.first == key; })->second;
  }
  Bytes bytes() {
    if (blobs.size() > 3 && blobs[blobs.size() - 3].first == "config") blob("config") = serialise(config);
    if (blobs.back().first == "toc") blob("toc") = serialise_sbs_toc(directory);
    return test::sbs_v1(blobs);
  }
};

struct Case {
  const char* name;
  std::function<void(Draft&)> spoil;
  const char* message;
};

const std::vector<Case> kBad = {
    {"duplicate key", [](Draft& d) { d.blobs[1].first = "c_embedding"; }, "blob 'c_embedding' appears twice"},
    {"empty blob", [](Draft& d) { d.blobs[0].second.clear(); }, "blob 'c_embedding' is empty"},
    {"no toc", [](Draft& d) { d.blobs.pop_back(); }, "f: blob 'toc': is missing"},
    {"in the toc only", [](Draft& d) { d.blobs[0].first = "other"; }, "is in the directory, but not in the file"},
    {"twice in the toc", [](Draft& d) { d.directory.push_back(d.directory[0]); }, "is in the directory twice"},
    {"blob too short", [](Draft& d) { d.blobs[0].second.resize(4); }, "has 4 bytes, expected 320"},
    {"scale 0", [](Draft& d) { d.directory[0].scale = 0; }, "has a scale of 0"},
    {"scale negative", [](Draft& d) { d.directory[0].scale = -1; }, "has a scale of -1"},
    {"other shape", [](Draft& d) { std::swap(d.directory[0].rows, d.directory[0].cols); },
     "tensor 'c_embedding': shape [8, 10], expected [10, 8] by the configuration"},
    {"no rows", [](Draft& d) { d.directory[0].rows = 0; }, "is [0, 8], which no tensor is"},
    {"both forms",
     [](Draft& d) {
       d.blobs.insert(d.blobs.begin(), {"att_w_0", test::numbered(8 * 16, 0)});
       d.directory.push_back({"att_w_0", SbsType::f32, 8, 16, 1});
     },
     "tensor 'blk.0.attn_output.weight': appears twice"},
    {"no layers", [](Draft& d) { d.config.num_layers = 0; }, "num_layers is out of range"},
    {"layer count", [](Draft& d) { d.config.num_layers = 2; }, "has not one layer_config for each layer"},
    {"windows", [](Draft& d) { d.config.attention_window_sizes = {}; }, "has not one window for each layer"},
    {"window 0", [](Draft& d) { d.config.attention_window_sizes = {0}; }, "a window of 0 positions"},
    {"no heads", [](Draft& d) { d.config.layer_configs[0].heads = 0; }, "heads is 0"},
    {"many heads", [](Draft& d) { d.config.layer_configs[0].heads = 512; }, "heads is 512, expected 1 to 256"},
    {"kv heads", [](Draft& d) { d.config.layer_configs[0].kv_heads = 3; }, "kv_heads does not divide heads"},
    {"cap", [](Draft& d) { d.config.final_cap = -1; }, "a soft cap is out of range"},
    {"end token", [](Draft& d) { d.config.eos_id = -1; }, "an end token is negative"},
};

TEST_CASE("sbs: each handmade bad file is refused for its own reason", "[sbs][robust]") {
  REQUIRE(opens(Draft().bytes()));
  for (const Case& bad : kBad) {
    Draft draft;
    bad.spoil(draft);
    const Bytes bytes = draft.bytes();
    INFO(bad.name);
    CHECK_THROWS_AS(parse_sbs(bytes, "f"), BadFile);
    CHECK_THROWS_WITH(parse_sbs(bytes, "f"), Contains(bad.message));
  }
}

const std::vector<Case> kForeign = {
    {"type", [](Draft& d) { d.directory[0].type = SbsType::u32; }, "type 6 is not supported; these are: 1 (f32)"},
    {"absolute positions", [](Draft& d) { d.config.absolute_pe = true; }, "absolute position encoding is not"},
    {"griffin", [](Draft& d) { d.config.layer_configs[0].type = 1; }, "layers of a kind that Gemma 1 to 3 do not have"},
    {"capped attention", [](Draft& d) { d.config.att_cap = 50; }, "a soft cap of attention in this family"},
    {"query scale", [](Draft& d) { d.config.query_scale = 1; }, "this query_scale"},
    {"no configuration", [](Draft& d) { d.blobs.resize(d.blobs.size() - 3); }, "its name says no type we know"},
};

TEST_CASE("sbs: sound files of kinds we do not know are unsupported, by name", "[sbs][robust]") {
  for (const Case& foreign : kForeign) {
    Draft draft;
    foreign.spoil(draft);
    const Bytes bytes = draft.bytes();
    INFO(foreign.name);
    CHECK_THROWS_AS(parse_sbs(bytes, "f"), Unsupported);
    CHECK_THROWS_WITH(parse_sbs(bytes, "f"), Contains(foreign.message));
  }
}

}  // namespace
}  // namespace carat
