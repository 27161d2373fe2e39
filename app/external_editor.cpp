#include "app/external_editor.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/environment.h"

namespace carat {
namespace {

// Empty: there is none.
std::string editor_command() {
  const std::string_view visual = environment("VISUAL");
  return std::string(visual.empty() ? environment("EDITOR") : visual);
}

// A file that only the user can read; it goes with the object.
class PrivateFile {
 public:
  PrivateFile() {
    std::error_code failed;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(failed);
    if (failed) return;
    std::string path = (folder / "carat-XXXXXX.md").string();
    constexpr int kEnding = 3;  // ".md", by which editors know what it is
    const int file = ::mkstemps(path.data(), kEnding);
    if (file < 0) return;
    ::close(file);
    path_ = std::move(path);
  }
  PrivateFile(const PrivateFile&) = delete;
  PrivateFile& operator=(const PrivateFile&) = delete;
  ~PrivateFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }  // empty: there is none

 private:
  std::string path_;
};

// The keys of the terminal, Ctrl-C among them, go to this process group from now on. Who asks from behind would be
// stopped for it.
void give_terminal_to(pid_t group) {
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTTOU);
  ::pthread_sigmask(SIG_BLOCK, &stop, &before);
  (void)::tcsetpgrp(STDIN_FILENO, group);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The shell reads the command, which may have arguments; no signal is blocked or ignored.
[[noreturn]] void become_editor(const char* command, const std::string& path) {
  ::setpgid(0, 0);
  give_terminal_to(::getpid());
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (isatty(STDOUT_FILENO) == 0) ::dup2(STDERR_FILENO, STDOUT_FILENO);  // the answers go elsewhere
  const std::string line = "exec " + std::string(command) + " \"$1\"";   // a shell between would die of its Ctrl-C
  ::execl("/bin/sh", "sh", "-c", line.c_str(), "sh", path.c_str(), nullptr);
  ::_exit(127);
}

bool run_editor(const char* command, const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) become_editor(command, path);
  if (child < 0) return false;
  ::setpgid(child, child);  // as the child does: whoever comes first
  int status = 0;
  for (pid_t waited = 0; waited != child;) {
    waited = ::waitpid(child, &status, WUNTRACED);
    if (waited < 0 && errno != EINTR) break;
    if (waited == child && WIFSTOPPED(status)) {  // it has no shell to go back to but through here
      ::kill(-child, SIGCONT);
      waited = 0;
    }
  }
  give_terminal_to(::getpgrp());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

bool has_external_editor() { return !editor_command().empty(); }

bool edit_externally(std::string& text) {
  const std::string command = editor_command();
  const PrivateFile file;
  if (command.empty() || file.path().empty()) return false;
  {
    std::ofstream out(file.path(), std::ios::binary);
    out << text << (text.empty() || text.ends_with('\n') ? "" : "\n");
    if (!out.flush()) return false;
  }
  if (!run_editor(command.c_str(), file.path())) return false;
  std::ifstream in(file.path(), std::ios::binary);
  if (!in) return false;
  text.assign(std::istreambuf_iterator<char>(in), {});
  if (text.ends_with('\n')) text.pop_back();
  return true;
}

}  // namespace carat
