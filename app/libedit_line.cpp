#include "app/libedit_line.h"

#include <algorithm>
#include <csignal>

#include "app/external_editor.h"
#include "app/terminal.h"
#include "app/typed_text.h"

namespace carat {
namespace {

constexpr std::string_view kPasteBegin = "\033[200~", kPasteEnd = "\033[201~";
constexpr std::string_view kBold = "\033[1m", kPlain = "\033[0m";
constexpr wchar_t kStyleMark = L'\1';         // around what in the prompt takes no room
constexpr const wchar_t* kSendKey = L"\x1c";  // libedit's own "newline" is bound to it: Ctrl-backslash

// The longest that all words begin with.
std::string common_beginning(const std::vector<std::string>& words) {
  std::string common = words.front();
  for (const std::string& word : words) {
    const auto end = std::ranges::mismatch(common, word).in1;
    common.erase(end, common.end());
  }
  return common;
}

}  // namespace

LibeditLine::LibeditLine(LineEditorOptions options)
    : options_(std::move(options)),
      keys_(options_.interrupt, options_.redraw),
      history_file_(options_.history),
      out_(options_.on_stderr ? stderr : stdout),
      edit_(el_init("carat", stdin, out_, stderr)),
      history_(history_winit()) {
  use_utf8();
  const std::wstring style = options_.coloured ? kStyleMark + widen(kBold) + kStyleMark : L"";
  const std::wstring end = options_.coloured ? kStyleMark + widen(kPlain) + kStyleMark : L"";
  // libedit lets go of a style at the end of a prompt: this one ends before the last letter, which is a space.
  const std::wstring shown = widen(options_.prompt);
  const std::size_t last = std::max<std::size_t>(shown.size(), 1) - 1;
  prompt_ = style + shown.substr(0, last) + end + shown.substr(last);
  el_wset(edit_, EL_CLIENTDATA, this);
  el_wset(edit_, EL_EDITOR, L"emacs");
  el_wset(edit_, EL_PROMPT_ESC, &LibeditLine::prompt, kStyleMark);
  el_wset(edit_, EL_GETCFN, &LibeditLine::take_key);
  // Enter and Ctrl-J are two keys then, and Ctrl-C and Ctrl-Z are keys at all.
  el_set(edit_, EL_SETTY, "-d", "-icrnl", "-inlcr", "-isig", nullptr);
  bind_keys();

  HistEventW event;
  history_w(history_, &event, H_SETSIZE, static_cast<int>(History::kMaxEntries));
  el_wset(edit_, EL_HIST, history_w, history_);
  for (const std::string& entry : history_file_.entries()) {
    history_w(history_, &event, H_ENTER, widen(folded(entry, 1)).c_str());
  }
}

LibeditLine::~LibeditLine() {
  history_wend(history_);
  el_end(edit_);
}

void LibeditLine::bind_keys() {
  bind_to(kSendKey, L"ed-newline");
  bind<&LibeditLine::enter>(L"carat-enter", {L"^M"});
  bind<&LibeditLine::new_line>(L"carat-new-line", {L"^J", L"\\e^M", L"\\e^J"});
  bind<&LibeditLine::cancel>(L"carat-cancel", {L"^C"});
  bind<&LibeditLine::paste>(L"carat-paste", {L"\\e[200~"});
  bind<&LibeditLine::complete>(L"carat-complete", {L"^I"});
  bind<&LibeditLine::open_editor>(L"carat-editor", {L"^G", L"^X^E"});
  bind<&LibeditLine::line_up>(L"carat-line-up", {L"\\e[A", L"\\eOA"});
  bind<&LibeditLine::line_down>(L"carat-line-down", {L"\\e[B", L"\\eOB"});
  bind<&LibeditLine::suspend>(L"carat-suspend", {L"^Z"});
  bind_to(L"^R", L"em-inc-search-prev");
  bind_to(L"^W", L"ed-delete-prev-word");
  for (const wchar_t* const key : {L"\\e[1;5D", L"\\e[1;3D"}) bind_to(key, L"ed-prev-word");
  for (const wchar_t* const key : {L"\\e[1;5C", L"\\e[1;3C"}) bind_to(key, L"em-next-word");
  for (const wchar_t* const key : {L"\\e[H", L"\\eOH", L"\\e[1~"}) bind_to(key, L"ed-move-to-beg");
  for (const wchar_t* const key : {L"\\e[F", L"\\eOF", L"\\e[4~"}) bind_to(key, L"ed-move-to-end");
  bind_to(L"\\e[3~", L"ed-delete-next-char");
}

LineEditor::Event LibeditLine::read(std::string& text) {
  if (!text.empty()) keys_.put_back(std::string(kPasteBegin) + text + std::string(kPasteEnd));
  outcome_ = Event::end;
  write(kPasteOn);
  int length = 0;
  const wchar_t* const got = el_wgets(edit_, &length);
  write(kPasteOff);
  text.clear();
  if (got == nullptr || length <= 0) {
    write("\n");
    return outcome_;
  }
  std::wstring_view line(got, static_cast<std::size_t>(length));
  if (line.ends_with(L'\n')) line.remove_suffix(1);  // the one that ended it
  text = folds_.unfold(narrow(line));
  remember(text);
  return Event::line;
}

void LibeditLine::remember(std::string_view text) {
  if (!history_file_.add(text)) return;
  HistEventW event;
  history_w(history_, &event, H_ENTER, widen(folded(text, 1)).c_str());
}

int LibeditLine::next_key(wchar_t& key) {
  for (;;) {
    switch (keys_.next(key)) {
      case KeyInput::Event::key:
        // libedit's search ends at an ESC, and would take the rest of an arrow key for text.
        if (key == L'\033' && is_searching()) keys_.skip_function_key();
        return 1;
      case KeyInput::Event::end:
        return 0;
      case KeyInput::Event::interrupted:
        outcome_ = Event::interrupted;
        return -1;
      case KeyInput::Event::redraw:
        redraw();
    }
  }
}

unsigned char LibeditLine::enter() {
  std::string text = narrow(line());
  if (take_continuation(text) || opens_block(folds_.unfold(text))) {
    el_cursor(edit_, static_cast<int>(line().size() - cursor()));
    if (line().ends_with(L'\\')) el_deletestr(edit_, 1);
    return new_line();
  }
  el_wpush(edit_, kSendKey);
  return CC_NORM;
}

unsigned char LibeditLine::new_line() {
  el_winsertstr(edit_, L"\n");
  return CC_REFRESH;
}

// The text is not lost: it is the last of the history.
unsigned char LibeditLine::cancel() {
  if (line().empty()) {
    outcome_ = Event::cancelled;
    return CC_EOF;
  }
  remember(folds_.unfold(narrow(line())));
  replace("");
  return CC_REFRESH;
}

unsigned char LibeditLine::paste() {
  std::string text;
  const KeyInput::Event event = keys_.next_until(kPasteEnd, text);
  if (event != KeyInput::Event::key) {
    outcome_ = event == KeyInput::Event::interrupted ? Event::interrupted : Event::end;
    return CC_EOF;
  }
  text = clean_text(text);
  if (text.ends_with('\n')) text.pop_back();
  el_winsertstr(edit_, widen(folded(text, rows_for(line()))).c_str());
  return CC_REFRESH;
}

unsigned char LibeditLine::complete() {
  const std::string before = narrow(line().substr(0, cursor()));
  const Completion completion = options_.completer ? options_.completer(before) : Completion();
  if (completion.words.empty()) return CC_ERROR;
  const std::string typed = before.substr(completion.start);
  const std::string common = common_beginning(completion.words);
  if (common.size() > typed.size()) {
    el_deletestr(edit_, static_cast<int>(widen(typed).size()));
    el_winsertstr(edit_, widen(common).c_str());
    return CC_REFRESH;
  }
  if (completion.words.size() == 1) return CC_NORM;
  list(completion.words);
  return CC_REDISPLAY;
}

// Below the line, in columns.
void LibeditLine::list(const std::vector<std::string>& words) {
  std::size_t width = 0;
  for (const std::string& word : words) width = std::max(width, widen(word).size() + 2);
  const std::size_t per_row = std::max<std::size_t>(1, screen_size().columns / width);
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += i % per_row == 0 ? "\r\n" : "";
    text += words[i] + std::string(width - widen(words[i]).size(), ' ');
  }
  write(text + "\r\n");
}

unsigned char LibeditLine::open_editor() {
  if (!has_external_editor()) {
    write("\r\n(set VISUAL or EDITOR to the editor of your choice)\r\n");
    return CC_REDISPLAY;
  }
  std::string text = folds_.unfold(narrow(line()));
  leave_terminal();
  const bool edited = edit_externally(text);
  enter_terminal();
  if (!edited) {
    write("\r\n(the editor failed: the text is as it was)\r\n");
    return CC_REDISPLAY;
  }
  const std::string clean = clean_text(text);
  replace(folded(clean, 0));
  write("\r\n");
  return CC_REDISPLAY;
}

// To the line above or below in the text, or to the history.
unsigned char LibeditLine::move_line(bool up) {
  const std::wstring_view text = line();
  const std::size_t at = cursor();
  const std::size_t before = text.substr(0, at).rfind(L'\n');
  const std::size_t after = text.find(L'\n', at);
  if ((up ? before : after) == std::wstring_view::npos) {
    el_wpush(edit_, up ? L"\x10" : L"\x0e");  // Ctrl-P, Ctrl-N
    return CC_NORM;
  }
  const std::size_t column = before == std::wstring_view::npos ? at : at - before - 1;
  std::size_t to = 0;
  if (up) {
    const std::size_t previous = before == 0 ? std::wstring_view::npos : text.rfind(L'\n', before - 1);
    const std::size_t begin = previous == std::wstring_view::npos ? 0 : previous + 1;
    to = std::min(begin + column, before);
  } else {
    to = std::min(after + 1 + column, std::min(text.find(L'\n', after + 1), text.size()));
  }
  el_cursor(edit_, static_cast<int>(to) - static_cast<int>(at));
  return CC_CURSOR;
}

// The signal is taken where all are, and this terminal is then left and come back to (Interrupt::JobControl).
unsigned char LibeditLine::suspend() {
  ::kill(0, SIGTSTP);
  return CC_NORM;
}

std::wstring_view LibeditLine::line() const {
  const LineInfoW* const info = el_wline(edit_);
  return {info->buffer, static_cast<std::size_t>(info->lastchar - info->buffer)};
}

std::size_t LibeditLine::cursor() const {
  const LineInfoW* const info = el_wline(edit_);
  return static_cast<std::size_t>(info->cursor - info->buffer);
}

// libedit puts what is searched for behind the line, in its own buffer.
bool LibeditLine::is_searching() const {
  return line().find(L"\nbck:") != std::wstring_view::npos || line().find(L"\nfwd:") != std::wstring_view::npos;
}

void LibeditLine::replace(std::string_view text) {
  el_cursor(edit_, static_cast<int>(line().size() - cursor()));
  el_deletestr(edit_, static_cast<int>(line().size()));
  el_winsertstr(edit_, widen(text).c_str());
}

// `text` if it and `rows` more fit on half of the screen, else its stand-in.
std::string LibeditLine::folded(std::string_view text, std::size_t rows) {
  return rows + rows_for(widen(text)) > screen_size().rows / 2 ? folds_.fold(text) : std::string(text);
}

std::size_t LibeditLine::rows_for(std::wstring_view text) const {
  ScreenPoint point{0, options_.prompt.size()};
  const std::size_t columns = screen_size().columns;
  for (const wchar_t character : text) point.advance(character, columns);
  return point.row + 1;
}

void LibeditLine::leave_terminal() {
  write(kPasteOff);
  el_set(edit_, EL_PREP_TERM, 0);
}

void LibeditLine::enter_terminal() {
  el_set(edit_, EL_PREP_TERM, 0);  // lest it believes that nothing has changed
  el_set(edit_, EL_PREP_TERM, 1);
  write(kPasteOn);
}

// The terminal has broken the line anew, for its new width: it is drawn over what there is of it.
void LibeditLine::redraw() {
  enter_terminal();
  const std::size_t rows = rows_for(line().substr(0, cursor())) - 1;
  write("\r" + (rows == 0 ? "" : "\033[" + std::to_string(rows) + "A") + "\033[J");
  el_resize(edit_);
  el_set(edit_, EL_REFRESH);
}

void LibeditLine::write(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

}  // namespace carat
