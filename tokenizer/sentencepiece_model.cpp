#include "tokenizer/sentencepiece_model.h"

#include <bit>
#include <cstring>

namespace carat {
namespace {

// Field numbers of sentencepiece_model.proto.
namespace field {
enum Model : std::uint32_t { kPiece = 1, kTrainer = 2, kNormalizer = 3, kDenormalizer = 5 };
enum Piece : std::uint32_t { kText = 1, kScore = 2, kKind = 3 };
enum Trainer : std::uint32_t { kType = 3, kByteFallback = 35, kUnk = 40, kBos = 41, kEos = 42, kPad = 43 };
enum Normalizer : std::uint32_t {
  kName = 1,
  kCharacterMap = 2,
  kAddDummyPrefix = 3,
  kRemoveExtraWhitespaces = 4,
  kEscapeWhitespaces = 5
};
}  // namespace field

// How a field is written (protobuf's "wire type").
enum class Wire : std::uint8_t { varint = 0, eight_bytes = 1, bytes = 2, four_bytes = 5 };

struct Field {
  std::uint32_t number = 0;
  Wire wire = Wire::varint;
  std::uint64_t value = 0;  // of varint, four_bytes, eight_bytes
  std::string_view bytes;   // of bytes
};

// A cursor over the fields of one message.
class MessageReader {
 public:
  MessageReader(std::string_view message, const char* file_begin) : rest_(message), file_begin_(file_begin) {}

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const std::uint64_t key = varint();
    field = {};
    field.number = static_cast<std::uint32_t>(key >> 3U);
    field.wire = static_cast<Wire>(key & 7U);
    switch (field.wire) {
      case Wire::varint:
        field.value = varint();
        return true;
      case Wire::eight_bytes:
        field.value = fixed(8);
        return true;
      case Wire::bytes:
        field.bytes = take(varint());
        return true;
      case Wire::four_bytes:
        field.value = fixed(4);
        return true;
    }
    fail("no such wire type");
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) return value;
    }
    fail("a number of more than 64 bits");
  }

  std::uint64_t fixed(std::size_t length) {
    const std::string_view bytes = take(length);
    std::uint64_t value = 0;
    for (std::size_t i = length; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
    return value;
  }

  std::string_view take(std::uint64_t length) {
    if (length > rest_.size()) fail("cut short");
    const std::string_view part = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return part;
  }

  [[noreturn]] void fail(const char* why) const {
    throw BadVocabulary("sentencepiece model: at byte " + std::to_string(rest_.data() - file_begin_) + ": " + why);
  }

  std::string_view rest_;
  const char* file_begin_;
};

void read_piece(MessageReader reader, SentencePieceModel& model) {
  std::string_view text;
  float score = 0;
  PieceKind kind = PieceKind::normal;
  for (Field field; reader.next(field);) {
    if (field.number == field::kText && field.wire == Wire::bytes) text = field.bytes;
    if (field.number == field::kScore && field.wire == Wire::four_bytes) {
      score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
    }
    if (field.number == field::kKind && field.wire == Wire::varint && field.value >= 1 && field.value <= 6) {
      kind = static_cast<PieceKind>(field.value);
    }
  }
  model.pieces.push_back(text);
  model.scores.push_back(score);
  model.kinds.push_back(kind);
}

void read_trainer(MessageReader reader, SentencePieceModel& model) {
  for (Field field; reader.next(field);) {
    if (field.wire != Wire::varint) continue;
    const auto id = static_cast<TokenId>(static_cast<std::uint32_t>(field.value));
    switch (field.number) {
      case field::kType:
        if (field.value != 1 && field.value != 2) {
          throw BadVocabulary("sentencepiece model: type: " + std::to_string(field.value) +
                              " is neither 1 (unigram) nor 2 (BPE)");
        }
        model.type = static_cast<SentencePieceModel::Type>(field.value);
        break;
      case field::kByteFallback:
        model.byte_fallback = field.value != 0;
        break;
      case field::kUnk:
        model.unk = id;
        break;
      case field::kBos:
        model.bos = id;
        break;
      case field::kEos:
        model.eos = id;
        break;
      case field::kPad:
        model.pad = id;
        break;
      default:
        break;
    }
  }
}

void read_normalizer(MessageReader reader, SentencePieceModel& model) {
  for (Field field; reader.next(field);) {
    if (field.number == field::kCharacterMap) model.maps_characters = !field.bytes.empty();
    if (field.number == field::kAddDummyPrefix) model.add_dummy_prefix = field.value != 0;
    if (field.number == field::kRemoveExtraWhitespaces) model.remove_extra_whitespaces = field.value != 0;
  }
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) out += static_cast<char>(value | 0x80U);
  out += static_cast<char>(value);
}

void put_key(std::string& out, std::uint32_t number, Wire wire) {
  put_varint(out, number << 3U | static_cast<std::uint32_t>(wire));
}

void put_number(std::string& out, std::uint32_t number, std::uint64_t value) {
  put_key(out, number, Wire::varint);
  put_varint(out, value);
}

void put_bytes(std::string& out, std::uint32_t number, std::string_view bytes) {
  put_key(out, number, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_float(std::string& out, std::uint32_t number, float value) {
  put_key(out, number, Wire::four_bytes);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(bits >> shift & 0xFFU);
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view file) {
  SentencePieceModel model;
  MessageReader reader(file, file.data());
  for (Field field; reader.next(field);) {
    if (field.wire != Wire::bytes) continue;
    const MessageReader message(field.bytes, file.data());
    switch (field.number) {
      case field::kPiece:
        read_piece(message, model);
        break;
      case field::kTrainer:
        read_trainer(message, model);
        break;
      case field::kNormalizer:
        read_normalizer(message, model);
        model.normalizer = field.bytes;
        break;
      case field::kDenormalizer:
        model.denormalizer = field.bytes;
        break;
      default:
        break;  // self-test data: it would not survive a change of kinds
    }
  }
  if (model.pieces.empty()) throw BadVocabulary("sentencepiece model: pieces: none");
  return model;
}

std::string write_sentencepiece_model(const SentencePieceModel& model) {
  std::string file;
  std::string message;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    message.clear();
    put_bytes(message, field::kText, model.pieces[i]);
    put_float(message, field::kScore, model.scores[i]);
    if (model.kinds[i] != PieceKind::normal) {
      put_number(message, field::kKind, static_cast<std::uint64_t>(model.kinds[i]));
    }
    put_bytes(file, field::kPiece, message);
  }

  message.clear();
  put_number(message, field::kType, static_cast<std::uint64_t>(model.type));
  put_number(message, field::kByteFallback, model.byte_fallback ? 1 : 0);
  const auto put_id = [&message](std::uint32_t number, TokenId id) {
    put_number(message, number, static_cast<std::uint64_t>(static_cast<std::int64_t>(id)));  // negative: ten bytes
  };
  put_id(field::kUnk, model.unk);
  put_id(field::kBos, model.bos);
  put_id(field::kEos, model.eos);
  put_id(field::kPad, model.pad);
  put_bytes(file, field::kTrainer, message);

  message = model.normalizer;
  if (message.empty()) put_bytes(message, field::kName, "identity");
  // Of a field that comes twice the last counts.
  put_number(message, field::kAddDummyPrefix, model.add_dummy_prefix ? 1 : 0);
  put_number(message, field::kRemoveExtraWhitespaces, model.remove_extra_whitespaces ? 1 : 0);
  put_number(message, field::kEscapeWhitespaces, 1);
  put_bytes(file, field::kNormalizer, message);
  if (!model.denormalizer.empty()) put_bytes(file, field::kDenormalizer, model.denormalizer);
  return file;
}

}  // namespace carat
