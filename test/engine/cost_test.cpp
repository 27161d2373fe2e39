#include "engine/cost.h"

#include "test/support/catch.h"
#include "test/support/tiny_model.h"

using namespace carat;
using carat::test::TinyModel;
using carat::test::TinyShape;

TEST_CASE("decoding reads every weight once, one row of an embedding that is not the output, and the cache", "[cost]") {
  TinyShape shape;
  shape.architecture = "gemma3";  // two layers, both of a window of 8
  const TinyModel tiny(shape);
  std::uint64_t weights = 0;
  for (const FileTensor& tensor : tiny.file.tensors()) weights += tensor.bytes.size();
  const std::uint64_t row = 2 * 64, cached = 2 * 2 * (2 * 16) * 2;  // of one position: two layers, keys and values
  CHECK(decode_bytes(tiny.model, 0) == weights + row + cached);
  CHECK(decode_bytes(tiny.model, 6) == weights + row + 7 * cached);
  CHECK(decode_bytes(tiny.model, 200) == weights + row + 8 * cached);
  CHECK(decode_bytes(tiny.model, 0, {DType::f32, DType::f32}) == weights + row + 2 * cached);
  CHECK(decode_bytes(tiny.model, 0, {DType::f32, DType::f16}) == weights + row + cached + cached / 2);
  CHECK(decode_bytes(tiny.model, 0, {DType::f16, DType::q8_0}) == weights + row + cached / 2 + 2 * 34);

  TinyShape untied = shape;
  untied.architecture = "llama";
  const TinyModel llama(untied);  // no window
  CHECK(decode_bytes(llama.model, 200) - decode_bytes(llama.model, 199) == cached);
}

TEST_CASE("a prompt multiplies every matrix with every token, and the output with the last", "[cost]") {
  const TinyModel tiny;  // width 64, hidden 96, four heads of 16 that share two, two layers, 80 tokens
  const double matrices = 2.0 * (64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 96 * 64), output = 80 * 64;
  const auto attention = [](double positions) { return 2.0 * 2 * 64 * positions; };  // layers, keys and values
  CHECK(prefill_operations(tiny.model, 0, 1) == 2 * (matrices + output + attention(1)));
  CHECK(prefill_operations(tiny.model, 0, 4) == 2 * (4 * matrices + output + attention(1 + 2 + 3 + 4)));
  CHECK(prefill_operations(tiny.model, 9, 2) == 2 * (2 * matrices + output + attention(10 + 11)));

  TinyShape windowed;
  windowed.architecture = "gemma3";
  const TinyModel gemma(windowed);  // 8 positions at most
  CHECK(prefill_operations(gemma.model, 100, 3) == 2 * (3 * matrices + output + attention(8 * 3)));
}
