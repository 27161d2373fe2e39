#include "app/json_event.h"

#include <cmath>

#include "app/overloaded.h"
#include "app/tidy.h"

namespace carat {
namespace {

// A tenth of a microsecond is beyond what is measured.
double rounded(double ms) { return std::round(ms * 1e3) / 1e3; }

double per_second(std::size_t count, double ms) { return ms > 0 ? rounded(static_cast<double>(count) * 1000 / ms) : 0; }

std::string_view channel_name(Channel channel) { return channel == Channel::answer ? "answer" : "reasoning"; }

Json model_json(const ModelFacts& model) {
  return {{"name", model.name},         {"path", model.path},   {"format", model.format},
          {"arch", model.architecture}, {"quant", model.quant}, {"params", model.parameters},
          {"ctx_train", model.context}};
}

Json sampling_json(const SamplingOptions& sampling) {
  return {{"temp", tidy(sampling.temperature)},
          {"top_k", sampling.top_k},
          {"top_p", tidy(sampling.top_p)},
          {"min_p", tidy(sampling.min_p)},
          {"repeat_penalty", tidy(sampling.repeat_penalty)},
          {"repeat_last_n", sampling.repeat_last},
          {"presence_penalty", tidy(sampling.presence_penalty)},
          {"frequency_penalty", tidy(sampling.frequency_penalty)},
          {"seed", sampling.seed}};
}

Json chance_json(const TokenChance& chance) {
  return {{"id", chance.id}, {"token", chance.token}, {"logprob", chance.logprob}};
}

Json logprobs_json(const std::vector<TokenChances>& tokens) {
  Json list = Json::array();
  for (const TokenChances& token : tokens) {
    Json entry = chance_json(token.chosen);
    entry["top"] = Json::array();
    for (const TokenChance& other : token.top) entry["top"].push_back(chance_json(other));
    list.push_back(std::move(entry));
  }
  return list;
}

Json stop_json(const std::optional<StopCause>& stop) {
  if (!stop) return nullptr;
  return {{"kind", stop->kind == StopCause::Kind::end_token ? "eog" : "text"}, {"value", stop->value}};
}

Json constraint_json(const std::optional<ConstraintResult>& constraint) {
  if (!constraint) return nullptr;
  return {{"kind", constraint->kind}, {"satisfied", constraint->satisfied}, {"ms", rounded(constraint->ms)}};
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"reasoning_tokens", usage.reasoning_tokens},
          {"total_tokens", usage.total()}};
}

Json timings_json(const Result& result) {
  const auto& [usage, timings] = std::pair(result.usage, result.timings);
  return {{"load_ms", rounded(timings.load_ms)},
          {"prompt_ms", rounded(timings.prompt_ms)},
          {"prompt_per_second", per_second(usage.prompt_tokens - usage.cached_tokens, timings.prompt_ms)},
          {"ttft_ms", rounded(timings.ttft_ms)},
          {"predicted_ms", rounded(timings.predicted_ms)},
          {"predicted_per_second", per_second(result.steps(), timings.predicted_ms)},
          {"total_ms", rounded(timings.total_ms)}};
}

// The event's own fields, behind type and id.
void add(Json& json, const Start& start, const RequestLabel& label) {
  json["v"] = 1;
  json["carat"] = CARAT_VERSION;
  json["source"] = label.source;
  json["model"] = model_json(start.model);
  json["bits"] = start.model.bits;
  json["ctx"] = start.context;
  json["threads"] = start.threads;
  json["batch"] = start.batch;
  json["device"] = start.device;
  json["isa"] = start.isa;
  json["gpu_layers"] = start.gpu_layers;
  json["template"] = start.template_name;
  json["sampling"] = sampling_json(start.sampling);
}

void add(Json& json, const Progress& progress, const RequestLabel&) {
  json["phase"] = phase_name(progress.phase);
  json["done"] = progress.done;
  json["total"] = progress.total;
  json["unit"] = progress.unit;
  json["elapsed_ms"] = rounded(progress.elapsed_ms);
}

void add(Json& json, const Warning& warning, const RequestLabel&) {
  json["code"] = warning.code;
  json["message"] = warning.message;
}

void add(Json& json, const Delta& delta, const RequestLabel&) {
  json["channel"] = channel_name(delta.channel);
  json["text"] = delta.text;
  json["ids"] = delta.ids;
  if (delta.lossy) json["lossy"] = true;
  if (!delta.logprobs.empty()) json["logprobs"] = logprobs_json(delta.logprobs);
}

void add(Json& json, const Result& result, const RequestLabel& label) {
  json["source"] = label.source;
  json["model"] = label.model;
  json["bits"] = label.bits;
  json["text"] = result.text;
  json["reasoning"] = result.reasoning ? Json(*result.reasoning) : Json(nullptr);
  json["finish_reason"] = reason_name(result.reason);
  json["stop"] = stop_json(result.stop);
  json["truncated"] = result.reason != FinishReason::stop;
  json["constraint"] = constraint_json(result.constraint);
  json["usage"] = usage_json(result.usage);
  json["timings"] = timings_json(result);
  json["memory"] = {{"weights", result.memory.weights}, {"kv", result.memory.kv}, {"peak_rss", result.memory.peak_rss}};
  json["seed"] = result.seed;
  json["exit_code"] = result.exit_code;
}

void add(Json& json, const ErrorEvent& error, const RequestLabel& label) {
  json["source"] = label.source;
  json["code"] = error.code;
  json["message"] = error.message;
  json["hint"] = error.hint.empty() ? Json(nullptr) : Json(error.hint);
  json["phase"] = phase_name(error.phase);
  if (error.line) json["line"] = *error.line;
  json["exit_code"] = error.exit_code;
  json["retryable"] = error.retryable;
}

std::string_view type_name(const Event& event) {
  return std::visit(Overloaded{
                        [](const Start&) { return "start"; },
                        [](const Progress&) { return "progress"; },
                        [](const Warning&) { return "warning"; },
                        [](const Delta&) { return "delta"; },
                        [](const Result&) { return "result"; },
                        [](const ErrorEvent&) { return "error"; },
                    },
                    event);
}

}  // namespace

Json to_json(const Event& event, const RequestLabel& label) {
  Json json = {{"type", type_name(event)}, {"id", label.id.empty() ? Json(nullptr) : Json(label.id)}};
  std::visit([&](const auto& e) { add(json, e, label); }, event);
  return json;
}

std::string json_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace carat
