// The tokenizers there are; make_tokenizer() picks. A new algorithm is a file and a line here and there.
#pragma once
#include <memory>

#include "tokenizer/tokenizer.h"

namespace carat {

// SentencePiece, by the library (vocabulary.algorithm == sentencepiece).
std::unique_ptr<const Tokenizer> make_sentencepiece_tokenizer(Vocabulary vocabulary);

// Byte-level byte-pair encoding (vocabulary.algorithm == byte_bpe).
std::unique_ptr<const Tokenizer> make_bpe_tokenizer(Vocabulary vocabulary);

}  // namespace carat
