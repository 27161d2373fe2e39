#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>
#include <string>

#include "tokenizer/constraint/code_points.h"
#include "tokenizer/constraint/constraint.h"
#include "tokenizer/constraint/constraint_matcher.h"

namespace carat {
namespace {

// "0,1,…", or of what `part` makes of the numbers.
template <class Part>
std::string listed(int count, const Part& part) {
  std::string text;
  for (int i = 0; i < count; ++i) text.append(i == 0 ? "" : ",").append(part(i));
  return text;
}

std::string number(int i) { return std::to_string(i); }

// Of the processor, which other work on the machine leaves as it is.
double seconds_of(const auto& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

constexpr double kFew = 15;  // enough for a sanitizer, too few for work that grows with the square of the size

TEST_CASE("gbnf: rules that wait for each other are gone through once", "[constraint]") {
  constexpr int kRules = 19'000;
  std::string text = "r1 ::= \"b\" \"a\"*\n";
  for (int i = 2; i <= kRules; ++i) text += "r" + number(i) + " ::= r" + number(i - 1) + " \"a\"*\n";
  text += "root ::= r1";
  for (int i = 2; i <= kRules; ++i) text += " | r" + number(i);
  const double seconds = seconds_of([&] { CHECK_NOTHROW(gbnf_constraint(text)); });
  CHECK(seconds < kFew);
}

TEST_CASE("sets of many code points take no longer for their order", "[constraint]") {
  constexpr char32_t kPoints = 200'000;
  const auto point = [](char32_t i) { return 0x20000 + 2 * i; };
  std::string up, down;
  for (char32_t i = 0; i < kPoints; ++i) {
    append_utf8(up, point(i));
    append_utf8(down, point(kPoints - i));
  }
  for (const std::string& members : {up, down}) {
    const double seconds = seconds_of([&] {
      CHECK_THROWS_WITH(regex_constraint("[" + members + "])"), Catch::Contains("unmatched ')'"));
      CHECK_THROWS_WITH(gbnf_constraint("root ::= [" + members + "] )"), Catch::Contains("unexpected ')'"));
    });
    CHECK(seconds < kFew);
  }
}

TEST_CASE("a set of code points is the same in whatever order its ranges come", "[constraint]") {
  std::vector<CodePoints::Range> ranges = {{1, 3}, {4, 4}, {10, 20}, {12, 13}, {15, 30}, {40, 40}, {40, 41}};
  const CodePoints expected = {{1, 4}, {10, 30}, {40, 41}};
  do {
    REQUIRE(CodePoints::of(ranges) == expected);
  } while (std::ranges::next_permutation(ranges, {}, [](const auto& r) { return std::pair(r.low, r.high); }).found);
  for (char32_t i = 0; i < 50; ++i) {
    CHECK(expected.contains(i) == ((i >= 1 && i <= 4) || (i >= 10 && i <= 30) || i == 40 || i == 41));
  }
}

}  // namespace
}  // namespace carat
