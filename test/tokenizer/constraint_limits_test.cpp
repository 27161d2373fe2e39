#include <algorithm>
#include <ctime>
#include <string>

#include "test/support/catch.h"
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

TEST_CASE("schema: work that alternatives multiply is refused, not done", "[constraint]") {
  const std::string many = listed(20'000, [](int i) { return "\"x" + number(i) + "\""; });
  const auto times = [](int count, const std::string& part) { return listed(count, [&](int) { return part; }); };
  const std::vector<std::string> schemas = {
      R"({"enum":[)" + many + R"(],"anyOf":[)" + times(2000, R"({"pattern":"^x"})") + "]}",
      R"({"enum":[)" + many + R"(],"anyOf":[)" + times(5000, R"({"minLength":1})") + "]}",
      R"({"enum":["abbbbbbbbbbbbbbbb"],"anyOf":[)" + times(2000, R"x({"pattern":"(a|b)*a(a|b){16}"})x") + "]}",
      R"({"default":[)" + many + R"(],"anyOf":[)" + times(8000, "{}") + "]}",
      R"({"const":")" + std::string(100'000, 'a') + R"(","pattern":"(.*a.{300}){9}"})",
      R"({"$defs":{"n":{"type":"null","required":[)" + many + R"(]}},"required":["y"],"anyOf":[)" +
          times(1000, R"({"$ref":"#/$defs/n"})") + "]}",
  };
  for (const std::string& schema : schemas) {
    INFO(schema.substr(0, 60) << " … " << schema.substr(schema.size() - 60));
    const double seconds =
        seconds_of([&] { CHECK_THROWS_WITH(json_schema_constraint(schema), Catch::Contains("too")); });
    CHECK(seconds < kFew);
  }
}

TEST_CASE("schema: two long lists of values are held against each other", "[constraint]") {
  const auto even = [](int i) { return number(2 * i); };
  const auto triple = [](int i) { return number(3 * i); };
  const auto odd = [](int i) { return number(2 * i + 1); };
  const double seconds = seconds_of([&] {
    const Automaton both = json_schema_constraint(R"({"allOf":[{"enum":[)" + listed(15'000, even) + "]},{\"enum\":[" +
                                                  listed(10'000, triple) + "]}]}");
    CHECK(accepts(both, "29994"));
    CHECK_FALSE(accepts(both, "29996"));
    const Automaton either = json_schema_constraint(R"({"oneOf":[{"enum":[)" + listed(15'000, even) + "]},{\"enum\":[" +
                                                    listed(15'000, odd) + "]}]}");
    CHECK(accepts(either, "29999"));
    CHECK_FALSE(accepts(either, "30001"));
  });
  CHECK(seconds < kFew);
}

TEST_CASE("schema: a hundred alternatives with forty properties each are told apart", "[constraint]") {
  const std::string schema = R"({"oneOf":[)" +
                             listed(100,
                                    [](int i) {
                                      const std::string properties = listed(
                                          40, [](int k) { return "\"p" + number(k) + R"(":{"type":"integer"})"; });
                                      return R"({"type":"object","required":["kind"],"properties":{"kind":{"const":)" +
                                             number(i) + "}," + properties + "}}";
                                    }) +
                             "]}";
  const Automaton automaton = json_schema_constraint(schema);
  CHECK(accepts(automaton, R"({"kind":99,"p0":1,"p39":2})"));
  CHECK_FALSE(accepts(automaton, R"({"kind":100})"));
}

}  // namespace
}  // namespace carat
