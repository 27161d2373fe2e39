#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/utf8.h"

namespace carat {
namespace {

struct Letter {
  std::array<char, 2> text;
  std::uint8_t length;
};

struct Alphabet {
  std::array<Letter, 256> letters{};
  std::array<std::int16_t, 0x144> bytes{};  // by code point; -1: not a letter
};

constexpr bool is_printable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.bytes) byte = -1;
  unsigned next_stand_in = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const unsigned code = is_printable(byte) ? byte : next_stand_in++;
    alphabet.bytes[code] = static_cast<std::int16_t>(byte);
    if (code < 0x80) {
      alphabet.letters[byte] = {{static_cast<char>(code), '\0'}, 1};
    } else {
      alphabet.letters[byte] = {{static_cast<char>(0xC0U | code >> 6U), static_cast<char>(0x80U | (code & 0x3FU))}, 2};
    }
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string_view byte_letter(std::uint8_t byte) {
  const Letter& letter = kAlphabet.letters[byte];
  return {letter.text.data(), letter.length};
}

std::optional<std::uint8_t> letter_byte(std::string_view letter) {
  unsigned code = 0;
  if (letter.size() == 1) {
    code = static_cast<unsigned char>(letter[0]);
  } else if (letter.size() == 2) {
    code = (static_cast<unsigned char>(letter[0]) & 0x1FU) << 6U | (static_cast<unsigned char>(letter[1]) & 0x3FU);
  } else {
    return std::nullopt;
  }
  if (code >= kAlphabet.bytes.size() || kAlphabet.bytes[code] < 0) return std::nullopt;
  return static_cast<std::uint8_t>(kAlphabet.bytes[code]);
}

void append_letters(std::string_view bytes, std::string& letters) {
  for (const char byte : bytes) letters += byte_letter(static_cast<std::uint8_t>(byte));
}

std::string bytes_of_letters(std::string_view letters) {
  std::string bytes;
  while (!letters.empty()) {
    const std::string_view letter = letters.substr(0, utf8_step(letters).length);
    if (const auto byte = letter_byte(letter)) {
      bytes += static_cast<char>(*byte);
    } else {
      bytes += letter;
    }
    letters.remove_prefix(letter.size());
  }
  return bytes;
}

}  // namespace carat
