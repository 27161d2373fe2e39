#include "engine/forward.h"

namespace carat {

namespace {

Activations make_activations(const ModelConfig& c, Backend& backend, std::size_t batch) {
  const auto make = [&](std::size_t cols) { return backend.make(DType::f32, batch, cols); };
  Activations a;
  a.x = make(c.width);
  a.h = make(c.width);
  a.q = make(c.heads * c.head_dim);
  a.attended = make(c.heads * c.head_dim);
  a.k = make(c.kv_heads * c.head_dim);
  a.v = make(c.kv_heads * c.head_dim);
  for (std::size_t i = 0; i < c.ropes.size(); ++i) a.rotations.push_back(make(c.rope_dim));
  backend.reserve({c.width, c.hidden, c.heads, c.head_dim});
  return a;
}

}  // namespace

Scratch::Scratch(const Model& model, std::size_t batch, std::size_t logit_rows) {
  const ModelConfig& c = model.config;
  Backend& output = model.output_backend();
  last = make_activations(c, output, batch);
  logits = output.make(DType::f32, logit_rows, c.vocabulary);
  if (model.gpu == nullptr || model.border() == 0) return;
  first = make_activations(c, *model.backend, batch);
  handing.resize(batch * c.width);
}

std::size_t Scratch::bytes(const ModelConfig& c, std::size_t batch, std::size_t logit_rows) {
  const std::size_t row =
      2 * c.width + 2 * c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + c.ropes.size() * c.rope_dim;
  return (batch * row + logit_rows * c.vocabulary) * sizeof(float);
}

namespace {

// The first `rows` rows of every activation; there is room for the largest batch.
void narrow(Activations& a, std::size_t rows) {
  for (Tensor* tensor : {&a.x, &a.h, &a.q, &a.attended, &a.k, &a.v}) tensor->rows = rows;
  for (Tensor& rotation : a.rotations) rotation.rows = rows;
}

// Layers [first, end), which one backend has; false when it was asked to stop.
bool run_layers(const Model& model, std::size_t first, std::size_t end, const KvCache& cache, Activations& s,
                const Rows& rows, const std::stop_token& stop) {
  const ModelConfig& c = model.config;
  for (std::size_t i = first; i < end; ++i) {
    if (stop.stop_requested()) return false;
    Backend& b = model.backend_of(i);
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

void begin(const Model& model, Backend& b, const std::vector<Tensor>& frequencies, Activations& s, const Rows& rows) {
  narrow(s, rows.size());
  for (std::size_t i = 0; i < model.config.ropes.size(); ++i) b.rotations(s.rotations[i], frequencies[i], rows);
}

}  // namespace

bool forward(const Model& model, const KvCache& cache, Scratch& s, std::span<const TokenId> ids, const Rows& rows,
             const std::stop_token& stop) {
  const Weights& w = model.weights;
  const std::size_t border = model.border(), layers = model.config.layers.size();
  Backend &input = model.backend_of(0), &output = model.output_backend();
  Activations& first = &input == &output ? s.last : s.first;
  begin(model, input, border > 0 ? w.frequencies : w.gpu_frequencies, first, rows);
  input.embed(first.x, w.embed, ids, model.config.embed_scale);
  if (&input == &output) return run_layers(model, 0, layers, cache, first, rows, stop);

  if (!run_layers(model, 0, border, cache, first, rows, stop)) return false;
  const std::span<float> handing = std::span(s.handing).first(ids.size() * model.config.width);
  input.read(handing, first.x);
  begin(model, output, w.gpu_frequencies, s.last, rows);
  output.write(s.last.x, std::as_bytes(handing));
  return run_layers(model, border, layers, cache, s.last, rows, stop);
}

Tensor project(const Model& model, Scratch& scratch, std::span<const std::size_t> rows, std::size_t few) {
  const ModelConfig& c = model.config;
  Backend& b = model.output_backend();
  const Tensor h = row_view(scratch.last.h, 0, rows.size());
  const Tensor logits = row_view(scratch.logits, 0, rows.size());
  b.gather(h, scratch.last.x, rows);
  b.rms_norm(h, h, model.weights.output_norm, c.norm_eps);
  b.matmul(h, few, {{logits, model.weights.output}});
  if (c.logit_cap > 0) b.soft_cap(logits, c.logit_cap);
  return logits;
}

}  // namespace carat
