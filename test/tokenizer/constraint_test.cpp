#include "tokenizer/constraint/constraint.h"

#include <string>
#include <vector>

#include "test/support/catch.h"
#include "tokenizer/constraint/constraint_matcher.h"

namespace carat {
namespace {

struct Language {
  std::string stated;
  std::vector<std::string> inside, outside;
};

template <class Make>
void check(const Make& make, const std::vector<Language>& languages) {
  for (const Language& language : languages) {
    INFO(language.stated);
    const Automaton automaton = make(language.stated);
    for (const std::string& text : language.inside) {
      INFO(text);
      CHECK(accepts(automaton, text));
    }
    for (const std::string& text : language.outside) {
      INFO(text);
      CHECK_FALSE(accepts(automaton, text));
    }
  }
}

// What each is refused for, in words of the message.
template <class Make>
void check_refused(const Make& make, const std::vector<std::pair<std::string, std::string>>& refusals) {
  for (const auto& [stated, why] : refusals) {
    INFO(stated.substr(0, 200));
    CHECK_THROWS_WITH(make(stated), Catch::Contains(why) && !Catch::Contains("\n"));
    CHECK_THROWS_AS(make(stated), BadConstraint);
  }
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST_CASE("regex: exactly the texts that match are accepted", "[constraint]") {
  check(regex_constraint,
        {
            {"abc", {"abc"}, {"ab", "abcd", "", "xabc"}},
            {"^(a|bc)*d?$", {"", "a", "bc", "abcd", "d"}, {"b", "dd"}},
            {R"(\d{4}-\d{2})", {"2024-01"}, {"2024-1", "x"}},
            {"[^a]é+.", {"béx", "éé😀"}, {"aéx", "éé\n", "b\xC3x"}},
            {R"([\w-]+@x\.(?:com|org))", {"a-b@x.com"}, {"@x.com", "a@xxcom"}},
            {"(ab){2,3}x{3,}?", {"ababxxx", "abababxxxxxx"}, {"abxxx", "abababababxxx", "ababxx"}},
            {R"(\u00e9\x41\u{1F600}\t)", {"éA😀\t"}, {"éA"}},
            {"a{0,500}b", {"b", repeated("a", 500) + "b"}, {repeated("a", 501) + "b"}},
            {"(a|aa){1,300}", {"a", repeated("a", 600)}, {"", repeated("a", 601)}},
            {"([ab]*c){20,60}", {repeated("c", 20), repeated("abc", 60)}, {repeated("c", 19)}},
            {"(a|b)*a(a|b){16}", {"a" + repeated("b", 16), repeated("ba", 20)}, {repeated("b", 20), "ab"}},
            {"(.*a.{16}){3}", {repeated("a", 51)}, {repeated("a", 50)}},
            {"(\\w{1,50} ?){2,50}", {repeated("ab ", 50), repeated("a", 2500)}, {repeated("ab ", 51)}},
            {"[a-c]*|[^\\s\\S]x", {"", "abc"}, {"x", "d"}},
        });
}

TEST_CASE("regex: what readers of patterns do not agree on is left out, in classes of what is not meant as well",
          "[constraint]") {
  const std::string next_line = "\xC2\x85", no_break = "\xC2\xA0", ideographic = "\xE3\x80\x80";
  check(regex_constraint, {
                              {R"([^\s@]+)", {"ab", "é"}, {"@", " ", "a" + no_break, ideographic, next_line}},
                              {R"([^\S]x)", {" x", "\tx"}, {"ax", next_line + "x", no_break + "x"}},
                              {R"([\s][\S])", {" a"}, {no_break + "a", " " + no_break}},
                              {R"([^\D][^\W])", {"1_"}, {"a_", "1-"}},
                          });
}

TEST_CASE("regex: what is not supported is refused by name, and no bomb goes off", "[constraint]") {
  check_refused(regex_constraint, {
                                      {"a{1,100000}", "at character 2: a repetition of more than 65535"},
                                      {"(?=a)", "look-around"},
                                      {"(?<!a)b", "look-around"},
                                      {R"((a)\1)", "at character 6: back-references"},
                                      {R"(\bx)", "word boundaries"},
                                      {R"(\p{L})", "Unicode properties"},
                                      {"(?i)a", "flags"},
                                      {"a++", "possessive"},
                                      {"a**", "repetition of a repetition"},
                                      {"(a", "without ')'"},
                                      {"a)", "unmatched ')'"},
                                      {"[a", "without ']'"},
                                      {"[]a]", "empty class"},
                                      {"[z-a]", "ends before it begins"},
                                      {"[[:alpha:]]", "named classes"},
                                      {"*a", "nothing to repeat"},
                                      {"a{3,1}", "at least 3 and at most 1"},
                                      {"a{,3}", "{,n}"},
                                      {"a$b", "at the end only"},
                                      {"(^a)", "ends of the whole pattern"},
                                      {"\\", "a '\\' at the end"},
                                      {"\xff", "not UTF-8"},
                                      {repeated("(", 500), "nested too deep"},
                                      {repeated("[^a]", 20000), "too large"},
                                  });
}

TEST_CASE("gbnf: exactly the texts of the root rule are accepted", "[constraint]") {
  check(gbnf_constraint,
        {
            {"root ::= \"yes\" | \"no\" [.!]?\n", {"yes", "no", "no."}, {"yes."}},
            {"root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= num | \"(\" expr \")\"\nnum ::= [0-9]+ # digits\n",
             {"1", "(1+2)*3", repeated("(", 300) + "1" + repeated(")", 300)},
             {"1+", "()", "((1)"}},
            {R"(root ::= "a" root "b" | "")", {"", "ab", "aaabbb"}, {"aab", "ba"}},
            {"root ::= item root | item\nitem ::= \"x\" \"y\"+", {"xy", "xyyxy"}, {"x", "yx"}},
            {"root ::= (\n \"a\" # one\n | \"b\"\n) |\n \"c\"", {"a", "b", "c"}, {""}},
            {R"(root ::= [\u3042-\u3093]{2,3} "\x41\"" .)", {"ああA\"x"}, {"あA\"x"}},
            {"root ::= space \"x\"\nspace ::= \" \"*", {"x", "   x"}, {" "}},
        });
}

TEST_CASE("gbnf: errors name the line and the column", "[constraint]") {
  check_refused(gbnf_constraint,
                {
                    {"root ::= root \"a\" | \"b\"", "rule 'root': begins with itself"},
                    {"root ::= s root | \"a\"\ns ::= \" \"*", "begins with itself"},
                    {"root ::= a", "rule 'a' is not defined"},
                    {"x ::= \"a\"", "rule 'root' is not defined"},
                    {"root ::= \"a", "line 1, column 12: the text or class does not end"},
                    {"root ::= \"b\"\n x ::= (a", "line 2, column 10: expected ')'"},
                    {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule 'root' is defined twice"},
                    {"root ::= <think>", "references to tokens"},
                    {"root = \"a\"", "expected '::='"},
                    {"root ::= \"a\" root", "no text meets it"},
                    {"root ::= \"a\"{70000}", "more than 65535"},
                    {"root ::= \"a\" )", "unexpected ')'"},
                    {"root ::= \"\\q\"", "unknown escape"},
                    {"root ::= " + repeated("(", 3000), "nested too deep"},
                });
}

TEST_CASE("json: any object and nothing else", "[constraint]") {
  const Automaton object = json_object_constraint();
  for (const char* const text : {R"({"a": 1, "b":[1,2.5,-0,1e5,true,null,"x\u00e9\ud83d\ude00\n"],"c":{}})", "{}",
                                 R"({ "a":{"b":{"c":[[],[1]]}} })", "{\n  \"a\": 1\n}"}) {
    INFO(text);
    CHECK(accepts(object, text));
  }
  for (const char* const text : {"[]", "1", R"({"a"})", R"({"a":1,})", R"({"a":01})", R"({"a":"\ud800"})",
                                 "{\"a\":\"\x01\"}", " {}", "{}x", "{\"a\":\xff}"}) {
    INFO(text);
    CHECK_FALSE(accepts(object, text));
  }
}

TEST_CASE("schema: objects and arrays", "[constraint]") {
  const std::string abc =
      R"("type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"boolean"}},"required":["b"])";
  check(
      json_schema_constraint,
      {
          {"{" + abc + "}",
           {R"({"a":1,"b":"x","c":true})", R"({"b":""})", "{\n  \"a\": 12,\n  \"b\": \"x\"\n}"},
           {"{}", R"({"a":1})", R"({"b":"x","d":1})", R"({"b":"x",})"}},
          {"{" + abc + R"(,"additionalProperties":{"type":"null"}})",
           {R"({"b":"x","zz":null})", R"({"b":"x","bb":null,"":null})"},
           {R"({"b":"x","zz":1})", R"({"b":"x","b":null})", R"({"b":"x","\u0062":null})"}},
          {R"({"properties":{"a":true,"ab":false,"é":true},"additionalProperties":true})",
           {"{}", R"({"a":1})", R"({"abc":1})", R"({"éa":1})"},
           {R"({"ab":1})", R"({"x":1,"é":1})"}},
          {R"({"required":["x"],"additionalProperties":{"type":"integer"}})", {R"({"x":1,"y":2})"}, {R"({"y":1})"}},
          {R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":4})",
           {"[1,2]", "[1, 2, 3, 4]"},
           {"[]", "[1]", "[1,2,3,4,5]", R"(["a",1])"}},
          {R"({"type":"array","items":{"type":"null"},"maxItems":300})",
           {"[]", "[null" + repeated(",null", 299) + "]"},
           {"[null" + repeated(",null", 300) + "]"}},
          {R"({"prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},"minItems":1,"maxItems":4})",
           {"[1]", R"([1,"a",null,null])"},
           {"[]", R"([1,"a",1])", R"([1,"a",null,null,null])"}},
          {R"({"$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},"k":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["v"]}},"$ref":"#/$defs/t"})",
           {R"({"v":1,"k":[{"v":2,"k":[]}]})"},
           {R"({"k":[]})", R"({"v":1,"k":[{}]})"}},
      });
}

TEST_CASE("schema: numbers keep to their bounds, digit by digit", "[constraint]") {
  const Automaton integers = json_schema_constraint(R"({"type":"integer","minimum":-15,"exclusiveMaximum":105})");
  for (int i = -1200; i <= 1200; ++i) CHECK(accepts(integers, std::to_string(i)) == (i >= -15 && i < 105));
  const Automaton numbers = json_schema_constraint(R"({"type":"number","exclusiveMinimum":-1.25,"maximum":3.75})");
  for (int i = -500; i <= 500; ++i) {
    const std::string digits = std::to_string(std::abs(i) + 1000);
    const std::string text =
        std::string(i < 0 ? "-" : "") + std::to_string(std::abs(i) / 100) + "." + digits.substr(digits.size() - 2);
    INFO(text);
    CHECK(accepts(numbers, text) == (i > -125 && i <= 375));
  }
  check(json_schema_constraint,
        {
            {R"({"type":"integer","minimum":1000})", {"1000", "99999999"}, {"999", "0", "-5000"}},
            {R"({"type":"integer","minimum":0.5,"maximum":2.5})", {"1", "2"}, {"0", "3"}},
            {R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})", {"0.5", "0.001"}, {"0", "0.0", "1.0"}},
            {R"({"type":"number","minimum":99.5})", {"99.5", "99.51", "12345.6"}, {"99.4", "99", "1"}},
            {R"({"type":"number"})", {"1", "-1.5", "1e5", "0.5E-10"}, {"01", "+1", ".5", "1."}},
            {R"({"type":"integer"})", {repeated("9", 18), "-" + repeated("9", 18)}, {"1" + repeated("0", 18), "1e2"}},
            {R"({"type":"number"})",
             {repeated("9", 15) + "." + repeated("9", 15) + "e-99"},
             {repeated("9", 16), "0." + repeated("9", 16), "1e100"}},
            {R"({"type":"number","minimum":0.5})", {"1." + repeated("9", 6)}, {repeated("9", 16), "1e5"}},
        });
}

TEST_CASE("schema: strings, values and alternatives", "[constraint]") {
  check(
      json_schema_constraint,
      {
          {R"({"type":"string","minLength":2,"maxLength":3})",
           {R"("ab")", R"("é😀")", R"("\n\u00e9")", R"("\ud83d\ude00a")"},
           {R"("a")", R"("abcd")", R"("\ud83d\ude00")"}},
          {R"({"type":"string","pattern":"b\"c"})", {R"("ab\"cd")"}, {R"("bc")"}},
          {R"({"type":"string","pattern":"^a|b$"})", {R"("ax")", R"("xb")"}, {R"("xc")"}},
          {R"({"type":"string","format":"date"})",
           {R"("2024-02-29")", R"("2000-02-29")"},
           {R"("2023-02-29")", R"("1900-02-29")", R"("0000-01-01")", R"("2024-04-31")"}},
          {R"({"type":"string","format":"uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {R"("x")"}},
          {R"({"enum":["a","b\n",3,null,{"x":[1,2]}]})", {R"("b\n")", "3", R"({"x":[1, 2]})"}, {R"("c")", "4"}},
          {R"({"type":["string","null"]})", {R"("a")", "null"}, {"1"}},
          {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":3}]})", {"1", R"("abc")"}, {R"("abcd")"}},
          {R"({"properties":{"a":{"type":"null"},"b":{"type":"null"}},"anyOf":[{"required":["a"]},{"required":["b"]}]})",
           {R"({"a":null})", R"({"b":null})"},
           {"{}"}},
          {R"({"oneOf":[{"type":"object","properties":{"k":{"const":"x"}},"required":["k"]},{"type":"object","properties":{"k":{"const":"y"}},"required":["k"]}]})",
           {R"({"k":"x"})", R"({"k":"y"})"},
           {R"({"k":"z"})"}},
          {R"({"$ref":"#/$defs/p","minimum":5,"$defs":{"p":{"type":"integer","maximum":9}}})", {"5", "9"}, {"4", "10"}},
          {"true", {"1", "{}", R"("x")"}, {"x"}},
      });
}

TEST_CASE("schema: limits on one string are met together", "[constraint]") {
  check(json_schema_constraint,
        {
            {R"({"type":"string","pattern":"^[a-z]+$","minLength":2,"maxLength":3})",
             {R"("ab")", R"("abc")"},
             {R"("a")", R"("abcd")", R"("a1")"}},
            {R"({"type":"string","pattern":"b","maxLength":3})",
             {R"("b")", R"("ébb")", R"("\"b")"},
             {R"("aa")", R"("aaab")", R"("bbbb")"}},
            {R"({"type":"string","pattern":"b","minLength":3})",
             {R"("aab")", R"("baaaaaaaaa")"},
             {R"("ab")", R"("aaaa")"}},
            {R"({"type":"string","format":"date","pattern":"^2024","maxLength":10})",
             {R"("2024-02-29")"},
             {R"("2023-02-28")", R"("2024-02-30")"}},
            {R"({"type":"string","format":"hostname","maxLength":5})",
             {R"("a-b.c")", R"("h")"},
             {R"("a.bcde")", R"("-")", R"("")"}},
            {R"({"type":"string","pattern":"^(ab){2,3}$","minLength":5,"maxLength":60000})",
             {R"("ababab")"},
             {R"("abab")", R"("abababab")"}},
            {R"({"type":"string","pattern":"^$|x","maxLength":1})", {R"("")", R"("x")"}, {R"("y")", R"("xx")"}},
            {R"({"type":"string","pattern":"a","allOf":[{"pattern":"b$"},{"pattern":"^[^c]*$"},{"pattern":"a"}]})",
             {R"("ab")", R"("bab")"},
             {R"("ba")", R"("b")", R"("acb")"}},
            {R"({"allOf":[{"pattern":"^a"},{"pattern":"b$"}],"enum":["ab","a","b",1]})", {R"("ab")", "1"}, {R"("a")"}},
            {R"({"properties":{"k":{"pattern":"a"}},"allOf":[{"properties":{"k":{"pattern":"b","maxLength":2}}}]})",
             {R"({"k":"ab"})"},
             {R"({"k":"a"})", R"({"k":"abb"})"}},
        });
  check_refused(json_schema_constraint,
                {
                    {R"({"type":"string","pattern":"^a$","minLength":2})", "no text meets it"},
                    {R"({"type":"string","pattern":"a","maxLength":5000})", "more than 4096 states"},
                    {R"x({"type":"string","pattern":"(a|b)*a(a|b){20}$","maxLength":50})x", "more than 4096 states"},
                    {R"x({"properties":{"a":{"pattern":"(","maxLength":3}}})x", "/properties/a/pattern: "},
                    {R"({"type":"string","pattern":"^a$","allOf":[{"pattern":"^b$"}]})", "no text meets it"},
                    {R"({"type":"string","allOf":[{"pattern":"1"},{"pattern":"2"},{"pattern":"3"},{"pattern":"4"},)"
                     R"({"pattern":"5"},{"pattern":"6"},{"pattern":"7"},{"pattern":"8"},{"pattern":"9"}]})",
                     "/pattern: more than 8 different patterns"},
                    {R"({"pattern":["a","b"]})", "/pattern: must be a string"},
                    {R"({"pattern":"a","allOf":[{"pattern":1}]})", "a different 'pattern'"},
                    {R"({"format":"dates","maxLength":3})", "/format: \"dates\" is not supported"},
                });
}

TEST_CASE("schema: a string is written exactly if each limit on it by itself allows it", "[constraint]") {
  const std::vector<std::string> patterns = {"^a*b?$", "a.b", "^[^b]{1,3}$", "(a|bb)+$", "^[0-9]|b$", "^(a|ab)(b|a)*$"};
  std::vector<std::string> texts = {""};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() == 5) break;
    for (const char c : std::string("ab1")) texts.push_back(texts[i] + c);
  }
  for (const std::string& pattern : patterns) {
    for (const auto& [min, max] : {std::pair(0, 3), std::pair(2, 4), std::pair(3, 9)}) {
      const std::string schema = R"({"type":"string","pattern":")" + pattern + R"(","minLength":)" +
                                 std::to_string(min) + R"(,"maxLength":)" + std::to_string(max) + "}";
      INFO(schema);
      const Automaton both = json_schema_constraint(schema);
      const Automaton alone = json_schema_constraint(R"({"type":"string","pattern":")" + pattern + R"("})");
      for (const std::string& text : texts) {
        const std::string quoted = '"' + text + '"';
        const bool fits = static_cast<int>(text.size()) >= min && static_cast<int>(text.size()) <= max;
        INFO(quoted);
        CHECK(accepts(both, quoted) == (fits && accepts(alone, quoted)));
      }
    }
  }
}

TEST_CASE("schema: of the values listed, those stay that all other keywords allow", "[constraint]") {
  check(json_schema_constraint,
        {
            {R"({"enum":[1,5,9.5,"a"],"minimum":2,"exclusiveMaximum":9.5})", {"5", R"("a")"}, {"1", "9.5"}},
            {R"({"enum":["a","bcd","éé",null],"minLength":2,"maxLength":2})",
             {R"("éé")", "null"},
             {R"("a")", R"("bcd")"}},
            {R"({"enum":["ab1","ab","1"],"pattern":"^[a-z]+[0-9]$"})", {R"("ab1")"}, {R"("ab")", R"("1")"}},
            {R"({"enum":["2024-01-31","2024-13-31","x"],"format":"date","pattern":"31"})",
             {R"("2024-01-31")", R"("2024-13-31")"},
             {R"("x")"}},
            {R"({"const":"2001:db8::1","format":"ipv6"})", {R"("2001:db8::1")"}, {R"("2001:db8::2")"}},
            {R"({"enum":["a@b.org","first.last+tag@sub.example.museum",1],"format":"email","type":"string"})",
             {R"("a@b.org")", R"("first.last+tag@sub.example.museum")"},
             {"1"}},
            {R"({"enum":[[],[1],"a"],"minItems":1})", {"[1]", R"("a")"}, {"[]"}},
            {R"({"const":"a\"b","pattern":"\""})", {R"("a\"b")"}, {R"("a")"}},
            {R"({"minLength":2,"anyOf":[{"enum":["a","bc"]},{"type":"integer"}]})", {R"("bc")", "7"}, {R"("a")"}},
        });
  check_refused(json_schema_constraint, {
                                            {R"({"enum":["a","b"],"minLength":2})", "no value"},
                                            {R"({"enum":[[1],2],"items":{"type":"string"}})", "/items: beside a list"},
                                            {R"({"enum":["a"],"pattern":"("})", "/pattern"},
                                        });
}

TEST_CASE("schema: what two schemas say of a list's items holds at each place", "[constraint]") {
  check(json_schema_constraint,
        {
            {R"({"allOf":[{"prefixItems":[{"type":"integer"}],"items":{"maximum":7}},{"items":{"minimum":5}}]})",
             {"[]", "[9]", "[9,6.5]", "[5,7,5]"},
             {"[4]", "[9,8]", "[9,4]", "[9.5]"}},
            {R"({"prefixItems":[{"minimum":3},{"type":"null"}],"allOf":[{"prefixItems":[{"type":"integer"}]}]})",
             {"[3]", "[4,null]"},
             {"[2]", "[3.5]", "[3,1]", "[3,null,1]"}},
            {R"({"anyOf":[{"items":false}],"prefixItems":[true]})", {"[]"}, {"[1]"}},
            {R"({"items":{"type":"null"},"minItems":3,"maxItems":3,"anyOf":[{"prefixItems":[true,true]}]})",
             {"[null,null,null]"},
             {"[1,null,null]", "[null,null,1]"}},
        });
  check_refused(
      json_schema_constraint,
      {
          {R"({"allOf":[{"type":"array","prefixItems":[{"const":"x"}],"minItems":2,"maxItems":2},{"items":{"const":1}}]})",
           "/prefixItems/0: two schemas with a different 'const'"},
          {R"({"allOf":[{"prefixItems":[true]},{"prefixItems":7}]})", "/prefixItems: must be a list"},
      });
}

TEST_CASE("schema: types that have nothing in common leave no value, not even one that is listed", "[constraint]") {
  check_refused(json_schema_constraint,
                {{R"({"const":[1],"allOf":[{"type":"string"},{"type":"number"}]})", "no text meets it"}});
}

TEST_CASE("schema: values are equal however their keys are ordered and their numbers written", "[constraint]") {
  check(json_schema_constraint,
        {
            {R"({"allOf":[{"enum":[{"a":1,"b":[2]},3]},{"enum":[{"b":[2.0],"a":1},4]}]})",
             {R"({"a":1,"b":[2]})"},
             {"3", "4"}},
            {R"({"const":{"a":1,"b":2},"enum":[{"b":2,"a":1}]})", {R"({"a":1,"b":2})"}, {R"({"a":1})"}},
            {R"({"allOf":[{"const":{"a":1,"b":2}},{"const":{"b":2,"a":1}}]})", {R"({"a":1,"b":2})"}, {"{}"}},
            {R"({"oneOf":[{"enum":[[1,2],"1",1]},{"enum":[[2,1],"2",2]}]})", {"1", R"("2")"}, {"3"}},
        });
  check_refused(
      json_schema_constraint,
      {
          {R"({"oneOf":[{"const":{"a":1,"b":2}},{"const":{"b":2,"a":1}}]})", "may both hold"},
          {R"({"oneOf":[{"enum":[{"x":{"a":[1],"b":-0.0}}]},{"enum":[5,{"x":{"b":0,"a":[1e0]}}]}]})", "may both hold"},
      });
}

TEST_CASE("schema: what is not supported is refused by name and place", "[constraint]") {
  check_refused(
      json_schema_constraint,
      {
          {R"({"not":{}})", "the schema: 'not' is not supported"},
          {R"({"properties":{"a/b":{"multipleOf":2}}})", "/properties/a~1b: 'multipleOf' is not supported"},
          {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "/oneOf: alternatives 0 and 1 may both hold"},
          {R"({"type":"strin"})", "/type: \"strin\" is not a type"},
          {R"({"$ref":"http://x"})", "only references within the document"},
          {R"({"$ref":"#/nope"})", "'#/nope' does not exist"},
          {R"({"$ref":"#"})", "no text meets it"},
          {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", "no text meets it"},
          {R"({"allOf":[{"$ref":"#"}]})", "references that lead to each other"},
          {R"({"type":"string","format":"regex"})", "/format: \"regex\" is not supported; known are date"},
          {R"x({"type":"string","pattern":"(?=a)"})x", "/pattern: at character 3: look-around"},
          {R"({"type":"integer","minimum":5,"maximum":3})", "no text meets it"},
          {R"({"uniqueItems":true})", "'uniqueItems'"},
          {R"({"a":1,"a":2})", "the key 'a' occurs twice"},
          {R"({"type":"string","maxLength":100000})", "/maxLength: is more than 65535"},
          {R"({"required":["a"],"additionalProperties":false})", "'a' is not among the properties"},
          {R"({"items":[{}]})", "prefixItems"},
          {R"({"a\nb":1})", "'a?b' is not supported"},
          {"{", "not JSON"},
          {"[]", "a schema is an object, true or false"},
          {repeated(R"({"items":)", 70) + "1" + repeated("}", 70), "nested more than 64 deep"},
      });
}

}  // namespace
}  // namespace carat
