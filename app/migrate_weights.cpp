// carat migrate-weights: an .sbs file of several parts, or years, to one of today.
#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/target.h"
#include "convert/migrate.h"

namespace carat {
namespace {

struct MigrateFlags {
  std::string weights, tokenizer, output;
  bool force = false;
};

int migrate(const MigrateFlags& o, Call& call) {
  refuse_words(call);
  if (o.weights.empty() || o.output.empty()) throw BadUsage("--weights and --output-weights: both are needed");
  check_target(o.output, o.force);
  migrate(o.weights, o.tokenizer, o.output, o.force ? Existing::replace : Existing::keep);
  return kExitDone;
}

}  // namespace

Command add_migrate_weights(CLI::App& app) {
  const auto o = std::make_shared<MigrateFlags>();
  add_text(app, "--weights", o->weights, "FILE", "the .sbs file to read");
  add_text(app, "--tokenizer", o->tokenizer, "FILE", "its SentencePiece model, if it has none inside");
  add_text(app, "--output-weights", o->output, "FILE", "the file to write");
  add_switch(app, "--force", o->force, "replace the output if it exists");
  return [o](Call& call) { return migrate(*o, call); };
}

}  // namespace carat
