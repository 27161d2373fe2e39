#include "app/failure.h"

#include <filesystem>
#include <new>
#include <system_error>

#include "engine/error.h"
#include "kernels/gpu.h"

namespace carat {
namespace {

std::string code_of(const Failure& failure) {
  switch (failure.exit_code()) {
    case kExitUsage:
      return "bad_usage";
    case kExitPromptTooLong:
      return "prompt_too_long";
    case kExitModel:
      return "bad_model";
    case kExitResource:
      return "no_resource";
    case kExitConstraint:
      return "bad_constraint";
    default:
      return "failed";
  }
}

}  // namespace

ErrorEvent describe(const std::exception_ptr& failure, Phase phase) {
  const auto event = [phase](std::string code, int exit_code, bool retryable, std::string message,
                             std::string hint = {}) {
    return ErrorEvent{std::move(code), std::move(message), std::move(hint), phase, exit_code, retryable};
  };
  try {
    std::rethrow_exception(failure);
  } catch (const Failure& e) {
    return event(code_of(e), e.exit_code(), e.retryable(), e.what(), e.hint());
  } catch (const BadFile& e) {
    return event("bad_model", kExitModel, false, e.what());
  } catch (const Unsupported& e) {
    return event("unsupported", kExitModel, false, e.what());
  } catch (const NoResource& e) {
    return event("no_resource", kExitResource, true, e.what());
  } catch (const DeviceError& e) {
    return event("no_resource", kExitResource, true, e.what(), "-ngl 0 runs on the CPU");
  } catch (const std::bad_alloc&) {
    return event("out_of_memory", kExitResource, true, "not enough memory",
                 "a smaller context (-c) or batch (-b) takes less");
  } catch (const std::filesystem::filesystem_error& e) {
    return event("failed", kExitError, false, e.what());
  } catch (const std::system_error& e) {
    return event("no_resource", kExitResource, true, e.what(), "fewer threads (-t) take less");
  } catch (const std::exception& e) {
    return event("failed", kExitError, false, e.what());
  }
}

ErrorEvent describe(const Fault& fault, Phase phase) {
  const bool lacks_memory = fault.kind == Fault::Kind::out_of_memory;
  const std::string code = lacks_memory                           ? "out_of_memory"
                           : fault.kind == Fault::Kind::file_lost ? "bad_model"
                                                                  : "failed";
  return {code, fault.message, "", phase, fault.exit_code(), lacks_memory};
}

}  // namespace carat
