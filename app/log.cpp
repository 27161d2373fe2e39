#include "app/log.h"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include "app/terminal.h"

namespace carat {
namespace {

constexpr const char* kPlain = "plain";  // the logger without a prefix

// What a message is, where that has a name: it stands for %* in a pattern. That of an error is coloured.
class KindFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& text) override {
    const std::string_view kind = message.level == spdlog::level::err    ? "error: "
                                  : message.level == spdlog::level::warn ? "note: "
                                                                         : "";
    const bool is_error = message.level == spdlog::level::err;
    message.color_range_start = is_error ? text.size() : 0;
    text.append(kind.data(), kind.data() + kind.size());
    message.color_range_end = is_error ? text.size() : 0;
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<KindFlag>(); }
};

std::unique_ptr<spdlog::formatter> with_kind(const char* pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<KindFlag>('*').set_pattern(pattern);
  return formatter;
}

using StandardError = spdlog::sinks::ansicolor_stderr_sink_mt;

StandardError& standard_error() { return static_cast<StandardError&>(*spdlog::default_logger()->sinks().front()); }

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
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("carat", std::make_shared<StandardError>()));
  standard_error().set_formatter(with_kind("carat: %*%v"));
  set_log_colour("auto");
  auto plain = std::make_shared<spdlog::logger>(kPlain, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  plain->set_pattern("%v");
  spdlog::register_logger(std::move(plain));
  set_log_verbosity(0);
}

void set_log_colour(std::string_view when) {
  const bool shows = shows_colour(STDERR_FILENO, when);
  standard_error().set_color_mode(shows ? spdlog::color_mode::always : spdlog::color_mode::never);
}

// Of what standard error gets; a log file gets everything.
void set_log_verbosity(int verbosity) {
  const auto level = verbosity < 0 ? spdlog::level::err : verbosity == 0 ? spdlog::level::warn : spdlog::level::info;
  standard_error().set_level(level);
}

bool log_to_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return false;  // spdlog would make the folders, and the file for everybody to read
  ::close(file);
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    sink->set_formatter(with_kind("%Y-%m-%d %H:%M:%S.%e [%P] %*%v"));
    spdlog::default_logger()->sinks().push_back(std::move(sink));
    spdlog::default_logger()->flush_on(spdlog::level::info);
    return true;
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
}

void log_error(std::string_view message, std::string_view hint) {
  spdlog::error("{}{}", one_line(message), hint.empty() ? "" : "\nhint: " + one_line(hint));
}

void log_note(std::string_view message) { spdlog::warn("{}", one_line(message)); }

void log_detail(std::string_view message) { spdlog::info("{}", one_line(message)); }

void say(std::string_view line) { spdlog::get(kPlain)->info("{}", line); }

void say_inline(std::string_view text) { std::cerr << text << std::flush; }

}  // namespace carat
