// Where events go. A new output format is a new sink.
#pragma once
#include "app/event.h"

namespace carat {

class Sink {
 public:
  virtual ~Sink() = default;
  virtual void on(const Event& event) = 0;
};

}  // namespace carat
