// SentencePiece models to and from the tokenizer keys of GGUF. The layout is that of sentencepiece_model.proto.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/gguf.h"
#include "engine/file/metadata.h"

namespace carat {

// Piece types have the same numbers in SentencePiece and in GGUF.
enum class PieceType : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct VocabularyPiece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::normal;
};

// A vocabulary that is merged by score, on its way to a file.
struct PieceVocabulary {
  std::vector<VocabularyPiece> pieces;
  std::int32_t bos = 1, eos = 2, unknown = 0, padding = -1;  // negative: none
  bool add_space_prefix = true;
  bool add_bos = true, add_eos = false;
};

// Reads a SentencePiece model. `file` is its name in messages. Throws BadFile, and Unsupported for models that are not
// merged by score.
PieceVocabulary parse_sentencepiece(std::span<const std::byte> bytes, const std::string& file);

// A SentencePiece model of the first `rows` tokens in a GGUF file's keys: others have no row of weights. Throws
// BadFile, and Unsupported for vocabularies that are not merged by score.
std::vector<std::byte> make_sentencepiece(const Metadata& metadata, std::size_t rows);

// Pads the vocabulary to `size` pieces with unused ones, or cuts it, and sets the keys. A size of 0 leaves it.
void set_vocabulary(GgufWriter& writer, PieceVocabulary vocabulary, std::size_t size);

// Whether a token is spelled like those that are never written by users: "<pad>", "<|im_end|>", "<unused7>".
bool looks_special(std::string_view token);

}  // namespace carat
