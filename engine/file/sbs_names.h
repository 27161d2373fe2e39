// Which matrices an `.sbs` file holds instead of those that `sbs_plan` names.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "engine/file/sbs.h"

namespace carat {

// The attention output as the network multiplies by it (`att_w`), and the halves of what is otherwise stacked
// (`qkv1_w`, `qkv2_w`, `gating1_w`, `gating2_w`).
std::vector<SbsTensorPlan> sbs_alternatives(const ModelConfig& config);

// Both: every matrix of a Gemma that a file may hold.
std::map<std::string, SbsTensorPlan> sbs_plans_by_name(const ModelConfig& config);

}  // namespace carat
