#include "convert/migrate.h"

#include "convert/sentencepiece.h"
#include "engine/error.h"
#include "engine/file/mapped_file.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"
#include "engine/file/sbs_contents.h"
#include "engine/file/sbs_models.h"

namespace carat {

void migrate(const std::filesystem::path& weights, const std::filesystem::path& tokenizer,
             const std::filesystem::path& target, Existing existing) {
  const MappedFile old = MappedFile::open(weights);
  const SbsContents contents = read_sbs_contents(old.bytes(), weights.string());
  if (!contents.unread.empty())
    throw Unsupported(weights.string() + ": blob " + quote(contents.unread.front()) + ": its shape is not known");
  SbsWriter writer(completed(contents.config, weights.string()));
  std::vector<std::byte> piece;
  for (const SbsContents::Item& item : contents.tensors) {
    const bool older = item.tensor.type == SbsType::nuq && item.layout == NuqLayout::tables_first;
    if (older || item.bytes.size() != sbs_bytes(item.tensor.type, item.tensor.rows * item.tensor.cols))
      throw Unsupported(weights.string() + ": tensor " + quote(item.tensor.name) +
                        ": has the layout of 2024, which today's files do not have");
    writer.add_tensor(item.tensor, [&old, &piece, bytes = item.bytes](const SbsWriter::Sink& sink) {
      constexpr std::size_t kPiece = std::size_t{1} << 22;
      for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
        const auto part = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
        piece.resize(part.size());
        old.read(static_cast<std::uint64_t>(part.data() - old.bytes().data()), piece);
        sink(piece);
      }
    });
  }
  MappedFile model;
  std::string_view text = contents.tokenizer;
  if (!tokenizer.empty()) {
    model = MappedFile::open(tokenizer);
    text = {reinterpret_cast<const char*>(model.bytes().data()), model.bytes().size()};
    parse_sentencepiece(model.bytes(), tokenizer.string());  // refuses what is none
  }
  writer.set_tokenizer(text);
  OutputFile out(target, existing);
  writer.write([&](std::span<const std::byte> bytes) { out.write(bytes); });
  out.commit();
}

}  // namespace carat
