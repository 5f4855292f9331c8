"""Text to ids and back. Every kind of tokenizer is a SentencePiece model.

So one file format and one code path serve Python, the graph (tokenizers_graph.py) and TFLite (zoo/runtime):

    sentencepiece   unigram or BPE, unseen characters written as bytes
    character       model type `char`
    word            model type `word`: what stands between spaces, an unknown word is <unk>
    byte            a `char` model without characters: everything falls back to its 256 bytes; made by hand

Special ids are always pad 0, unk 1, bos 2, eos 3. No text can produce pad, bos or eos: SentencePiece never
matches control pieces, so `</s>` in a text is four ordinary characters.

What does not survive the round trip: U+2581 (▁), SentencePiece's sign for a space, is read as a space by all
but `byte`; neighbouring <unk> become one, as SentencePiece writes them; `word` reads several spaces as one.

What is no text, half a surrogate pair in a Python string or bytes that are no UTF-8, is read as U+FFFD (zoo/text.py).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sentencepiece

from zoo import files
from zoo.errors import UserError
from zoo.text import valid

if TYPE_CHECKING:  # pydantic is not needed to read text: an exported model runs without it
    from zoo.config.tokenizer import Byte, Character, SentencePiece, Trained, Word

PAD, UNK, BOS, EOS = 0, 1, 2, 3
MASK = -1
"""The id of a hidden token: no piece of any vocabulary, for the models have a vector of its own for it."""
WORD_MODEL = 3
"""SentencePiece's number of the type `word`."""
MODEL_FILE, INFO_FILE, PHRASES_FILE = "tokenizer.model", "tokenizer.json", "phrases.txt"

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""SentencePiece's kinds of pieces."""

BLANK = "▁"
"""SentencePiece's sign for a blank in a piece."""
BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")
WITHOUT_PREFIX = b"\x1a\x02\x18\x00"
"""Behind a model, protobuf's wire format for normalizer_spec { add_dummy_prefix: false }: it is merged into it."""

# SentencePiece silently leaves out lines above max_sentence_length and lines with these two characters, and
# needs hours for one long word that repeats itself: training lines are cut, the two characters become spaces.
LONGEST_LINE = 1000
SMALL_TEXT = 100_000
"""Characters of a text whose largest vocabulary is looked for, by making it; of longer ones it is far away."""
RESERVED = str.maketrans({"\0": " ", "\u2585": " "})


class Tokenizer:
    """A vocabulary; `encode` adds neither bos nor eos, `decode` stops at eos.

    Args:
        model_bytes: a serialized SentencePiece model with pad/unk/bos/eos = 0/1/2/3.
        config: the recipe's `tokenizer` section as plain data, kept with the model.
        phrases: what counts as one phrase where phrases are hidden, as zoo/data/units.py writes them.
        origin: what to call the model in an error message.
    """

    pad_id, unk_id, bos_id, eos_id = PAD, UNK, BOS, EOS

    def __init__(
        self,
        model_bytes: bytes,
        config: dict | None = None,
        origin: str = "tokenizer model",
        phrases: Sequence[str] = (),
    ):
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
        except (RuntimeError, ValueError):  # the latter where its own message is no text
            raise UserError(f"{origin}: damaged or not a SentencePiece model") from None
        p = self._processor
        if (p.pad_id(), p.unk_id(), p.bos_id(), p.eos_id()) != (PAD, UNK, BOS, EOS):
            raise UserError(f"{origin}: pad/unk/bos/eos must have the ids 0/1/2/3")
        self.model_bytes = model_bytes
        self.config, self.phrases = config or {}, tuple(phrases)
        self.vocabulary_size: int = p.vocab_size()

    @classmethod
    def from_bytes(cls, model_bytes: bytes, origin: str = "tokenizer model") -> Tokenizer:
        return cls(model_bytes, origin=origin)

    @property
    def pieces(self) -> list[str]:
        return [self._processor.id_to_piece(i) for i in range(self.vocabulary_size)]

    @property
    def fingerprint(self) -> str:
        """Sha256 of the model."""
        return hashlib.sha256(self.model_bytes).hexdigest()

    def encode(self, text: str) -> list[int]:
        return self._processor.encode(valid(text))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._processor.encode([valid(text) for text in texts]) if len(texts) else []

    def draw_batch(self, texts: Sequence[str], sampling: float, seed: int) -> list[list[int]]:
        """Ids of texts that are cut in ways drawn at random: sub-word regularization, BPE-dropout.

        The same seed and texts give the same ids. (Kudo 2018, arXiv:1804.10959; Provilkov et al. 2020, 1910.13267)
        """
        sentencepiece.set_random_generator_seed(seed)
        how = {"enable_sampling": True, "nbest_size": -1, "alpha": sampling, "num_threads": 1}
        return self._processor.encode([valid(text) for text in texts], **how) if len(texts) else []

    @cached_property
    def whole_words(self) -> bool:
        """Whether a word is one piece: it is told by the model itself, which an exported file holds alone."""
        return _model_type(self.model_bytes) == WORD_MODEL

    def encode_inside(self, text: str) -> list[int]:
        """Ids of a text that goes on where another ended: its beginning is not the beginning of a word.

        Words alone have no inside; theirs is encoded like any text.
        """
        return self._inside.encode(valid(text))

    @cached_property
    def _inside(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_proto=self.inside_bytes)

    @property
    def inside_bytes(self) -> bytes:
        """The model that `encode_inside` encodes with."""
        return self.model_bytes + (b"" if self.whole_words else WITHOUT_PREFIX)

    @cached_property
    def glues(self) -> bool:
        """Whether pieces begin with the blank that stands before them."""
        return any(len(piece) > 1 and piece.startswith(BLANK) for piece in self.pieces)

    @cached_property
    def surfaces(self) -> list[str]:
        """What each piece looks like in a text, with its blank; nothing of pad, unk, bos and eos."""
        return ["" if i <= EOS else _surface(piece) for i, piece in enumerate(self.pieces)]

    def encode_words(self, words: Sequence[str]) -> list[list[int]]:
        """The pieces of each word of one text, each encoded by itself: neighbouring unknown words stay two.

        A `word` tokenizer gives each word exactly one, and <unk> to what it would write with several. All others
        see the blank before every word but the first, as they would in the text. No pieces at all are one <unk>.
        """
        if self.whole_words:
            return [row if len(row) == 1 else [UNK] for row in self.encode_batch(words)]
        return [row or [UNK] for row in self.encode_batch([*words[:1], *(f" {word}" for word in words[1:])])]

    def decode(self, ids: Iterable[int]) -> str:
        return self._processor.decode(list(_until_eos(ids)))

    def decode_batch(self, rows: Iterable[Iterable[int]]) -> list[str]:
        return [self.decode(row) for row in rows]

    def unknown_rate(self, texts: Sequence[str]) -> float:
        """Share of <unk> among all tokens of the texts."""
        rows = self.encode_batch(texts)
        return sum(row.count(UNK) for row in rows) / max(1, sum(map(len, rows)))

    def save(self, folder: str | Path) -> None:
        """Three files, of which the one that names the kind comes last: with it the folder is complete."""
        folder = Path(folder)
        files.remove(folder / INFO_FILE)
        files.remove(folder / PHRASES_FILE)
        files.write(folder / MODEL_FILE, self.model_bytes)
        if self.phrases:
            files.write(folder / PHRASES_FILE, "".join(f"{phrase}\n" for phrase in self.phrases))
        info = {"kind": self.config.get("name"), "config": self.config, "sha256": self.fingerprint}
        files.write_json(folder / INFO_FILE, info)

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        model, info, listed = (Path(folder) / name for name in (MODEL_FILE, INFO_FILE, PHRASES_FILE))
        try:
            phrases = listed.read_text(encoding="utf-8").split("\n")[:-1] if listed.exists() else ()
            model_bytes = model.read_bytes()
            read = json.loads(info.read_text(encoding="utf-8"))
            config, sha256 = dict(read["config"]), read["sha256"]
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(
                f"{info}: damaged; it should be JSON with the keys kind, config, sha256"
            ) from None
        if hashlib.sha256(model_bytes).hexdigest() != sha256:
            raise UserError(f"{model}: damaged; its sha256 is not the one in {info.name}")
        return cls(model_bytes, config, str(model), phrases)


def train_tokenizer(config: SentencePiece | Character | Byte | Word, texts: Iterable[str]) -> Tokenizer:
    """Make the tokenizer that a recipe describes; the same texts in the same order give the same bytes.

    Args:
        config: the recipe's `tokenizer` section.
        texts: the training split, one text at a time; not looked at by `byte`.
    """
    kept = config.model_dump(mode="json")
    if config.name == "byte":
        return Tokenizer(_byte_model(), kept)
    exact = config.normalization == "identity"
    options: dict = {
        "model_type": {"character": "char", "word": "word"}.get(config.name) or config.model_type,
        "normalization_rule_name": config.normalization,
        # Identity keeps every space, so that decode(encode(text)) == text. A word begins with its space, even
        # the first of a text (the dummy prefix); other kinds need no space that is not in the text, unless
        # normalization cleans texts anyway: then a sub-word is the same at the start and inside.
        "remove_extra_whitespaces": not exact or config.name == "word",
        "add_dummy_prefix": config.name == "word" or (config.name == "sentencepiece" and not exact),
        "unk_surface": " \u2047" if config.name == "word" else "\u2047",
    }
    if config.name == "sentencepiece":
        options |= {
            "vocab_size": config.vocabulary_size,
            "character_coverage": config.character_coverage,
            "byte_fallback": config.byte_fallback,
        }
    elif config.vocabulary_size is None:
        options |= {"use_all_vocab": True, "character_coverage": 1.0}
    else:  # a cap: fewer pieces than asked for are no error
        options |= {
            "vocab_size": config.vocabulary_size,
            "hard_vocab_limit": False,
            "character_coverage": 1.0,
        }

    texts = texts if isinstance(texts, Sequence) else list(texts)
    try:
        model = _trained(texts, options)
    except RuntimeError as error:
        raise _explained(str(error), config, texts, options) from None
    return Tokenizer(_with_exact_scores(model) if options.get("model_type") == "unigram" else model, kept)


def _trained(texts: Sequence[str], options: dict) -> bytes:
    """The model that SentencePiece makes of texts; a RuntimeError says why there is none."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_training_lines(texts),
        model_writer=written,
        pad_id=PAD,
        unk_id=UNK,
        bos_id=BOS,
        eos_id=EOS,
        max_sentence_length=2**30,
        num_threads=1,  # how threads share the lines decides the rounding of counts, and so the pieces
        minloglevel=3,
        **options,
    )
    return written.getvalue()


def _training_lines(texts: Iterable[str]) -> Iterator[str]:
    """Texts, cut at spaces where they are long.

    SentencePiece takes line breaks off the end of a line, not off its beginning: there they are moved, so
    that a document's line breaks are characters like others.
    """
    for text in texts:
        line = valid(text).translate(RESERVED)
        start = 0
        while len(line) - start > LONGEST_LINE:
            end = line.rfind(" ", start + 1, start + LONGEST_LINE)
            end = end if end > 0 else start + LONGEST_LINE
            yield _breaks_first(line[start:end])
            start = end
        yield _breaks_first(line[start:])


def _breaks_first(line: str) -> str:
    body = line.rstrip("\r\n")
    breaks = line[len(body) :]
    return breaks + (body or " ") if breaks else line


_LARGEST = re.compile(r"Please set it to a value <= (\d+)")
_SMALLEST = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")


def _explained(message: str, config: Trained, texts: Sequence[str], options: dict) -> UserError:
    """SentencePiece's assertion in the user's terms."""
    kind, size = config.name, getattr(config, "vocabulary_size", None)
    if found := _LARGEST.search(message):
        smallest = _bound(_SMALLEST, texts, options, 8)
        return UserError(
            f"tokenizer.vocabulary_size: {size} is too large for the training text, "
            f"the largest possible is {found[1]}" + (f", the smallest {smallest}" if smallest else "")
        )
    if found := _SMALLEST.search(message):
        small = sum(map(len, texts)) <= SMALL_TEXT
        largest = _bound(_LARGEST, texts, options, 10 * SMALL_TEXT) if small else None
        return UserError(
            f"tokenizer.vocabulary_size: {size} is too small, the special pieces, bytes and characters of "
            f"the training text alone are {found[1]}; raise it"
            + (f" (the largest possible is {largest})" if largest else "")
            + ", or lower tokenizer.character_coverage"
        )
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return UserError(f"tokenizer: the training split has no text to train a {kind} tokenizer on")
    return UserError(f"tokenizer: training failed: {message}")


def _bound(says: re.Pattern, texts: Sequence[str], options: dict, size: int) -> str | None:
    """What SentencePiece says of a size that is surely beyond the other end."""
    try:
        _trained(texts, options | {"vocab_size": size})
    except RuntimeError as error:
        return found[1] if (found := says.search(str(error))) else None
    return None


def _surface(piece: str) -> str:
    """Of a byte that is no character by itself, the sign of a lost one."""
    byte = BYTE_PIECE.fullmatch(piece)
    if byte:
        return chr(int(byte[1], 16)) if int(byte[1], 16) < 0x80 else "\ufffd"
    return piece.replace(BLANK, " ")


def _until_eos(ids: Iterable[int]) -> Iterator[int]:
    for i in map(int, ids):
        if i == EOS:
            return
        if i not in (PAD, BOS):
            yield i


def _model_type(model: bytes) -> int | None:
    """`ModelProto.trainer_spec.model_type` (fields 2 and 3), read without the protobuf package."""
    trainer = next((part for field, part in _fields(model) if field == 2 and isinstance(part, bytes)), b"")
    return next((value for field, value in _fields(trainer) if field == 3), None)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a protobuf message; of one of fixed size its bytes."""

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place, value, shift = place + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    place = 0
    while place < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or number()
        place += size
        yield key >> 3, message[place - size : place]


def _with_exact_scores(model: bytes) -> bytes:
    """A unigram model whose scores are multiples of 1/256, so that any sum of some thousand is exact in float32.

    `999` is `9` and `99` or `99` and `9`, which are equally good: where sums are rounded, each version of
    SentencePiece, that of tensorflow_text among them, takes another one. All take the same where they are exact.
    """

    def rounded(piece: bytes) -> bytes:
        parts = dict(_fields(piece))
        (score,) = struct.unpack("<f", parts[2])
        return _piece(parts[1], parts.get(3, NORMAL), round(score * 256) / 256)

    return b"".join(rounded(part) if field == 1 else _block(field, part) for field, part in _fields(model))


def _byte_model() -> bytes:
    """A ModelProto of 4 special and 256 byte pieces, spaces not escaped.

    Written out in protobuf's wire format (field numbers of sentencepiece_model.proto), so that reading an
    exported model does not need the protobuf package.
    """
    control = [_piece(text, CONTROL) for text in (b"<pad>", b"<s>", b"</s>")]
    pieces = [control[0], _piece(b"<unk>", UNKNOWN), *control[1:]]
    pieces += [_piece(f"<0x{value:02X}>".encode(), BYTE) for value in range(256)]
    model_type, vocabulary_size, byte_fallback = _number(3, 4), _number(4, 260), _number(35, 1)
    special = _number(40, UNK) + _number(41, BOS) + _number(42, EOS) + _number(43, PAD)
    special += _block(44, "\u2047".encode())
    trainer = _block(2, model_type + vocabulary_size + byte_fallback + special)
    add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces = (
        _number(3, 0),
        _number(4, 0),
        _number(5, 0),
    )
    switches = add_dummy_prefix + remove_extra_whitespaces + escape_whitespaces
    normalizer = _block(3, _block(1, b"identity") + switches)
    return b"".join(pieces) + trainer + normalizer


def _piece(text: bytes, kind: int, score: float = 0.0) -> bytes:
    return _block(1, _block(1, text) + _varint(2 << 3 | 5) + struct.pack("<f", score) + _number(3, kind))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _block(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)
