"""The events of carat run: each line held against the schema, their order, and what they have to agree on."""
import json
import pathlib

import jsonschema

_SCHEMA = json.loads((pathlib.Path(__file__).parent / "events.schema.json").read_text())
_BY_TYPE = {name: jsonschema.Draft202012Validator({"$defs": _SCHEMA["$defs"], "$ref": "#/$defs/" + name})
            for name in ("start", "progress", "warning", "delta", "result", "error", "end")}


def parse(out):
    """The events of an output, each a whole line that the schema allows."""
    assert not out or out.endswith(b"\n"), f"the last line is cut: {out[-200:]!r}"
    events = [json.loads(line.decode()) for line in out.splitlines()]
    for event in events:
        _BY_TYPE[event["type"]].validate(event)
    return events


def parse_request(out):
    """The events of a single request, checked as such."""
    events = parse(out)
    check_request(events)
    return events


def check_request(events):
    """start → (progress | warning | delta)* → result | error, or an error alone; texts agree with their deltas."""
    types = [event["type"] for event in events]
    assert types and types[-1] in ("result", "error"), types
    assert sum(kind in ("result", "error") for kind in types) == 1, types
    assert types[0] == "start" or types == ["error"], types
    assert types.count("start") <= 1, types
    assert all(kind in ("progress", "warning", "delta") for kind in types[1:-1]), types
    end = events[-1]
    deltas = [event for event in events if event["type"] == "delta"]
    if end["type"] == "error":
        assert not deltas, "an answer that has begun ends with a result"
        return
    answer = "".join(delta["text"] for delta in deltas if delta["channel"] == "answer")
    thoughts = "".join(delta["text"] for delta in deltas if delta["channel"] == "reasoning")
    assert answer == end["text"], (answer, end["text"])
    assert thoughts == (end["reasoning"] or ""), (thoughts, end["reasoning"])
    usage, timings = end["usage"], end["timings"]
    assert sum(len(delta["ids"]) for delta in deltas) == usage["completion_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert end["truncated"] == (end["finish_reason"] != "stop")
    assert (end["stop"] is not None) == (end["finish_reason"] == "stop")
    assert timings["total_ms"] >= timings["predicted_ms"] and timings["total_ms"] >= timings["ttft_ms"]
    start = events[0]
    assert (start["source"], start["model"]["name"], start["bits"]) == (end["source"], end["model"], end["bits"])
    assert start["sampling"]["seed"] == end["seed"]
