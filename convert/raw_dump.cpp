// The float32 dumps that gemma.cpp's old tool compressed: matrices back to back, or each behind a line "name rows
// cols".
#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "convert/source.h"
#include "engine/error.h"
#include "engine/file/byte_reader.h"
#include "engine/file/quote.h"
#include "engine/file/sbs_metadata.h"

namespace carat {

namespace {

constexpr std::size_t kMaxLine = 128;

struct Line {
  std::string name;
  std::uint64_t rows = 0, cols = 0;
  std::size_t bytes = 0;  // of the line, its end included
};

// Takes a number off the end of `text`, and the space before it.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  const std::size_t space = text.rfind(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + space + 1, end, number);
  if (error != std::errc() || at != end || number == 0) return std::nullopt;
  text = text.substr(0, space);
  return number;
}

std::optional<Line> read_line(std::span<const std::byte> bytes) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kMaxLine));
  const std::size_t end = all.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view text = all.substr(0, end);
  const auto cols = take_number(text), rows = take_number(text);
  if (!cols || !rows || text.empty() || text.find(' ') != std::string_view::npos) return std::nullopt;
  return Line{std::string(text), *rows, *cols, end + 1};
}

// Matrices that say what they are.
std::vector<SbsContents::Item> read_named(std::span<const std::byte> bytes, const std::string& path) {
  std::vector<SbsContents::Item> items;
  std::set<std::string> names;
  ByteReader in(bytes, path);
  while (in.remaining() > 0) {
    const std::optional<Line> line = read_line(bytes.subspan(in.position()));
    if (!line) in.fail("expected a line 'name rows cols'");
    in.skip(line->bytes);
    const std::uint64_t room = in.remaining() / sizeof(float);
    if (line->cols > room || line->rows > room / line->cols)
      in.fail("tensor " + quote(line->name) + ": is larger than the rest of the file: was it cut short?");
    if (!names.insert(line->name).second) in.fail("tensor " + quote(line->name) + ": appears twice");
    items.push_back(
        {{line->name, SbsType::f32, line->rows, line->cols, 1}, in.take(line->rows * line->cols * sizeof(float))});
  }
  return items;
}

// The matrices of a model in the order of gemma.cpp's code of 2024, which is that of its exporter but for two of each
// layer. They are given in the exporter's.
std::vector<SbsContents::Item> read_nameless(std::span<const std::byte> bytes, const std::string& path,
                                             const SbsConfig& config) {
  const std::vector<SbsTensorPlan> plans = sbs_plan(sbs_shape(config, path));
  std::uint64_t expected = 0;
  for (const SbsTensorPlan& plan : plans) expected += std::uint64_t{plan.rows} * plan.cols * sizeof(float);
  if (bytes.size() != expected)
    throw BadFile(path + ": has " + std::to_string(bytes.size()) + " bytes, but a float32 dump of " +
                  config.display_name + " has " + std::to_string(expected));
  std::vector<SbsContents::Item> items;
  for (const SbsTensorPlan& plan : plans) items.push_back({{plan.name, SbsType::f32, plan.rows, plan.cols, 1}, {}});
  ByteReader in(bytes, path);
  const auto take = [&](SbsContents::Item& item) {
    item.bytes = in.take(item.tensor.rows * item.tensor.cols * sizeof(float));
  };
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool swapped = items[i].tensor.name.starts_with("qkv_ein");  // stands behind att_ein there
    if (swapped) take(items[i + 1]);
    take(items[i]);
    if (swapped) ++i;
  }
  return items;
}

}  // namespace

bool is_raw_dump(std::span<const std::byte> bytes) { return read_line(bytes).has_value(); }

ModelSource open_raw_dump(const std::filesystem::path& path, const SourceOptions& options) {
  ModelSource source;
  source.path = path.string();
  source.format = "raw";
  MappedFile file = MappedFile::open(path);
  SbsContents contents;
  const bool named = is_raw_dump(file.bytes());
  if (named) contents.tensors = read_named(file.bytes(), source.path);
  if (!options.config.empty()) {
    const ModelSource like = open_source(options.config);
    contents.config = sbs_config_of(like);
    source.header = std::make_unique<const std::vector<std::byte>>(sentencepiece_of(like));
    contents.tokenizer = {reinterpret_cast<const char*>(source.header->data()), source.header->size()};
  } else if (options.model) {
    contents.config = canonical_config(*options.model->known);
    contents.config.wrapping = options.model->wrapping.value_or(contents.config.wrapping);
  } else {
    throw BadFile(source.path + ": has no configuration: name the model (--model), or a file that has one (--config)");
  }
  if (!named) contents.tensors = read_nameless(file.bytes(), source.path, contents.config);
  adopt_sbs(source, contents, std::move(file));
  if (!options.tokenizer.empty()) adopt_tokenizer(source, options.tokenizer);
  return source;
}

}  // namespace carat
