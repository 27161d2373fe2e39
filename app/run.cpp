// carat run: one prompt, one answer; or requests until there are no more.
#include "app/failure.h"
#include "app/interrupt.h"
#include "app/log.h"
#include "app/memory_need.h"
#include "app/messages.h"
#include "app/query.h"
#include "app/reply.h"
#include "app/request.h"
#include "app/text_input.h"
#include "app/worker.h"

namespace carat {
namespace {

void warn(Request& request, const Warning& warning) {
  log_note(warning.message);
  request.on(warning);
}

// What the flags and arguments say, as a conversation.
Query read_query(const RunOptions& o, const std::vector<std::string>& words) {
  Query query{{}, o.query};
  std::vector<Message> earlier;
  if (!o.messages.empty()) earlier = read_messages(o.messages);
  if (std::string system = o.frame.system_text(); !system.empty()) {
    if (!earlier.empty() && earlier.front().role == Role::system) {
      throw BadUsage("--system: the messages begin with the system's words themselves");
    }
    query.messages.push_back({Role::system, std::move(system)});
  }
  query.messages.insert(query.messages.end(), earlier.begin(), earlier.end());
  if (std::optional<std::string> text = o.prompt.text(words)) {
    query.messages.push_back({Role::user, std::move(*text)});
  } else if (earlier.empty()) {
    throw BadUsage("no prompt", stdin_is_terminal() ? "give one with -p, or talk to the model with 'carat chat'"
                                                    : "give one with -p, -f or on standard input");
  }
  if (query.messages.back().role != Role::user)
    throw BadUsage("the last message is not the user's: give a prompt, too");
  return query;
}

int answer(const RunOptions& o, Call& call, Request& request) {
  o.check();
  const std::string path = o.model.take_path(call.words);
  request.enter(Phase::input);
  const Query query = read_query(o, call.words);
  request.enter(Phase::load);
  const Stopwatch loading;
  const BackendOptions backend = o.backend.options();
  const OpenModel model = open_model(open_files(path, o.model.tokenizer), backend);
  const double load_ms = loading.ms();
  request.enter(Phase::tokenize);
  const Asker asker(o, model, backend.threads, load_ms);
  PreparedQuery prepared = asker.prepare(query);
  const std::size_t most = prepared.prompt.size() + prepared.reply.max_tokens;
  const SessionOptions room{std::min(asker.context(), most), o.context.batch, o.context.cache};
  check_memory(model.files.file, model.model.config, room);
  Session session(model.model, room);
  Sampler sampler(prepared.sampling, model.model.config.vocabulary);
  std::optional<Lookup> lookup = o.lookup.make(session.context(), o.overflow == "shift");
  prepared.reply.lookup = lookup ? &*lookup : nullptr;
  for (const TokenId id : prepared.prompt) {
    sampler.note(id);
    if (lookup) lookup->note(id);
  }

  Interrupt::Watch watch(call.interrupt);
  request.on(asker.start(prepared));
  for (const Warning& warning : asker.warnings()) warn(request, warning);
  const Result expected = asker.expected(prepared, session.cache_bytes());
  request.expect(expected);
  if (o.output.shows_progress()) {
    request.on(Progress{Phase::load, expected.memory.weights, expected.memory.weights, "bytes", load_ms});
  }
  if (o.echo) {
    print(o.raw ? prepared.messages.back().content
                : asker.frame().text(*model.tokenizer, prepared.messages, prepared.render));
  }
  request.enter(Phase::prefill);
  Reply reply =
      carat::reply(session, sampler, prepared.prompt, *model.tokenizer, prepared.reply, request, watch.token());
  const Ending ending = watch.ending();
  call.interrupt.clear_deadline();  // the answer is there: it does not come too late any more
  const auto warning = asker.ending_warning(query, reply.result.reason);
  if (warning && !ending) warn(request, *warning);
  const auto unmet = prepared.judge(reply.result);
  if (unmet && !ending) warn(request, *unmet);
  return request.finish(std::move(reply.result), ending);
}

int run(const RunOptions& o, Call& call) {
  o.log.apply();
  o.timeout.apply(call);
  call.interrupt.watch_output();
  if (o.is_worker()) {
    o.check();
    return run_worker(o, call);
  }
  Output output;
  const auto sink = o.output.make_sink(output, o.log.quiet);
  Request request(*sink, call.start);
  const Interrupt::LastWords last_words(
      call.interrupt, [&request](const Ending& ending) { request.abandon(ending); },
      [&request] { say(request.status()); });
  try {
    return answer(o, call, request);
  } catch (const OutputClosed&) {
    throw;
  } catch (...) {  // told to the sink here, to the user where all failures end
    request.on(describe(std::current_exception(), request.phase()));
    throw;
  }
}

}  // namespace

Command add_run(CLI::App& app) {
  const auto o = std::make_shared<RunOptions>();
  o->add_to(app);
  return [o](Call& call) { return run(*o, call); };
}

}  // namespace carat
