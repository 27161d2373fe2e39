// The vocabulary of a model as plain data: what a file says about its tokens, before anything is built from it.
#pragma once
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

using TokenId = std::int32_t;

// A vocabulary that cannot be used. The message reads "thing: place: reason", in one line.
class BadVocabulary : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What a token is for; the numbers are those of GGUF and of SentencePiece's model proto.
enum class PieceKind : std::uint8_t { normal = 1, unknown, control, user_defined, unused, byte };

// Views into a model file, which must outlive the tokenizer made of it.
struct Vocabulary {
  enum class Algorithm : std::uint8_t { sentencepiece, byte_bpe };

  Algorithm algorithm = Algorithm::sentencepiece;
  std::string pre;                       // how text is split before merging (byte_bpe only), e.g. "llama-bpe"
  std::vector<std::string_view> pieces;  // index = id; byte_bpe: in the byte alphabet of byte_level.h
  std::vector<float> scores;             // as many as pieces, or none: all 0
  std::vector<PieceKind> kinds;          // as many as pieces, or none: all normal
  std::vector<std::string_view> merges;  // "left right", index = rank (byte_bpe only)
  std::string_view sentencepiece_model;  // a whole model proto, if the file has one; then `pieces` may be empty
  TokenId bos = -1, eos = -1, unk = -1;  // -1, or anything outside the vocabulary: none
  TokenId eot = -1, eom = -1, pad = -1;  // end of turn, end of message, padding
  std::vector<TokenId> other_stops;      // further ends of generation that the file names
  std::optional<bool> add_bos, add_eos;  // absent: the default of the algorithm (and of `pre`)
  std::optional<bool> add_space_prefix;  // sentencepiece only
};

// Fills the fields that a file may leave out, makes every list as long as `pieces`, drops ids outside the vocabulary,
// and makes the tokens that frame turns control tokens, whatever the file says, so that no text can contain them.
// Throws BadVocabulary where lists contradict each other.
void complete(Vocabulary& vocabulary);

// What generation ends at (gguf.md, section 9.6): the ids that the file names, and the control tokens known by their
// text. Only control tokens: Gemma's "</s>" is an ordinary HTML tag. Ascending, without repetition.
std::vector<TokenId> ends_of_generation(const Vocabulary& vocabulary);

}  // namespace carat
