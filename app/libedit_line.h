// The line editor of libedit, and what carat adds to it.
#pragma once
#include <histedit.h>

#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "app/folds.h"
#include "app/history.h"
#include "app/key_input.h"
#include "app/line_editor.h"

namespace carat {

// One line at a time, on a terminal that can move its cursor. The options are LineEditor's.
class LibeditLine {
 public:
  explicit LibeditLine(LineEditorOptions options);
  LibeditLine(const LibeditLine&) = delete;
  LibeditLine& operator=(const LibeditLine&) = delete;
  ~LibeditLine();

  LineEditor::Event read(std::string& text);  // as LineEditor::read

 private:
  using Event = LineEditor::Event;
  using Action = unsigned char (LibeditLine::*)();

  static LibeditLine& self(EditLine* edit) {
    void* data = nullptr;
    el_wget(edit, EL_CLIENTDATA, &data);
    return *static_cast<LibeditLine*>(data);
  }
  template <Action action>
  static unsigned char call(EditLine* edit, int) {
    return (self(edit).*action)();
  }
  template <Action action>
  void bind(const wchar_t* name, std::initializer_list<const wchar_t*> keys) {
    el_wset(edit_, EL_ADDFN, name, L"carat's", &LibeditLine::call<action>);
    for (const wchar_t* const key : keys) bind_to(key, name);
  }
  void bind_to(const wchar_t* key, const wchar_t* command) { el_wset(edit_, EL_BIND, key, command, nullptr); }
  void bind_keys();

  static int take_key(EditLine* edit, wchar_t* key) { return self(edit).next_key(*key); }
  int next_key(wchar_t& key);
  static wchar_t* prompt(EditLine* edit) { return self(edit).prompt_.data(); }

  unsigned char enter();
  unsigned char new_line();
  unsigned char cancel();
  unsigned char paste();
  unsigned char complete();
  unsigned char open_editor();
  unsigned char line_up() { return move_line(true); }
  unsigned char line_down() { return move_line(false); }
  unsigned char suspend();

  unsigned char move_line(bool up);
  std::wstring_view line() const;
  std::size_t cursor() const;
  bool is_searching() const;
  void replace(std::string_view text);
  std::string folded(std::string_view text, std::size_t rows);
  std::size_t rows_for(std::wstring_view text) const;
  void list(const std::vector<std::string>& words);
  void leave_terminal();
  void enter_terminal();
  void redraw();
  void write(std::string_view text) const;
  void remember(std::string_view text);

  LineEditorOptions options_;
  std::wstring prompt_;
  KeyInput keys_;
  History history_file_;
  Folds folds_;
  FILE* out_;
  EditLine* edit_;
  HistoryW* history_;
  Event outcome_ = Event::line;
};

}  // namespace carat
