// Old `.sbs` files become new ones that hold the same, and the tokenizer.
#include "convert/migrate.h"

#include <algorithm>
#include <fstream>

#include "engine/error.h"
#include "engine/file/sbs_contents.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"
#include "test/support/tiny_sbs.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;

void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  write_bytes(path, std::as_bytes(std::span(text)));
}

// What single files were like until May 2025: names with a letter for the type, and a shorter configuration.
test::SbsBlobs intermediate_blobs() {
  test::SbsBlobs blobs = test::tiny_sbs_blobs();
  std::vector<SbsTensor> directory;
  for (auto& [key, bytes] : blobs) {
    if (key == "toc") {
      for (SbsTensor& tensor : directory = parse_sbs_toc(bytes, "f")) tensor.name.insert(0, 1, 'F');
      bytes = serialise_sbs_toc(directory);
    } else if (key == "config") {
      bytes.resize(bytes.size() - 3 * 4);  // end tokens and names of scales
      const auto words = static_cast<std::uint32_t>(bytes.size() / 4 - 1);
      std::memcpy(bytes.data(), &words, sizeof words);
    } else if (key != "tokenizer") {
      key.insert(0, 1, 'F');
    }
  }
  return blobs;
}

TEST_CASE("migrate: a file of early 2025 becomes one of today, with the same tensors", "[migrate]") {
  const TempDir folder;
  write_bytes(folder / "old.sbs", test::sbs_v1(intermediate_blobs()));
  // A SentencePiece model of one piece, "x", that is merged by score.
  const std::string tokenizer = "\x0a\x03\x0a\x01x\x12\x02\x18\x02";
  write_text(folder / "tokenizer.spm", tokenizer);
  migrate(folder / "old.sbs", folder / "tokenizer.spm", folder / "new.sbs");

  const MappedFile file = MappedFile::open(folder / "new.sbs");
  const SbsContents found = read_sbs_contents(file.bytes(), "new");
  CHECK(found.version == 2);
  CHECK(found.tokenizer == tokenizer);
  CHECK(found.config.secondary_eos_id == 106);
  CHECK(found.config.scale_base_names.size() == 8);
  const test::SbsBlobs expected = test::tiny_sbs_blobs();
  REQUIRE(found.tensors.size() == expected.size() - 3);
  for (std::size_t i = 0; i < found.tensors.size(); ++i) {
    CHECK(found.tensors[i].tensor.name == expected[i].first);
    CHECK(std::ranges::equal(found.tensors[i].bytes, expected[i].second));
  }
}

TEST_CASE("migrate: a file of today stays as it is, byte for byte", "[migrate][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const TempDir folder;
  for (const char* name : {"tiny2-f32", "tiny2-bf16", "tiny2-sfp", "tiny3-f32", "tiny3-bf16", "tiny3-sfp"}) {
    const auto old = test::fixtures() / "sbs" / (std::string(name) + ".sbs");
    migrate(old, test::fixtures() / "sbs/tiny512.model", folder / "new.sbs");
    INFO(name);
    CHECK(test::slurp(folder / "new.sbs") == test::slurp(old));
  }
}

TEST_CASE("migrate: without another tokenizer the one inside is kept", "[migrate]") {
  const TempDir folder;
  write_bytes(folder / "old.sbs", test::sbs_v1(intermediate_blobs()));
  migrate(folder / "old.sbs", {}, folder / "new.sbs");
  const MappedFile file = MappedFile::open(folder / "new.sbs");
  CHECK(read_sbs_contents(file.bytes(), "new").tokenizer == "a tokenizer");
}

TEST_CASE("migrate: what cannot be read leaves nothing behind", "[migrate]") {
  const TempDir folder;
  write_text(folder / "old.sbs", "SBS\n");
  write_text(folder / "tokenizer.spm", "x");
  CHECK_THROWS_AS(migrate(folder / "old.sbs", folder / "tokenizer.spm", folder / "new.sbs"), BadFile);
  CHECK_THROWS_AS(migrate(folder / "none.sbs", folder / "tokenizer.spm", folder / "new.sbs"), BadFile);
  CHECK_FALSE(std::filesystem::exists(folder / "new.sbs"));
}

}  // namespace
}  // namespace carat
