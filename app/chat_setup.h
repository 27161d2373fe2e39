// What the flags of a chat, and the terminal it is in, come to for its parts.
#pragma once
#include <cstdint>

#include "app/chat_options.h"
#include "app/chat_sink.h"
#include "app/conversation.h"
#include "app/line_editor.h"

namespace carat {

// How many tokens --predict lets an answer have.
std::size_t token_limit(std::int64_t tokens, std::size_t context);

ChatFrame chat_frame(const ChatOptions& o, const OpenModel& model);  // throws BadUsage

// Throws Failure where the machine has too little memory.
ConversationOptions conversation_options(const ChatOptions& o, const OpenModel& model, const ChatFrame& frame,
                                         const SamplingOptions& sampling, std::size_t context);

ChatSinkOptions sink_options(const ChatOptions& o);

// `interrupt` and `redraw`: descriptors, see LineEditorOptions.
LineEditorOptions editor_options(const ChatOptions& o, int interrupt, int redraw);

}  // namespace carat
