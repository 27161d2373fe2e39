// What gemma.cpp calls the tensors of a Gemma, and how it stacks them (sbs.md, section 7).
#include "engine/file/sbs_names.h"

namespace carat {

namespace {

// The tensors of one layer, or of the whole model, under construction.
class Planner {
 public:
  Planner(const ModelConfig& config, std::string layer, std::string suffix)
      : c_(config), layer_(std::move(layer)), suffix_(std::move(suffix)) {}

  void gain(const char* name, const char* tensor, std::size_t n) {
    plans_.push_back({name + suffix_, 1, n, {{layer_ + tensor, 0, 1, 0}}, true});
  }
  void matrix(const char* name, const char* tensor, std::size_t rows, std::size_t cols) {
    stack(name, cols, {{layer_ + tensor, 0, rows, 0}});
  }

  // Queries, if asked for, above the keys and values of each head by turns.
  void stack_qkv(const char* name, bool with_queries) {
    const std::size_t d = c_.head_dim;
    std::vector<SbsPiece> pieces;
    // Gemma 1 with as many keys as queries, the 7B, has all three of each head together.
    const bool by_head = c_.architecture == "gemma" && c_.heads == c_.kv_heads;
    if (with_queries && !by_head) pieces.push_back({layer_ + "attn_q.weight", 0, c_.heads * d, 0});
    for (std::size_t k = 0; k < c_.kv_heads; ++k) {
      if (with_queries && by_head) pieces.push_back({layer_ + "attn_q.weight", k * d, d, 0});
      pieces.push_back({layer_ + "attn_k.weight", k * d, d, 0});
      pieces.push_back({layer_ + "attn_v.weight", k * d, d, 0});
    }
    stack(name, c_.width, std::move(pieces));
  }

  // The columns of each head below those of the head before: [heads * width, head_dim].
  void stack_attention_output(const char* name) {
    std::vector<SbsPiece> pieces;
    for (std::size_t h = 0; h < c_.heads; ++h)
      pieces.push_back({layer_ + "attn_output.weight", 0, c_.width, h * c_.head_dim});
    stack(name, c_.head_dim, std::move(pieces));
  }

  void stack_gating(const char* name) {
    stack(name, c_.width, {{layer_ + "ffn_gate.weight", 0, c_.hidden, 0}, {layer_ + "ffn_up.weight", 0, c_.hidden, 0}});
  }

  std::vector<SbsTensorPlan> finish() && { return std::move(plans_); }

 private:
  void stack(const char* name, std::size_t cols, std::vector<SbsPiece> pieces) {
    std::size_t rows = 0;
    for (const SbsPiece& piece : pieces) rows += piece.rows;
    plans_.push_back({name + suffix_, rows, cols, std::move(pieces), false});
  }

  const ModelConfig& c_;
  std::string layer_, suffix_;
  std::vector<SbsTensorPlan> plans_;
};

Planner layer_planner(const ModelConfig& c, std::size_t i) {
  return {c, "blk." + std::to_string(i) + ".", "_" + std::to_string(i)};
}

std::vector<SbsTensorPlan> plan_layer(const ModelConfig& c, std::size_t i) {
  Planner plan = layer_planner(c, i);
  plan.stack_qkv("qkv_ein", true);
  plan.stack_attention_output("att_ein");
  plan.stack_gating("gating_ein");
  plan.matrix("linear_w", "ffn_down.weight", c.width, c.hidden);
  plan.gain("pre_att_ns", "attn_norm.weight", c.width);
  plan.gain("pre_ff_ns", "ffn_norm.weight", c.width);
  if (c.post_norms) {
    plan.gain("post_att_ns", "post_attention_norm.weight", c.width);
    plan.gain("post_ff_ns", "post_ffw_norm.weight", c.width);
  }
  if (c.qk_norm) {
    plan.gain("key_norm", "attn_k_norm.weight", c.head_dim);
    plan.gain("query_norm", "attn_q_norm.weight", c.head_dim);
  }
  return std::move(plan).finish();
}

std::vector<SbsTensorPlan> plan_alternatives(const ModelConfig& c, std::size_t i) {
  Planner plan = layer_planner(c, i);
  plan.matrix("qkv1_w", "attn_q.weight", c.heads * c.head_dim, c.width);
  plan.stack_qkv("qkv2_w", false);
  plan.matrix("att_w", "attn_output.weight", c.width, c.heads * c.head_dim);
  plan.matrix("gating1_w", "ffn_gate.weight", c.hidden, c.width);
  plan.matrix("gating2_w", "ffn_up.weight", c.hidden, c.width);
  return std::move(plan).finish();
}

void append(std::vector<SbsTensorPlan>& plans, std::vector<SbsTensorPlan> more) {
  for (SbsTensorPlan& plan : more) plans.push_back(std::move(plan));
}

}  // namespace

std::vector<SbsTensorPlan> sbs_plan(const ModelConfig& config) {
  Planner model(config, "", "");
  model.matrix("c_embedding", "token_embd.weight", config.vocabulary, config.width);
  model.gain("c_final_norm", "output_norm.weight", config.width);
  std::vector<SbsTensorPlan> plans = std::move(model).finish();
  for (std::size_t i = 0; i < config.layers.size(); ++i) append(plans, plan_layer(config, i));
  return plans;
}

std::vector<SbsTensorPlan> sbs_alternatives(const ModelConfig& config) {
  std::vector<SbsTensorPlan> plans;
  for (std::size_t i = 0; i < config.layers.size(); ++i) append(plans, plan_alternatives(config, i));
  return plans;
}

std::map<std::string, SbsTensorPlan> sbs_plans_by_name(const ModelConfig& config) {
  std::map<std::string, SbsTensorPlan> by_name;
  for (SbsTensorPlan& plan : sbs_plan(config)) by_name.emplace(plan.name, std::move(plan));
  for (SbsTensorPlan& plan : sbs_alternatives(config)) by_name.emplace(plan.name, std::move(plan));
  return by_name;
}

}  // namespace carat
