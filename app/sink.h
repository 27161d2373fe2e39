// Where events go. A new output format is a new sink.
#pragma once
#include "app/event.h"

namespace carat {

class Sink {
 public:
  virtual ~Sink() = default;
  virtual void on(const Event& event) = 0;

  // What would be the next delta if nothing more came, after each token: tokens whose text is not certain yet. Only who
  // may end a request over its head needs to know.
  virtual void hold(const Delta&) {}
};

}  // namespace carat
