// carat run: one prompt, one answer; or requests until there are no more.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "app/drafting.h"
#include "app/failure.h"
#include "app/interrupt.h"
#include "app/log.h"
#include "app/memory_need.h"
#include "app/messages.h"
#include "app/query.h"
#include "app/reply.h"
#include "app/request.h"
#include "app/session_cache.h"
#include "app/text_input.h"
#include "app/transcript.h"
#include "app/user_path.h"
#include "app/worker.h"
#include "engine/error.h"
#include "engine/file/output_file.h"

namespace carat {
namespace {

// A layer of a long prompt may take longer; what was written so far is shown all the same.
constexpr auto kGrace = std::chrono::milliseconds(50);
constexpr auto kGraceToKeep = std::chrono::milliseconds(1000);  // a session, which has to be written

void warn(Request& request, const Warning& warning) {
  log_note(warning.message);
  request.on(warning);
}

// The conversation that --session names, if any.
std::optional<Transcript> read_session(const SessionFlags& session) {
  if (session.file.empty()) return std::nullopt;
  if (!session.read_only) OutputFile trial(session.file);  // what cannot be kept is said before the answer
  if (!is_there(session.file)) return Transcript();
  return parse_transcript(read_text(session.file), session.file);
}

// What the flags and arguments say, as a conversation. A question goes to the end of the session, if there is one.
Query read_query(const RunOptions& o, const std::vector<std::string>& words, std::optional<Transcript>& session) {
  Query query{{}, o.query};
  std::vector<Message> earlier;
  if (!o.messages.empty()) earlier = read_messages(o.messages);
  std::string system = o.frame.system_text();
  std::optional<std::string> text = o.prompt.text(words);
  if (session) {
    if (!system.empty()) session->system = std::exchange(system, {});
    if (text) session->turns.push_back({*std::exchange(text, std::nullopt), {}, {}});
    earlier = session->messages();
  }
  if (!system.empty()) {
    if (!earlier.empty() && earlier.front().role == Role::system) {
      throw BadUsage("--system: the messages begin with the system's words themselves");
    }
    query.messages.push_back({Role::system, std::move(system)});
  }
  query.messages.insert(query.messages.end(), earlier.begin(), earlier.end());
  if (text) {
    query.messages.push_back({Role::user, std::move(*text)});
  } else if (earlier.empty()) {
    throw BadUsage("no prompt", stdin_is_terminal() ? "give one with -p, or talk to the model with 'carat chat'"
                                                    : "give one with -p, -f or on standard input");
  }
  if (query.messages.back().role != Role::user)
    throw BadUsage("the last message is not the user's: give a prompt, too");
  return query;
}

// What a session leaves behind in its files.
class SessionKeeper {
 public:
  SessionKeeper(const RunOptions& o, const OpenModel& model, const ChatFrame& frame)
      : flags_(o.session),
        keeps_cache_(o.overflow.policy != Overflow::shift),
        key_(cache_key(model, frame.name(), o.context.cache)) {}

  // Brings the session as far along the prompt as the last one has read it; returns the position.
  std::size_t resume(Session& session, std::span<const TokenId> prompt, std::size_t vocabulary) const {
    if (!keeps_cache_) return 0;
    const std::vector<TokenId> read = load_cache(cache_path(flags_.file), session, key_, vocabulary);
    const auto known = std::ranges::mismatch(read, prompt).in2 - prompt.begin();
    return session.rewind(std::min(static_cast<std::size_t>(known), prompt.size() - 1));
  }

  // Of an answer that came to its own end the cache, too, which takes its time. False, with an error said: not kept.
  bool keep(const Transcript& transcript, const Session& session, std::span<const TokenId> ids, bool is_whole) const {
    if (flags_.read_only) return true;
    try {
      write_private(flags_.file, to_jsonl(transcript));
      if (is_whole && keeps_cache_) save_cache(cache_path(flags_.file), session, ids, key_);
    } catch (const Error& e) {
      log_error(e.what());
      return false;
    }
    return true;
  }

 private:
  const SessionFlags& flags_;
  bool keeps_cache_;  // a context that was shifted is not what the transcript would be read as
  std::uint64_t key_;
};

int answer(const RunOptions& o, Call& call, Request& request) {
  const std::string path = o.model.take_path(call.words);
  request.enter(Phase::input);
  std::optional<Transcript> transcript = read_session(o.session);
  const Query query = read_query(o, call.words, transcript);
  request.enter(Phase::load);
  const Stopwatch loading;
  const BackendOptions backend = o.backend.options();
  const OpenModel model =
      open_model(open_files(path, o.model.tokenizer, o.load.loading()), o.backend, backend, o.context);
  const auto second = open_second(o.lookup, model, backend, o.load.loading());
  const double load_ms = loading.ms();
  request.enter(Phase::tokenize);
  const Asker asker(o, model, backend.threads, load_ms);
  PreparedQuery prepared = asker.prepare(query);
  const std::size_t most = prepared.prompt.size() + prepared.reply.max_tokens;
  const std::size_t context = transcript ? asker.context() : std::min(asker.context(), most);
  const SessionOptions room{context, o.context.step(), o.context.cache};
  check_memory(model.files.file, model.model, room);
  Session session(model.model, room);
  std::optional<SessionKeeper> keeper;
  if (transcript) keeper.emplace(o, model, asker.frame());
  const std::size_t known = keeper ? keeper->resume(session, prepared.prompt, model.model.config.vocabulary) : 0;
  Sampler sampler(prepared.sampling, model.model.config.vocabulary);
  Drafting drafting(o.lookup, second.get(), room, o.overflow.policy == Overflow::shift);
  for (const TokenId id : prepared.prompt) sampler.note(id);

  Interrupt::Watch watch(call.interrupt);
  request.on(asker.start(prepared));
  for (const Warning& warning : prepared.warnings) warn(request, warning);
  Result expected = asker.expected(prepared, session.cache_bytes());
  expected.usage.cached_tokens = known;
  request.expect(expected);
  if (o.output.shows_progress()) {
    request.on(Progress{Phase::load, expected.memory.weights, expected.memory.weights, "bytes", load_ms});
  }
  if (o.echo) {
    print(o.raw ? prepared.messages.back().content
                : asker.frame().text(*model.tokenizer, prepared.messages, prepared.render));
  }
  request.enter(Phase::prefill);
  prepared.reply.drafter = drafting.begin(prepared.prompt, watch.token());
  Reply reply =
      carat::reply(session, sampler, prepared.prompt, *model.tokenizer, prepared.reply, request, watch.token());
  const Ending ending = watch.ending();
  if (!ending) call.interrupt.clear_deadline();  // the answer is there: it does not come too late any more
  const auto warning = asker.ending_warning(query, reply.result.reason);
  if (warning && !ending) warn(request, *warning);
  const auto unmet = prepared.judge(reply.result);
  if (unmet && !ending) warn(request, *unmet);
  const Result result = reply.result;
  const int code = request.finish(std::move(reply.result), ending);
  if (!keeper || !reply.read) return code;
  transcript->turns.back().answer = result.text;
  transcript->turns.back().reasoning = result.reasoning;
  prepared.prompt.insert(prepared.prompt.end(), reply.ids.begin(), reply.ids.end());
  const bool is_kept = keeper->keep(*transcript, session, prepared.prompt, !ending);
  return is_kept || code != kExitDone ? code : kExitError;
}

int run(const RunOptions& o, Call& call) {
  call.interrupt.set_grace(o.session.file.empty() ? kGrace : kGraceToKeep);
  call.interrupt.watch_output();
  Output output;
  const auto sink = o.output.make_sink(output, o.is_worker() ? "" : "r1", o.log.quiet);
  Request request(*sink, call.start);
  const Interrupt::LastWords last_words(
      call.interrupt, [&request](const Ending& ending) { request.abandon(ending); },
      [&request] { return request.status(); });
  try {
    if (o.timeout.given())
      call.interrupt.set_deadline(call.start.start() + o.timeout.timeout);  // with last words ready
    set_log_colour(o.output.thoughts.color);
    o.log.apply();
    o.check();
    return o.is_worker() ? run_worker(o, call) : answer(o, call, request);
  } catch (const OutputClosed&) {
    throw;
  } catch (...) {  // told to the sink here, to the user where all failures end
    request.fail(describe(std::current_exception(), request.phase()));
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
