// The ways to say what an answer must look like.
#pragma once
#include <string_view>

#include "tokenizer/constraint/automaton.h"
#include "tokenizer/constraint/bad_constraint.h"

namespace carat {

// A grammar in llama.cpp's notation, GBNF: `root ::= "yes" | "no" [.!]`. All of it but references to tokens (<think>)
// and left recursion. Throws BadConstraint, as do the others below.
Automaton gbnf_constraint(std::string_view text);

// A regular expression that the whole answer matches, with or without ^ and $. Characters are code points; \d, \w and
// \s are ASCII ([^\s] leaves out all white space), and . is anything but an end of line. Literals, classes, groups,
// alternatives, * + ? {m,n} (how greedy they are makes no difference); no back-references, look-around, \b, \p{…} nor
// flags, which are refused by name.
Automaton regex_constraint(std::string_view pattern);

// Any JSON object.
Automaton json_object_constraint();

// JSON that a schema (draft 2020-12) describes. Whatever the automaton accepts is valid by the schema; the reverse is
// not so, because an answer that can be written in one way only is easier to write:
// - Properties come in the order of `properties`; optional ones may be left out. There are others only where
//   `additionalProperties` is true or a schema, or where no `properties` are named. A schema that has keywords for some
//   types only and no `type` means these types; an array gets no more than its `prefixItems` if `items` is absent.
// - Between the parts stands nothing, a space, or a line end with up to 16 spaces or tabs.
// - Integers have at most 18 digits, or as many as their bounds: 64 bits hold them, a reader that knows only doubles
//   rounds them from 16 digits on. Other numbers have at most 15 digits before the point and 15 behind it, and an
//   exponent of at most two; between bounds at most 15 digits in all, or as many as the bounds need before the point,
//   and no exponent.
// - Formats are those of formats.h, in their common spellings; beside `enum` and `const` they are passed over.
// Every keyword is met or refused by name, with its place; annotations are passed over. `oneOf` is accepted where the
// alternatives exclude each other by type, const, enum or a required property of these; `allOf`, and keywords beside
// `$ref`, `anyOf` or `oneOf`, where they can be merged into one schema; `$ref` within the document.
Automaton json_schema_constraint(std::string_view text);

}  // namespace carat
