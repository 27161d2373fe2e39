// carat list and carat devices: what there is to run, and to run it on.
#include <sys/sysinfo.h>

#include <cstdio>

#include "app/commands.h"
#include "app/demo.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/json_event.h"
#include "app/log.h"
#include "app/machine.h"
#include "app/memory_need.h"
#include "app/model_names.h"
#include "app/output.h"
#include "app/threads.h"
#include "engine/file/quote.h"
#include "kernels/backend.h"
#include "kernels/gpu.h"

namespace carat {
namespace {

struct ListOptions {
  bool json = false, names = false;
};

int list(const ListOptions& o, Call& call) {
  refuse_words(call);
  if (o.json && o.names) throw BadUsage("--json and --names: one of them");
  for (const std::string& folder : missing_model_folders()) log_note("CARAT_MODELS: " + folder + ": is no folder");
  const std::vector<NamedModel> models = list_models();
  Json json = Json::array();
  std::string text;
  for (const NamedModel& model : models) {
    json.push_back({{"name", model.name}, {"path", model.path}, {"bytes", model.bytes}});
    if (o.names) {
      text += printable(model.name) + "\n";
      continue;
    }
    char size[32];
    std::snprintf(size, sizeof size, "%10.1f MiB  ", static_cast<double>(model.bytes) / (1 << 20));
    text += size + printable(model.name) + "  " + (model.path == kDemoName ? "built in" : printable(model.path)) + "\n";
  }
  if (models.size() == 1 && !o.json && !o.names) text += "no other models; CARAT_MODELS names the folders to look in\n";
  print(o.json ? json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n" : text);  // ASCII alone
  return kExitDone;
}

struct DevicesOptions {
  bool json = false;
};

int devices(const DevicesOptions& o, Call& call) {
  refuse_words(call);
  struct sysinfo memory {};
  ::sysinfo(&memory);
  const std::uint64_t bytes = std::uint64_t{memory.totalram} * memory.mem_unit;
  const auto isas = usable_isas();
  const Gpus gpus = find_gpus();
  if (o.json) {
    Json list = Json::array(
        {{{"device", "cpu"}, {"name", cpu_name()}, {"threads", usable_cpus()}, {"isas", isas}, {"memory", bytes}}});
    for (const Gpu& gpu : gpus.found) {
      list.push_back({{"device", gpu.id},
                      {"name", gpu.name},
                      {"architecture", gpu.architecture},
                      {"memory", gpu.memory},
                      {"free", gpu.free}});
    }
    print(json_line(list));
    return kExitDone;
  }
  std::string names;
  for (const std::string_view isa : isas) names += (names.empty() ? "" : ", ") + std::string(isa);
  char size[32];
  std::snprintf(size, sizeof size, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
  print("cpu  " + cpu_name() + "\n     " + std::to_string(usable_cpus()) + " threads, " + size + " of memory\n     " +
        names + "\n");
  for (const Gpu& gpu : gpus.found) {
    print(gpu.id + "  " + gpu.name + "\n     " + gpu.architecture + ", " + size_name(gpu.memory) + " of memory, " +
          size_name(gpu.free) + " free\n");
  }
  if (!gpu_kind().empty() && gpus.found.empty()) log_note("no GPU: " + gpus.why_none);
  return kExitDone;
}

}  // namespace

Command add_list(CLI::App& app) {
  const auto o = std::make_shared<ListOptions>();
  add_switch(app, "--json", o->json, "as JSON");
  add_switch(app, "--names", o->names, "the names alone");
  return [o](Call& call) { return list(*o, call); };
}

Command add_devices(CLI::App& app) {
  const auto o = std::make_shared<DevicesOptions>();
  add_switch(app, "--json", o->json, "as JSON");
  return [o](Call& call) { return devices(*o, call); };
}

}  // namespace carat
