#include "app/chat_settings.h"

#include <algorithm>
#include <limits>
#include <sstream>
#include <utility>

#include "app/chat.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/nearest.h"
#include "engine/file/quote.h"

namespace carat {
namespace {

// What /set knows, as a parser of flags.
class Settings {
 public:
  Settings(const SamplingFlags& flags, std::int64_t max_tokens) : flags_(flags), max_tokens_(max_tokens) {
    flags_.add_to(parser_.app());
    add_integer(parser_.app(), "--predict,--max-tokens,--n-predict", max_tokens_, -1,
                std::numeric_limits<std::int32_t>::max(), "tokens of an answer at most; -1: no limit");
  }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  std::vector<std::string> names() const { return parser_.names(); }

  void set(const std::string& name, const std::string& value) {
    if (!parser_.has("--" + name)) {
      const std::string near = suggestion(name, names());
      throw BadUsage(quote(name) + " cannot be set", near.empty() ? "/set lists what can" : near);
    }
    if (name.starts_with("temp")) flags_.greedy = false;  // which would have the last word
    parser_.parse({"--" + name + "=" + value});
  }

  const SamplingFlags& flags() const { return flags_; }
  std::int64_t max_tokens() const { return max_tokens_; }

 private:
  FlagParser parser_;
  SamplingFlags flags_;
  std::int64_t max_tokens_;
};

}  // namespace

std::vector<std::string> setting_names() {
  std::vector<std::string> names = Settings({}, 0).names();
  for (std::string& name : names) name += ' ';
  return names;
}

std::string list_settings(Chat& chat) {
  const SamplingOptions& o = chat.conversation().sampling();
  std::ostringstream text;
  text << "temp " << o.temperature << "\ntop-k " << o.top_k << "\ntop-p " << o.top_p << "\nmin-p " << o.min_p
       << "\nrepeat-penalty " << o.repeat_penalty << "\nrepeat-last-n " << o.repeat_last << "\npresence-penalty "
       << o.presence_penalty << "\nfrequency-penalty " << o.frequency_penalty << "\nseed " << o.seed << "\npredict "
       << chat.max_tokens() << "\nignore-eos " << (chat.sampling_flags().ignore_eos ? "on" : "off");
  for (const std::string& bias : chat.sampling_flags().logit_bias) text << "\nlogit-bias " << bias;
  return text.str();
}

void change_setting(Chat& chat, const std::string& text) {
  std::string name = text.substr(0, text.find_first_of(" ="));
  const std::size_t value = text.find_first_not_of(" =", name.size());
  name.erase(0, name.find_first_not_of('-'));
  std::ranges::replace(name, '_', '-');
  if (value == std::string::npos) throw BadUsage("no value", "usage: /set NAME VALUE");

  Settings settings(chat.sampling_flags(), chat.max_tokens());
  settings.set(name, text.substr(value));
  const SamplingOptions options = sampling_options(settings.flags(), chat.model(), chat.conversation().context());
  chat.set_sampling(settings.flags(), options);
  chat.set_max_tokens(settings.max_tokens());
}

}  // namespace carat
