#include "app/log.h"

#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

namespace carat {
namespace {

constexpr const char* kPlain = "plain";  // the logger without a prefix

std::shared_ptr<spdlog::logger> make_logger(const char* name, const char* pattern) {
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(pattern);
  return logger;
}

// Without C0, DEL and C1, which drive a terminal: there may be names of files and words of a model's file in it.
std::string one_line(std::string_view text) {
  std::string line(text);
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    const bool is_c1 = byte == 0xc2 && i + 1 < line.size() && static_cast<unsigned char>(line[i + 1]) < 0xa0;
    if (byte < 0x20 || byte == 0x7f || is_c1) line[i] = '?';
    if (is_c1) line[++i] = '?';
  }
  return line;
}

}  // namespace

void start_log() {
  spdlog::set_default_logger(make_logger("carat", "carat: %v"));
  spdlog::register_logger(make_logger(kPlain, "%v"));
  set_log_verbosity(0);
}

// Of what standard error gets; a log file gets everything.
void set_log_verbosity(int verbosity) {
  const auto level = verbosity < 0 ? spdlog::level::err : verbosity == 0 ? spdlog::level::warn : spdlog::level::info;
  spdlog::default_logger()->sinks().front()->set_level(level);
}

bool log_to_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return false;  // spdlog would make the folders, and the file for everybody to read
  ::close(file);
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    sink->set_pattern("%Y-%m-%d %H:%M:%S.%e [%P] %v");
    spdlog::default_logger()->sinks().push_back(std::move(sink));
    spdlog::default_logger()->flush_on(spdlog::level::info);
    return true;
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
}

void log_error(std::string_view message, std::string_view hint) {
  spdlog::error("error: {}{}", one_line(message), hint.empty() ? "" : "\nhint: " + one_line(hint));
}

void log_note(std::string_view message) { spdlog::warn("note: {}", one_line(message)); }

void log_detail(std::string_view message) { spdlog::info("{}", one_line(message)); }

void say(std::string_view line) { spdlog::get(kPlain)->info("{}", line); }

void say_inline(std::string_view text) { std::cerr << text << std::flush; }

}  // namespace carat
