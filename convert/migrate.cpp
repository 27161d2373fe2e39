#include "convert/migrate.h"

#include "engine/error.h"
#include "engine/file/quote.h"
#include "engine/file/sbs_contents.h"
#include "engine/file/sbs_metadata.h"
#include "engine/file/sbs_models.h"

namespace carat {

namespace {

std::string_view as_text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// What a configuration of before May 2025 leaves unsaid.
SbsConfig completed(SbsConfig config, const std::string& file) {
  const ModelConfig shape = sbs_shape(config, file);
  if (config.secondary_eos_id == 1) config.secondary_eos_id = end_of_turn(shape.architecture);
  if (config.scale_base_names.empty())
    config.scale_base_names = canonical_config(known_gemmas().front()).scale_base_names;
  return config;
}

}  // namespace

void migrate(const std::filesystem::path& old_file, const std::filesystem::path& tokenizer,
             const std::filesystem::path& target) {
  const MappedFile old = MappedFile::open(old_file);
  const MappedFile model = tokenizer.empty() ? MappedFile() : MappedFile::open(tokenizer);
  const SbsContents contents = read_sbs_contents(old.bytes(), old_file.string());
  if (!contents.unread.empty())
    throw Unsupported(old_file.string() + ": tensor " + quote(contents.unread.front()) +
                      ": belongs to a part of the model whose shapes the file does not say");
  SbsWriter writer(completed(contents.config, old_file.string()));
  for (const SbsContents::Item& item : contents.tensors) {
    if (item.tensor.type == SbsType::nuq && item.layout == NuqLayout::tables_first)
      throw Unsupported(old_file.string() + ": tensor " + quote(item.tensor.name) +
                        ": is packed (nuq) as before 2025, which newer files cannot say");
    writer.add_tensor(item.tensor, item.bytes);
  }
  writer.set_tokenizer(tokenizer.empty() ? contents.tokenizer : as_text(model));
  writer.write(target);
}

}  // namespace carat
