// SentencePiece models, as a file of their own or inside .sbs: read, converted, and used by the library.
#include "convert/sentencepiece.h"
#include "engine/error.h"
#include "test/fuzz/target.h"
#include "tokenizer/sentencepiece_model.h"
#include "tokenizer/tokenizer.h"

namespace carat::fuzz {
namespace {

Bytes seed(SentencePieceModel::Type type, bool byte_fallback) {
  SentencePieceModel model;
  model.type = type;
  model.byte_fallback = byte_fallback;
  model.pieces = {"<unk>", "<s>", "</s>", "\xe2\x96\x81", "a", "b", "ab"};
  model.kinds.assign(model.pieces.size(), PieceKind::normal);
  model.kinds[0] = PieceKind::unknown;
  model.kinds[1] = model.kinds[2] = PieceKind::control;
  static std::vector<std::string> byte_pieces;
  if (byte_fallback && byte_pieces.empty()) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    for (int i = 0; i < 256; ++i) byte_pieces.push_back(std::string("<0x") + kDigits[i / 16] + kDigits[i % 16] + ">");
  }
  if (byte_fallback) {
    model.pieces.insert(model.pieces.end(), byte_pieces.begin(), byte_pieces.end());
    model.kinds.insert(model.kinds.end(), byte_pieces.size(), PieceKind::byte);
  }
  model.scores.assign(model.pieces.size(), -1);
  return bytes_of(write_sentencepiece_model(model));
}

}  // namespace

void run(std::span<const std::byte> input) {
  try {
    parse_sentencepiece(input, "input");
  } catch (const Error&) {
  }
  try {
    Vocabulary vocabulary;
    vocabulary.algorithm = Vocabulary::Algorithm::sentencepiece;
    vocabulary.sentencepiece_model = text_of(input);
    if (input.empty()) return;
    const auto tokenizer = make_tokenizer(std::move(vocabulary));
    tokenizer->decode(tokenizer->encode("ab a\xffz  \n"));
  } catch (const BadVocabulary&) {
  }
}

std::vector<Bytes> seeds() {
  return {seed(SentencePieceModel::Type::bpe, true), seed(SentencePieceModel::Type::bpe, false),
          seed(SentencePieceModel::Type::unigram, false)};
}

Bytes mutated(std::span<const std::byte>, std::mt19937&) { return {}; }

}  // namespace carat::fuzz
