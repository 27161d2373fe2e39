// Checkpoints of karpathy/llama2.c, versions 0 (no magic), 1 and 2 (int8), with its tokenizer.bin or the SentencePiece
// model that it was made from. Rows of queries and keys stand in Meta's order, which is GGUF's.
#include <array>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "convert/sentencepiece.h"
#include "convert/source.h"
#include "engine/error.h"
#include "engine/file/byte_reader.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::uint32_t kMagic = 0x616B3432;  // "ak42"
constexpr std::uint64_t kHeaderBytes = 256;   // from version 1 on
constexpr std::int32_t kMaxField = 1 << 24;   // far beyond any model; products of three fit 64 bits with room

struct Header {
  std::uint32_t version = 0;
  std::uint64_t dim, hidden, layers, heads, kv_heads, vocabulary, context;
  bool shared = true;       // the embedding serves as output
  std::uint64_t group = 0;  // values per scale, version 2
  std::uint64_t data = 28;

  std::uint64_t head_dim() const { return dim / heads; }
  std::uint64_t kv_dim() const { return kv_heads * head_dim(); }
};

struct Fields {
  std::array<std::int32_t, 7> value;
};

Fields read_fields(ByteReader& in) {
  Fields fields;
  for (std::int32_t& value : fields.value) value = in.read<std::int32_t>();
  return fields;
}

// Version 0 has no magic: its fields must make sense.
bool make_sense(const Fields& fields) {
  for (std::size_t i = 0; i < fields.value.size(); ++i) {
    const std::int32_t value = fields.value[i];
    if (value > kMaxField || value < (i == 5 ? -kMaxField : 1) || value == 0) return false;
  }
  const auto [dim, hidden, layers, heads, kv_heads, vocabulary, context] = fields.value;
  return dim % heads == 0 && heads % kv_heads == 0 && dim / heads % 2 == 0 && layers <= 512;
}

Header read_header(std::span<const std::byte> bytes, const std::string& path) {
  ByteReader in(bytes, path);
  Header header;
  std::uint32_t magic;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  if (magic == kMagic) {
    in.skip(sizeof magic);
    header.version = in.read<std::uint32_t>();
    if (header.version != 1 && header.version != 2)
      throw Unsupported(path + ": is a llama2.c checkpoint of version " + std::to_string(header.version) +
                        "; known are 0, 1, 2");
    header.data = kHeaderBytes;
  }
  const Fields fields = read_fields(in);
  if (!make_sense(fields)) in.fail("the sizes of the model make no sense");
  const auto size = [&](std::size_t i) { return static_cast<std::uint64_t>(std::abs(fields.value[i])); };
  header = {header.version,      size(0), size(1),    size(2), size(3), size(4), size(5), size(6),
            fields.value[5] > 0, 0,       header.data};
  if (header.version >= 1) header.shared = in.read<std::uint8_t>() != 0;
  if (header.version == 2) {
    header.group = in.read<std::uint32_t>();
    if (header.group == 0 || header.dim % header.group != 0 || header.hidden % header.group != 0)
      in.fail("groups of " + std::to_string(header.group) + " do not divide the rows");
  }
  return header;
}

// Walks through the file, tensor by tensor. The file's size is known to hold what is asked for when `end` agrees.
class Walk {
 public:
  Walk(ModelSource& source, const MappedFile& file, const Header& header)
      : source_(source), file_(file), group_(header.group), at_(header.data) {}

  std::uint64_t position() const { return at_; }
  void skip_floats(std::uint64_t count) { at_ += count * sizeof(float); }

  void floats(std::string name, std::vector<std::uint64_t> dims) {
    std::uint64_t count = 1;
    for (const std::uint64_t dim : dims) count *= dim;
    source_.tensors.push_back(stored_tensor(std::move(name), DType::f32, std::move(dims), file_, at_, source_.path));
    skip_floats(count);
  }

  // A matrix: floats, or from version 2 on int8 followed by a scale per group.
  void matrix(std::string name, std::uint64_t rows, std::uint64_t cols) {
    if (group_ == 0) return floats(std::move(name), {cols, rows});
    const std::uint64_t codes = at_, scales = at_ + rows * cols;
    at_ = scales + rows * cols / group_ * sizeof(float);
    const auto read = [&file = file_, path = source_.path, group = group_, codes, scales, cols](
                          std::size_t first, std::size_t count, float* out) {
      std::vector<std::int8_t> q(count * cols);
      std::vector<float> scale(count * cols / group);
      read_named(file, path, codes + first * cols, std::as_writable_bytes(std::span(q)));
      read_named(file, path, scales + first * cols / group * sizeof(float), std::as_writable_bytes(std::span(scale)));
      for (std::size_t i = 0; i < q.size(); ++i) out[i] = static_cast<float>(q[i]) * scale[i / group];
    };
    source_.tensors.push_back({std::move(name), DType::f32, {cols, rows}, read, {}, {}});
  }

 private:
  ModelSource& source_;
  const MappedFile& file_;
  std::uint64_t group_, at_;
};

std::string layer_name(std::uint64_t layer, const char* name) {
  return "blk." + std::to_string(layer) + "." + name + ".weight";
}

struct LayerMatrix {
  const char* name;
  std::uint64_t rows, cols;
};

// The order of all versions: kind by kind, each for all layers.
std::array<LayerMatrix, 4> attention_matrices(const Header& h) {
  return {{{"attn_q", h.dim, h.dim},
           {"attn_k", h.kv_dim(), h.dim},
           {"attn_v", h.kv_dim(), h.dim},
           {"attn_output", h.dim, h.dim}}};
}
std::array<LayerMatrix, 3> ffn_matrices(const Header& h) {
  return {{{"ffn_gate", h.hidden, h.dim}, {"ffn_down", h.dim, h.hidden}, {"ffn_up", h.hidden, h.dim}}};
}

void walk_matrices(Walk& walk, const Header& h, std::span<const LayerMatrix> matrices) {
  for (const LayerMatrix& matrix : matrices)
    for (std::uint64_t i = 0; i < h.layers; ++i) walk.matrix(layer_name(i, matrix.name), matrix.rows, matrix.cols);
}

void walk_norms(Walk& walk, const Header& h, const char* name) {
  for (std::uint64_t i = 0; i < h.layers; ++i) walk.floats(layer_name(i, name), {h.dim});
}

void walk_version_0(Walk& walk, const Header& h) {
  walk.matrix("token_embd.weight", h.vocabulary, h.dim);
  walk_norms(walk, h, "attn_norm");
  walk_matrices(walk, h, attention_matrices(h));
  walk_norms(walk, h, "ffn_norm");
  walk_matrices(walk, h, ffn_matrices(h));
  walk.floats("output_norm.weight", {h.dim});
  walk.skip_floats(h.context * h.head_dim());  // cosines and sines of the rotation
}

void walk_later_version(Walk& walk, const Header& h) {
  walk_norms(walk, h, "attn_norm");
  walk_norms(walk, h, "ffn_norm");
  walk.floats("output_norm.weight", {h.dim});
  walk.matrix("token_embd.weight", h.vocabulary, h.dim);
  walk_matrices(walk, h, attention_matrices(h));
  walk_matrices(walk, h, ffn_matrices(h));
}

bool is_byte_token(std::string_view text) {
  const auto is_digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  return text.size() == 6 && text.starts_with("<0x") && text.back() == '>' && is_digit(text[3]) && is_digit(text[4]);
}

// tokenizer.bin: pieces and scores; the number of them is the model's.
PieceVocabulary read_tokenizer_bin(std::span<const std::byte> bytes, const std::string& path, std::uint64_t count) {
  ByteReader in(bytes, path);
  in.skip(sizeof(std::uint32_t));  // length of the longest piece
  if (count > in.remaining() / 8) in.fail("too short for the " + std::to_string(count) + " tokens of the model");
  PieceVocabulary vocabulary;
  for (std::uint64_t i = 0; i < count; ++i) {
    VocabularyPiece piece;
    piece.score = in.read<float>();
    const auto text = in.take(in.read<std::uint32_t>());
    for (const std::byte byte : text) {
      if (byte == std::byte{' '})
        piece.text += "\u2581";
      else
        piece.text += static_cast<char>(byte);
    }
    if (is_byte_token(piece.text)) piece.type = PieceType::byte;
    vocabulary.pieces.push_back(std::move(piece));
  }
  if (count < 3) in.fail("a vocabulary of " + std::to_string(count));
  vocabulary.pieces[0].type = PieceType::unknown;
  vocabulary.pieces[1] = {"<s>", 0, PieceType::control};  // spelled "\n<s>\n" there
  vocabulary.pieces[2] = {"</s>", 0, PieceType::control};
  return vocabulary;
}

std::filesystem::path find_tokenizer(const std::filesystem::path& path, const SourceOptions& options) {
  if (!options.tokenizer.empty()) return options.tokenizer;
  for (const char* name : {"tokenizer.bin", "tokenizer.model"})
    if (std::filesystem::exists(path.parent_path() / name)) return path.parent_path() / name;
  throw BadFile(path.string() +
                ": has no tokenizer inside, and there is no tokenizer.bin beside it: name one (--tokenizer)");
}

void set_llama_metadata(GgufWriter& writer, const Header& h, const std::string& name) {
  const auto count = [&](const char* key, std::uint64_t value) {
    writer.set(std::string("llama.") + key, static_cast<std::uint32_t>(value));
  };
  writer.set("general.architecture", std::string_view("llama"));
  writer.set("general.name", std::string_view(name));
  count("context_length", h.context);
  count("embedding_length", h.dim);
  count("block_count", h.layers);
  count("feed_forward_length", h.hidden);
  count("attention.head_count", h.heads);
  count("attention.head_count_kv", h.kv_heads);
  count("rope.dimension_count", h.head_dim());
  count("vocab_size", h.vocabulary);
  writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);  // constants of run.c
  writer.set("llama.rope.freq_base", 10000.0f);
}

}  // namespace

bool is_llama2c(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes) return false;
  std::uint32_t magic;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  if (magic == kMagic) return true;
  ByteReader in(bytes, "");
  return make_sense(read_fields(in));
}

ModelSource open_llama2c(const std::filesystem::path& path, const SourceOptions& options) {
  ModelSource source;
  source.path = path.string();
  source.format = "llama2c";
  const MappedFile& file = *source.mappings.emplace_back(std::make_unique<const MappedFile>(MappedFile::open(path)));
  const Header header = read_header(file.bytes(), source.path);
  Walk walk(source, file, header);
  if (header.version == 0)
    walk_version_0(walk, header);
  else
    walk_later_version(walk, header);
  if (!header.shared) walk.matrix("output.weight", header.vocabulary, header.dim);
  if (walk.position() != file.bytes().size())
    throw BadFile(source.path + ": has " + std::to_string(file.bytes().size()) +
                  " bytes, but a llama2.c checkpoint of this shape has " + std::to_string(walk.position()));

  const std::filesystem::path tokenizer = find_tokenizer(path, options);
  const MappedFile vocabulary = MappedFile::open(tokenizer);
  const bool is_model = tokenizer.extension() == ".model" || tokenizer.extension() == ".spm";
  GgufWriter writer;
  set_llama_metadata(writer, header, path.stem().string());
  set_vocabulary(writer,
                 is_model ? parse_sentencepiece(vocabulary.bytes(), tokenizer.string())
                          : read_tokenizer_bin(vocabulary.bytes(), tokenizer.string(), header.vocabulary),
                 header.vocabulary);
  set_metadata(source, writer);
  return source;
}

}  // namespace carat
