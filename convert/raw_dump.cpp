// The float32 dump that gemma.cpp's old tool compressed, each matrix behind a line "name rows cols".
#include <charconv>
#include <cstring>
#include <optional>

#include "convert/source.h"
#include "engine/error.h"
#include "engine/file/byte_reader.h"
#include "engine/file/quote.h"

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

}  // namespace

bool is_raw_dump(std::span<const std::byte> bytes) { return read_line(bytes).has_value(); }

ModelSource open_raw_dump(const std::filesystem::path& path, const SourceOptions& options) {
  ModelSource source;
  source.path = path.string();
  source.format = "raw";
  const MappedFile& file = *source.mappings.emplace_back(std::make_unique<const MappedFile>(MappedFile::open(path)));
  ByteReader in(file.bytes(), source.path);
  while (in.remaining() > 0) {
    const std::optional<Line> line = read_line(file.bytes().subspan(in.position()));
    if (!line) in.fail("expected a line 'name rows cols'");
    in.skip(line->bytes);
    const std::uint64_t room = in.remaining() / sizeof(float);
    if (line->cols > room || line->rows > room / line->cols)
      in.fail("tensor " + quote(line->name) + ": is larger than the rest of the file: was it cut short?");
    if (source.find(line->name) != nullptr) in.fail("tensor " + quote(line->name) + ": appears twice");
    source.tensors.push_back(
        stored_tensor(line->name, DType::f32, {line->cols, line->rows}, file, in.position(), source.path));
    in.skip(line->rows * line->cols * sizeof(float));
  }
  if (options.config.empty())
    throw BadFile(source.path + ": has no configuration: name a file of the same model that has one (--config)");
  adopt_file(source, open_model_file(options.config));
  if (!options.tokenizer.empty()) adopt_tokenizer(source, options.tokenizer);
  return source;
}

}  // namespace carat
