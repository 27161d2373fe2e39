// Failures that the command line itself finds: with the exit code, and a way out for the user. And what every failure,
// whoever found it, comes to.
#pragma once
#include <exception>
#include <stdexcept>
#include <string>

#include "app/event.h"
#include "app/exit_code.h"
#include "app/fault.h"

namespace carat {

class Failure : public std::runtime_error {
 public:
  Failure(int exit_code, const std::string& message, std::string hint, bool retryable = false)
      : std::runtime_error(message), exit_code_(exit_code), hint_(std::move(hint)), retryable_(retryable) {}

  int exit_code() const { return exit_code_; }
  const std::string& hint() const { return hint_; }  // may be empty
  bool retryable() const { return retryable_; }      // the same may do another time

 private:
  int exit_code_;
  std::string hint_;
  bool retryable_;
};

// A flag, an argument or a text that cannot be what was meant.
class BadUsage : public Failure {
 public:
  explicit BadUsage(const std::string& message, std::string hint = {})
      : Failure(kExitUsage, message, std::move(hint)) {}
};

class PromptTooLong : public Failure {
 public:
  explicit PromptTooLong(const std::string& message, std::string hint = {})
      : Failure(kExitPromptTooLong, message, std::move(hint)) {}
};

// A grammar, a regular expression or a schema that nothing can be held to.
class ConstraintNotMet : public Failure {
 public:
  explicit ConstraintNotMet(const std::string& message) : Failure(kExitConstraint, message, {}) {}
};

// What a failure is to a user and to a program: message, hint, code, exit code. Not of OutputClosed.
ErrorEvent describe(const std::exception_ptr& failure, Phase phase);

// The same of a fault.
ErrorEvent describe(const Fault& fault, Phase phase);

// Nobody reads standard output any more: the program ends without a word.
class OutputClosed : public std::exception {
 public:
  const char* what() const noexcept override { return "standard output is closed"; }
};

}  // namespace carat
