// What a caller may have to answer for: the kinds of failure that the engine throws.
#pragma once
#include <stdexcept>

namespace carat {

// Every message reads "thing: place: reason", in one line, with what was found and what was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A file that is missing, cut short, corrupt or inconsistent.
class BadFile : public Error {
 public:
  using Error::Error;
};

// A file that may well be sound, but of a kind this program does not know: architecture, type, version.
class Unsupported : public Error {
 public:
  using Error::Error;
};

// Memory, threads or a device that the machine does not have.
class NoResource : public Error {
 public:
  using Error::Error;
};

}  // namespace carat
