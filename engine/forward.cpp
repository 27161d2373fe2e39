#include "engine/forward.h"

namespace carat {

Scratch::Scratch(const ModelConfig& c, Backend& backend, std::size_t batch, std::size_t logit_rows) {
  const auto make = [&](std::size_t rows, std::size_t cols) { return backend.make(DType::f32, rows, cols); };
  x = make(batch, c.width);
  h = make(batch, c.width);
  q = make(batch, c.heads * c.head_dim);
  attended = make(batch, c.heads * c.head_dim);
  k = make(batch, c.kv_heads * c.head_dim);
  v = make(batch, c.kv_heads * c.head_dim);
  logits = make(logit_rows, c.vocabulary);
  for (std::size_t i = 0; i < c.ropes.size(); ++i) rotations.push_back(make(batch, c.rope_dim));
  backend.reserve({c.width, c.hidden, c.heads, c.head_dim});
}

std::size_t Scratch::bytes(const ModelConfig& c, std::size_t batch, std::size_t logit_rows) {
  const std::size_t row =
      2 * c.width + 2 * c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + c.ropes.size() * c.rope_dim;
  return (batch * row + logit_rows * c.vocabulary) * sizeof(float);
}

namespace {

// The first `rows` rows of every activation; there is room for the largest batch.
void narrow(Scratch& s, std::size_t rows) {
  for (Tensor* tensor : {&s.x, &s.h, &s.q, &s.attended, &s.k, &s.v}) tensor->rows = rows;
  for (Tensor& rotation : s.rotations) rotation.rows = rows;
}

}  // namespace

bool forward(const Model& model, const KvCache& cache, Scratch& s, std::span<const TokenId> ids, const Rows& rows,
             const std::stop_token& stop) {
  const ModelConfig& c = model.config;
  Backend& b = *model.backend;
  narrow(s, ids.size());

  b.embed(s.x, model.weights.embed, ids, c.embed_scale);
  for (std::size_t i = 0; i < c.ropes.size(); ++i) b.rotations(s.rotations[i], model.weights.frequencies[i], rows);

  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    if (stop.stop_requested()) return false;
    const LayerWeights& w = model.weights.layers[i];
    const LayerConfig& layer = c.layers[i];

    b.rms_norm(s.h, s.x, w.attn_norm, c.norm_eps);
    b.matmul(s.h, rows.few, {{s.q, w.wq}, {s.k, w.wk}, {s.v, w.wv}});
    if (present(w.bq)) b.add(s.q, w.bq);
    if (present(w.bk)) b.add(s.k, w.bk);
    if (present(w.bv)) b.add(s.v, w.bv);
    if (present(w.q_norm)) b.rms_norm(s.q, s.q, w.q_norm, c.norm_eps);
    if (present(w.k_norm)) b.rms_norm(s.k, s.k, w.k_norm, c.norm_eps);
    b.rope(s.q, c.head_dim, s.rotations[layer.rope], c.rope_style);
    b.rope(s.k, c.head_dim, s.rotations[layer.rope], c.rope_style);
    b.store(cache.layer(i), s.k, s.v, rows);
    b.attend(s.attended, s.q, cache.layer(i), rows,
             {c.heads, c.kv_heads, c.head_dim, c.query_scale, c.attention_cap, layer.window});
    b.matmul(s.attended, rows.few, {{s.h, w.wo}});
    if (present(w.bo)) b.add(s.h, w.bo);
    if (present(w.post_attn_norm)) b.rms_norm(s.h, s.h, w.post_attn_norm, c.norm_eps);
    b.add(s.x, s.h);

    if (stop.stop_requested()) return false;
    b.rms_norm(s.h, s.x, w.ffn_norm, c.norm_eps);
    b.feed_forward(s.h, s.h, rows.few, {w.w_gate, w.w_up, w.w_down, c.gate});
    if (present(w.post_ffn_norm)) b.rms_norm(s.h, s.h, w.post_ffn_norm, c.norm_eps);
    b.add(s.x, s.h);
  }
  return true;
}

Tensor project(const Model& model, Scratch& scratch, std::span<const std::size_t> rows, std::size_t few) {
  const ModelConfig& c = model.config;
  Backend& b = *model.backend;
  const Tensor h = row_view(scratch.h, 0, rows.size());
  const Tensor logits = row_view(scratch.logits, 0, rows.size());
  b.gather(h, scratch.x, rows);
  b.rms_norm(h, h, model.weights.output_norm, c.norm_eps);
  b.matmul(h, few, {{logits, model.weights.output}});
  if (c.logit_cap > 0) b.soft_cap(logits, c.logit_cap);
  return logits;
}

}  // namespace carat
