// SentencePiece's model file, a protocol buffer, read and written by hand: Debian ships the library without its schema.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace carat {

// The part of sentencepiece_model.proto (version 0.1.97) that a tokenizer needs.
struct SentencePieceModel {
  enum class Type : std::uint8_t { unigram = 1, bpe };

  std::vector<std::string_view> pieces;  // index = id
  std::vector<float> scores;             // as many
  std::vector<PieceKind> kinds;          // as many
  Type type = Type::unigram;
  bool byte_fallback = false;  // characters outside the vocabulary become their bytes; asks for all 256 byte pieces
  TokenId unk = 0, bos = 1, eos = 2, pad = -1;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool maps_characters = false;   // the normaliser changes more than white space
  std::string_view normalizer;    // the message as it stands in a file; empty: the identity
  std::string_view denormalizer;  // the same
};

// Views into `file`. Throws BadVocabulary if that is no model.
SentencePieceModel read_sentencepiece_model(std::string_view file);

// The file of a model. Whitespace is always escaped.
std::string write_sentencepiece_model(const SentencePieceModel& model);

}  // namespace carat
