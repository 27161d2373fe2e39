"""A model of any size that takes no room on the disk: all its weights are zero, its words are those of the small model."""
import struct

import carat_cli as cli

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes, by the type of a value
_STRING, _ARRAY, _U32, _F32, _F16 = 8, 9, 4, 0, 1
_CONTROL = 3  # of the kinds of tokens
ALIGNMENT = 32
WORDS = 512


def _string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def _skip(data, at, kind):
    """Behind a value of that type."""
    if kind == _STRING:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind != _ARRAY:
        return at + _SIZES[kind]
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    for _ in range(count):
        at = _skip(data, at, inner)
    return at


def _values():
    """The small model's metadata: name to bytes, type and all."""
    data = cli.STORIES.read_bytes()
    count, at, values = struct.unpack_from("<Q", data, 16)[0], 24, {}
    for _ in range(count):
        length = struct.unpack_from("<Q", data, at)[0]
        name = data[at + 8:at + 8 + length].decode()
        at += 8 + length
        end = _skip(data, at + 4, struct.unpack_from("<I", data, at)[0])
        values[name], at = data[at:end], end
    return values


def _with_controls(values, names):
    """The last words of the vocabulary become control tokens of these names."""
    texts, at = [], 16
    for _ in range(WORDS):
        end = _skip(values["tokenizer.ggml.tokens"], at, _STRING)
        texts.append(values["tokenizer.ggml.tokens"][at:end])
        at = end
    texts[WORDS - len(names):] = [_string(name) for name in names]
    kinds = list(struct.unpack_from(f"<{WORDS}i", values["tokenizer.ggml.token_type"], 16))
    kinds[WORDS - len(names):] = [_CONTROL] * len(names)
    values["tokenizer.ggml.tokens"] = values["tokenizer.ggml.tokens"][:16] + b"".join(texts)
    values["tokenizer.ggml.token_type"] = values["tokenizer.ggml.token_type"][:16] + struct.pack(f"<{WORDS}i", *kinds)


def _tensors(width, hidden, layers):
    yield "token_embd.weight", (width, WORDS), _F16
    yield "output_norm.weight", (width,), _F32
    for layer in range(layers):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", (width,), _F32
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}.weight", (width, width), _F16
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{layer}.{name}.weight", (width, hidden), _F16
        yield f"blk.{layer}.ffn_down.weight", (hidden, width), _F16


def write(path, width, hidden, layers, controls=(), template=None):
    """Returns the bytes of its weights. `controls`: names of control tokens that it has besides."""
    values = _values()
    _with_controls(values, controls)
    if template:
        values["tokenizer.chat_template"] = struct.pack("<I", _STRING) + _string(template)
    for name, number in (("embedding_length", width), ("feed_forward_length", hidden), ("block_count", layers),
                         ("attention.head_count", width // 64), ("attention.head_count_kv", width // 64),
                         ("rope.dimension_count", 64)):
        values["llama." + name] = struct.pack("<II", _U32, number)
    tensors, offset, total = b"", 0, 0
    listed = list(_tensors(width, hidden, layers))
    for name, dims, kind in listed:
        tensors += _string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        size = 4 if kind == _F32 else 2
        for dim in dims:
            size *= dim
        total += size
        offset += (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(values))
    head += b"".join(_string(name) + value for name, value in values.items()) + tensors
    with open(path, "wb") as file:
        file.write(head)
        file.truncate((len(head) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT + offset)
    return total
