#include "convert/sentencepiece.h"

#include <algorithm>
#include <limits>

#include "engine/error.h"
#include "engine/file/byte_reader.h"
#include "engine/file/byte_writer.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::string_view kSpace = "\u2581";  // how pieces spell a space

// The fields of sentencepiece_model.proto that matter.
enum ModelField : std::uint32_t { kPieces = 1, kTrainer = 2, kNormalizer = 3 };
enum PieceField : std::uint32_t { kText = 1, kScore = 2, kType = 3 };
enum TrainerField : std::uint32_t {
  kModelType = 3,
  kByteFallback = 35,
  kUnkId = 40,
  kBosId = 41,
  kEosId = 42,
  kPadId = 43
};
enum NormalizerField : std::uint32_t { kName = 1, kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4 };
constexpr std::uint64_t kBpe = 2;  // TrainerSpec.ModelType

enum class Wire : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

// One field of a protocol buffer message.
struct Field {
  std::uint32_t number = 0;
  Wire wire = Wire::varint;
  std::uint64_t value = 0;           // of a varint or a fixed one
  std::span<const std::byte> bytes;  // of text or a message

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  float real() const { return __builtin_bit_cast(float, static_cast<std::uint32_t>(value)); }
  std::int32_t integer() const { return static_cast<std::int32_t>(static_cast<std::uint32_t>(value)); }
};

std::uint64_t read_varint(ByteReader& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = in.read<std::uint8_t>();
    value |= static_cast<std::uint64_t>(byte & 127) << shift;
    if (byte < 128) return value;
  }
  in.fail("a number has no end");
}

Field read_field(ByteReader& in) {
  const std::uint64_t key = read_varint(in);
  Field field{static_cast<std::uint32_t>(key >> 3), static_cast<Wire>(key & 7), 0, {}};
  switch (field.wire) {
    case Wire::varint:
      field.value = read_varint(in);
      break;
    case Wire::fixed64:
      field.value = in.read<std::uint64_t>();
      break;
    case Wire::bytes:
      field.bytes = in.take(read_varint(in));
      break;
    case Wire::fixed32:
      field.value = in.read<std::uint32_t>();
      break;
    default:
      in.fail("a field of type " + std::to_string(key & 7) + ", which no SentencePiece model has");
  }
  return field;
}

// visit(Field) with each field of a message.
template <class Visit>
void for_each_field(std::span<const std::byte> message, const std::string& file, Visit visit) {
  ByteReader in(message, file);
  while (in.remaining() > 0) visit(read_field(in));
}

VocabularyPiece parse_piece(std::span<const std::byte> message, const std::string& file) {
  VocabularyPiece piece;
  for_each_field(message, file, [&](const Field& field) {
    if (field.number == kText) piece.text = field.text();
    if (field.number == kScore) piece.score = field.real();
    if (field.number != kType) return;
    if (field.value < 1 || field.value > 6) throw BadFile(file + ": a piece of type " + std::to_string(field.value));
    piece.type = static_cast<PieceType>(field.value);
  });
  return piece;
}

class ProtoWriter {
 public:
  void number(std::uint32_t field, std::uint64_t value) {
    varint(field << 3 | static_cast<std::uint32_t>(Wire::varint));
    varint(value);
  }
  void real(std::uint32_t field, float value) {
    varint(field << 3 | static_cast<std::uint32_t>(Wire::fixed32));
    out_.write(value);
  }
  void text(std::uint32_t field, std::string_view value) { message(field, std::as_bytes(std::span(value))); }
  void message(std::uint32_t field, std::span<const std::byte> value) {
    varint(field << 3 | static_cast<std::uint32_t>(Wire::bytes));
    varint(value.size());
    out_.put(value);
  }
  std::span<const std::byte> bytes() const { return out_.bytes(); }
  std::vector<std::byte> finish() && { return std::move(out_).finish(); }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) out_.write(static_cast<std::uint8_t>(value | 128));
    out_.write(static_cast<std::uint8_t>(value));
  }

  ByteWriter out_;
};

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const bool found = text.substr(at).starts_with(from);
    out += found ? to : text.substr(at, 1);
    at += found ? from.size() : 1;
  }
  return out;
}

}  // namespace

bool looks_special(std::string_view token) {
  constexpr std::string_view kKnown[] = {"<pad>",           "<mask>",        "<2mass>",          "[@BOS@]",
                                         "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"};
  return std::ranges::find(kKnown, token) != std::end(kKnown) || (token.starts_with("<|") && token.ends_with("|>")) ||
         (token.starts_with("<unused") && token.ends_with(">"));
}

PieceVocabulary parse_sentencepiece(std::span<const std::byte> bytes, const std::string& file) {
  PieceVocabulary vocabulary;
  std::uint64_t model_type = 1;  // Unigram
  for_each_field(bytes, file, [&](const Field& field) {
    if (field.number == kPieces) vocabulary.pieces.push_back(parse_piece(field.bytes, file));
    if (field.number == kTrainer) {
      for_each_field(field.bytes, file, [&](const Field& part) {
        if (part.number == kModelType) model_type = part.value;
        if (part.number == kUnkId) vocabulary.unknown = part.integer();
        if (part.number == kBosId) vocabulary.bos = part.integer();
        if (part.number == kEosId) vocabulary.eos = part.integer();
        if (part.number == kPadId) vocabulary.padding = part.integer();
      });
    }
    if (field.number == kNormalizer) {
      for_each_field(field.bytes, file, [&](const Field& part) {
        if (part.number == kAddDummyPrefix) vocabulary.add_space_prefix = part.value != 0;
      });
    }
  });
  if (vocabulary.pieces.empty()) throw BadFile(file + ": is not a SentencePiece model: it has no pieces");
  if (model_type != kBpe)
    throw Unsupported(file + ": is a SentencePiece model of type " + std::to_string(model_type) +
                      "; supported is 2, byte-pair encoding");
  for (VocabularyPiece& piece : vocabulary.pieces) {
    if (piece.type != PieceType::user_defined) continue;
    if (looks_special(piece.text))
      piece.type = PieceType::control;
    else
      piece.text = replaced(piece.text, kSpace, " ");
  }
  return vocabulary;
}

std::vector<std::byte> make_sentencepiece(const Metadata& metadata, std::size_t rows) {
  const std::string_view kind = metadata.text("tokenizer.ggml.model");
  if (kind != "llama")
    throw Unsupported("tokenizer.ggml.model: " + quote(kind) + " cannot be written as a SentencePiece model");
  const auto texts = metadata.texts("tokenizer.ggml.tokens");
  const auto scores = metadata.has("tokenizer.ggml.scores") ? metadata.reals("tokenizer.ggml.scores")
                                                            : std::vector<float>(texts.size());
  auto types = metadata.integers("tokenizer.ggml.token_type", 0, 6);
  std::ranges::replace(types, 0, static_cast<int>(PieceType::normal));  // 0: undefined
  if (scores.size() != texts.size() || types.size() != texts.size())
    throw BadFile("tokenizer.ggml: " + std::to_string(texts.size()) + " tokens, " + std::to_string(scores.size()) +
                  " scores, " + std::to_string(types.size()) + " types");
  ProtoWriter model;
  for (std::size_t i = 0; i < std::min(texts.size(), rows); ++i) {
    const bool user_defined = types[i] == static_cast<int>(PieceType::user_defined);
    ProtoWriter piece;
    piece.text(kText, user_defined ? replaced(texts[i], " ", kSpace) : texts[i]);
    piece.real(kScore, scores[i]);
    piece.number(kType, static_cast<std::uint64_t>(types[i]));
    model.message(kPieces, piece.bytes());
  }
  const auto id = [&](const char* key, std::size_t fallback) {
    return metadata.count_or(key, fallback, 0, std::numeric_limits<std::uint32_t>::max());
  };
  ProtoWriter trainer;
  trainer.number(kModelType, kBpe);
  trainer.number(kByteFallback, std::ranges::count(types, static_cast<int>(PieceType::byte)) > 0);
  trainer.number(kUnkId, id("tokenizer.ggml.unknown_token_id", 0));
  trainer.number(kBosId, id("tokenizer.ggml.bos_token_id", 1));
  trainer.number(kEosId, id("tokenizer.ggml.eos_token_id", 2));
  if (metadata.has("tokenizer.ggml.padding_token_id")) trainer.number(kPadId, id("tokenizer.ggml.padding_token_id", 0));
  model.message(kTrainer, trainer.bytes());
  ProtoWriter normalizer;
  normalizer.text(kName, "identity");
  normalizer.number(kAddDummyPrefix, metadata.flag_or("tokenizer.ggml.add_space_prefix", true));
  normalizer.number(kRemoveExtraWhitespaces, 0);
  model.message(kNormalizer, normalizer.bytes());
  return std::move(model).finish();
}

void set_vocabulary(GgufWriter& writer, PieceVocabulary vocabulary, std::size_t size) {
  auto& pieces = vocabulary.pieces;
  if (size > 0 && pieces.size() > size) pieces.resize(size);
  while (pieces.size() < size)
    pieces.push_back({"[PAD" + std::to_string(pieces.size()) + "]", -10000, PieceType::unused});

  std::vector<std::string_view> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const VocabularyPiece& piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<std::int32_t>(piece.type));
  }
  writer.set("tokenizer.ggml.model", std::string_view("llama"));
  writer.set("tokenizer.ggml.pre", std::string_view("default"));
  writer.set_array("tokenizer.ggml.tokens", texts);
  writer.set_array("tokenizer.ggml.scores", scores);
  writer.set_array("tokenizer.ggml.token_type", types);
  const auto set_id = [&](const char* key, std::int32_t id) {
    if (id >= 0 && static_cast<std::size_t>(id) < pieces.size()) writer.set(key, static_cast<std::uint32_t>(id));
  };
  set_id("tokenizer.ggml.bos_token_id", vocabulary.bos);
  set_id("tokenizer.ggml.eos_token_id", vocabulary.eos);
  set_id("tokenizer.ggml.unknown_token_id", vocabulary.unknown);
  set_id("tokenizer.ggml.padding_token_id", vocabulary.padding);
  writer.set("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  writer.set("tokenizer.ggml.add_eos_token", vocabulary.add_eos);
  writer.set("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
}

}  // namespace carat
