// carat info: what a model file holds.
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/machine.h"
#include "app/memory_need.h"
#include "app/open_model.h"
#include "app/options.h"
#include "app/output.h"
#include "app/sampling_flags.h"
#include "app/tidy.h"
#include "engine/file/quote.h"

namespace carat {
namespace {

// Facts in the order to be shown: sections of keys and values, printed as they are found or, whole, as JSON.
using Facts = nlohmann::ordered_json;

struct InfoOptions {
  ModelFlags model;
  bool json = false, tensors = false, metadata = false, chat_template = false, memory = false;
  ContextFlags context;  // of --memory
};

std::string basis_name(ChatFrame::Choice::Basis basis) {
  switch (basis) {
    case ChatFrame::Choice::Basis::chat_template:
      return "its chat template";
    case ChatFrame::Choice::Basis::architecture:
      return "its architecture; there is no chat template";
    case ChatFrame::Choice::Basis::none:
      break;
  }
  return "nothing in the file";
}

Facts file_facts(const ModelFile& file) {
  const Metadata& metadata = file.metadata();
  std::uint64_t parameters = 0;
  std::map<std::string, std::pair<std::size_t, std::uint64_t>> types;  // name: tensors, bytes
  for (const FileTensor& tensor : file.tensors()) {
    const Tensor matrix = as_matrix(tensor);
    parameters += std::uint64_t{matrix.rows} * matrix.cols;
    auto& [count, bytes] = types[std::string(info(tensor.dtype).name)];
    ++count;
    bytes += tensor.bytes.size();
  }
  Facts facts = {{"path", file.path()},
                 {"format", std::string(file.format()) + " v" + std::to_string(file.version())},
                 {"parts", file.part_count()},
                 {"bytes", file.byte_count()},
                 {"name", metadata.text_or("general.name", "")},
                 {"architecture", metadata.text_or("general.architecture", "")},
                 {"parameters", parameters}};
  for (const auto& [name, sums] : types) facts["types"][name] = {{"tensors", sums.first}, {"bytes", sums.second}};
  return facts;
}

// "1024 in 22 of 26 layers", for each window there is.
Facts window_facts(const ModelConfig& config) {
  std::map<std::size_t, std::size_t> layers;
  for (const LayerConfig& layer : config.layers)
    if (layer.window > 0) ++layers[layer.window];
  Facts facts = Facts::array();
  for (const auto& [window, count] : layers) facts.push_back({{"tokens", window}, {"layers", count}});
  return facts;
}

Facts network_facts(const ModelFile& file) {
  const ModelConfig config = read_config(file);
  Facts ropes = Facts::array();
  for (const RopeConfig& rope : config.ropes) ropes.push_back({{"base", rope.base}, {"factor", rope.factor}});
  return {{"context", config.context},
          {"layers", config.layers.size()},
          {"width", config.width},
          {"hidden", config.hidden},
          {"heads", config.heads},
          {"kv_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"vocabulary", as_matrix(file.need("token_embd.weight")).rows},
          {"windows", window_facts(config)},
          {"ropes", ropes},
          {"attention_cap", tidy(config.attention_cap)},
          {"logit_cap", tidy(config.logit_cap)}};
}

// What a session takes, when its context is full, and what this machine has left.
Facts memory_facts(const ModelFile& file, const ContextFlags& flags) {
  ModelConfig config = read_config(file);
  config.vocabulary = as_matrix(file.need("token_embd.weight")).rows;
  const SessionOptions session{flags.positions(config), flags.step(), flags.cache};
  const MemoryNeed need = memory_need(file, config, session);
  const std::uint64_t available = available_memory();
  SessionOptions trained = session;
  trained.context = config.context;
  const bool all_fits = memory_need(file, config, trained).total() <= available;
  return {{"context", session.context},
          {"weights_bytes", need.weights},
          {"cache_bytes", need.cache},
          {"activations_bytes", need.scratch},
          {"total_bytes", need.total()},
          {"available_bytes", available},
          {"fits", need.total() <= available},
          {"longest_context", all_fits ? config.context : longest_context(file, config, trained, 1, available)}};
}

Facts tokenizer_facts(const ModelFile& file, const Tokenizer& tokenizer, const ChatFrame::Choice& choice) {
  Facts stops = Facts::array();
  for (const TokenId id : choice.frame.stops(tokenizer))
    stops.push_back({{"id", id}, {"token", tokenizer.spelling(id)}});
  return {{"kind", file.metadata().text("tokenizer.ggml.model")},
          {"pre", file.metadata().text_or("tokenizer.ggml.pre", "")},
          {"tokens", tokenizer.size()},
          {"bos", tokenizer.bos()},
          {"eos", tokenizer.eos()},
          {"add_bos", tokenizer.add_bos()},
          {"stops", stops},
          {"turns", choice.frame.name()},
          {"turns_known_by", basis_name(choice.basis)}};
}

Facts sampling_facts(const SamplingOptions& options) {
  return {{"temp", tidy(options.temperature)},
          {"top_k", options.top_k},
          {"top_p", tidy(options.top_p)},
          {"min_p", tidy(options.min_p)},
          {"repeat_penalty", tidy(options.repeat_penalty)}};
}

Facts metadata_facts(const Metadata& metadata) {
  Facts facts = Facts::object();
  for (const Metadata::Entry& entry : metadata.entries()) {
    facts[entry.key] = std::visit(
        [&entry]<class T>(const T& v) -> Facts {
          if constexpr (std::is_same_v<T, ValueArray>)
            return type_name(entry.value) + " " + describe(entry.value);
          else if constexpr (std::is_same_v<T, float>)
            return tidy(v);
          else
            return v;
        },
        entry.value);
  }
  return facts;
}

Facts tensor_facts(const ModelFile& file) {
  Facts facts = Facts::object();
  for (const FileTensor& tensor : file.tensors()) {
    const std::vector<std::uint64_t> dims(tensor.dims.begin(),
                                          tensor.dims.begin() + static_cast<std::ptrdiff_t>(tensor.n_dims));
    facts[tensor.name] = {{"type", info(tensor.dtype).name}, {"dims", dims}};
  }
  return facts;
}

// A value in one line: "48", "base 10000, factor 1; base 1e6, factor 8".
std::string value_text(const std::string& key, const Facts& value) {
  if (value.is_string()) return value == "" ? "none" : printable(value.get<std::string>());
  if (value.is_number_float()) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value.get<double>());
    return text;
  }
  if (key == "bytes" || key.ends_with("_bytes"))
    return value.dump() + " (" + size_name(value.get<std::uint64_t>()) + ")";
  std::string text;
  if (value.is_array()) {
    for (const Facts& item : value) text += (text.empty() ? "" : item.is_object() ? "; " : ", ") + value_text("", item);
    return text.empty() ? "none" : text;
  }
  if (!value.is_object()) return value.dump();
  for (const auto& [name, item] : value.items()) {
    text += (text.empty() ? "" : ", ") + name + " " + value_text(name, item);
  }
  return text;
}

std::string section_text(const std::string& name, const Facts& facts) {
  std::string text = name + "\n";
  for (const auto& [key, value] : facts.items()) {
    const bool is_table = value.is_object() && !value.empty() && value.begin()->is_object();
    std::string label = printable(key);
    if (!is_table) label.resize(std::max<std::size_t>(label.size() + 1, 16), ' ');
    text += "  " + label + (is_table ? "" : value_text(key, value)) + "\n";
    if (!is_table) continue;
    for (const auto& [row, columns] : value.items()) text += "    " + row + ": " + value_text(row, columns) + "\n";
  }
  return text;
}

// Takes sections one by one. As text they are shown at once, so that a file which is refused half-way has been
// described as far as it was understood.
class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void add(const std::string& name, Facts facts) {
    if (!json_) print(section_text(name, facts));
    all_[name] = std::move(facts);
  }

  // ASCII alone, so that no text of the file drives a terminal.
  void finish() const {
    if (json_) print(all_.dump(2, ' ', true, Facts::error_handler_t::replace) + "\n");
  }

 private:
  bool json_;
  Facts all_;
};

// The template as it is written, but for characters that would drive the terminal.
std::string template_text(std::string_view text) {
  std::string shown;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    shown += printable(text.substr(begin, end - begin)) + "\n";
    begin = end + 1;
  }
  return shown;
}

int show_info(const InfoOptions& o, Call& call) {
  const std::string path = o.model.take_path(call.words);
  refuse_words(call);
  const ModelFiles files = open_files(path, o.model.tokenizer);
  const ModelFile& file = files.file;
  if (o.memory && file.tensors().empty()) throw BadUsage("--memory: there are no tensors in " + path);
  if (o.chat_template && !o.json) {
    print(template_text(chat_template(file)));
    return kExitDone;
  }
  Report report(o.json);
  report.add("file", file_facts(file));
  if (o.metadata) report.add("metadata", metadata_facts(file.metadata()));
  if (o.tensors) report.add("tensors", tensor_facts(file));
  if (!file.tensors().empty()) report.add("network", network_facts(file));
  if (o.memory) report.add("memory", memory_facts(file, o.context));
  if (has_tokenizer(files)) {
    const auto tokenizer = open_tokenizer(files);
    const auto choice = choose_frame(file, *tokenizer);
    report.add("tokenizer", tokenizer_facts(file, *tokenizer, choice));
    report.add("sampling", sampling_facts(default_sampling(file, choice)));
  }
  if (o.chat_template) report.add("template", chat_template(file));
  report.finish();
  return kExitDone;
}

}  // namespace

Command add_info(CLI::App& app) {
  const auto o = std::make_shared<InfoOptions>();
  o->model.add_to(app);
  add_switch(app, "--json", o->json, "as JSON");
  add_switch(app, "--tensors", o->tensors, "list the tensors, too");
  add_switch(app, "--metadata", o->metadata, "list the metadata, too");
  add_switch(app, "--memory", o->memory, "say what it takes of memory with the context of -c, and what there is");
  o->context.add_to(app);
  add_switch(app, "--template", o->chat_template, "print the chat template alone (with --json: too)");
  return [o](Call& call) { return show_info(*o, call); };
}

}  // namespace carat
