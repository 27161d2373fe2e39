#include "app/event.h"

namespace carat {

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::usage:
      return "usage";
    case Phase::input:
      return "input";
    case Phase::load:
      return "load";
    case Phase::tokenize:
      return "tokenize";
    case Phase::prefill:
      return "prefill";
    case Phase::decode:
      break;
  }
  return "decode";
}

std::string_view reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::context:
      return "context";
    case FinishReason::timeout:
      return "timeout";
    case FinishReason::interrupted:
      return "interrupted";
    case FinishReason::constraint:
      return "constraint";
    case FinishReason::error:
      break;
  }
  return "error";
}

}  // namespace carat
