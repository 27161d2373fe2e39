// The byte alphabet of GPT-2: every byte as one printable code point, so that a vocabulary of bytes is a text file.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace carat {

// The letter that stands for `byte`, in UTF-8: U+0021–7E, A1–AC and AE–FF for themselves, the other 68 bytes, in
// order, as U+0100 and up (gguf.md, section 9.3).
std::string_view byte_letter(std::uint8_t byte);

// The byte that `letter`, one code point in UTF-8, stands for, if it is of the alphabet.
std::optional<std::uint8_t> letter_byte(std::string_view letter);

// Appends the letters of `bytes` to `letters`.
void append_letters(std::string_view bytes, std::string& letters);

// The bytes that `letters` stand for; a code point outside the alphabet is kept as it is.
std::string bytes_of_letters(std::string_view letters);

}  // namespace carat
