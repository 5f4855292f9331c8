"""All kinds of tokenizers: round trips, special ids, hostile training text, errors, files."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from sentencepiece import sentencepiece_model_pb2

from zoo.config.tokenizer import Byte, Character, SentencePiece, Word
from zoo.data import tokenizers
from zoo.data.tokenizers import Tokenizer, train_tokenizer
from zoo.errors import UserError

CORPUS = [
    "The dog runs through the park, and two children follow it.",
    "A man in a blue shirt is standing on a ladder cleaning a window.",
    "Der Hund läuft durch den Park, und zwei Kinder folgen ihm.",
    "Ein Mann in blauem Hemd steht auf einer Leiter und putzt ein Fenster.",
    "Le chien court à travers le parc ; où est passée la fenêtre ?",
    "L'été, deux enfants se baignent près de l'île — ça suffit !",
    "狗跑过公园，两个孩子跟着它。",
    "一个穿蓝衬衫的男人站在梯子上擦窗户。",
    "😀 🎉 👩‍👩‍👧 ok",
]
SEEN = [*CORPUS, "", " ", "  two  children ", "zwei Kinder"]
UNSEEN = [
    "Ünïcödé ẞ",
    "日本語のテキスト",
    "مرحبا",
    "🦄🇨🇳",
    "a\tb",
    "line\nbreak",
    "nul\0",
    "\r\n",
    "e\u0301 é",
    "ﬁ Ａ",
]
CONTROL = ["<s>", "</s>", "<pad>", "<unk>", "<0x41>", "x </s> y", "<s></s>"]

KINDS = {
    "unigram": SentencePiece(name="sentencepiece", vocabulary_size=380),
    "bpe": SentencePiece(name="sentencepiece", vocabulary_size=480, model_type="bpe"),
    "character": Character(name="character"),
    "byte": Byte(name="byte"),
    "word": Word(name="word"),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(kind) -> Tokenizer:
    return train_tokenizer(KINDS[kind], CORPUS)


def test_seen_text_round_trips(tokenizer, kind):
    for text in SEEN:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == (" ".join(text.split()) if kind == "word" else text)
        assert all(4 <= i < tokenizer.vocabulary_size for i in ids)
    assert tokenizer.encode("") == []
    assert tokenizer.unknown_rate(CORPUS) == 0


@pytest.mark.parametrize("name", ["unigram", "bpe", "byte"])
def test_any_text_round_trips_where_bytes_stand_in(name):
    tokenizer = train_tokenizer(KINDS[name], CORPUS)
    for text in [*UNSEEN, *CONTROL]:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_ids_come_from_no_text(tokenizer):
    assert tokenizer.pieces[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    for text in [*CONTROL, "▁", "▁▁</s>▁", *UNSEEN]:
        assert not {0, 2, 3} & set(tokenizer.encode(text)), text


def test_control_words_in_training_text_stay_words(kind):
    tokenizer = train_tokenizer(KINDS[kind], [*CORPUS, *CONTROL * 5])
    for text in CONTROL:
        assert not {0, 2, 3} & set(tokenizer.encode(text))
    assert tokenizer.pieces[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    assert len(set(tokenizer.pieces)) == tokenizer.vocabulary_size


def test_decode_stops_at_eos_and_drops_pad_and_bos(tokenizer):
    ids = tokenizer.encode("the park")
    assert tokenizer.decode([2, *ids, 3, *ids, 0, 0]) == tokenizer.decode(ids)
    assert tokenizer.decode([0, 0, *ids, 0]) == tokenizer.decode(ids)
    assert tokenizer.decode([3, *ids]) == tokenizer.decode([]) == ""


def test_batches_are_the_single_answers(tokenizer):
    texts = [*SEEN, *UNSEEN, *CONTROL]
    rows = tokenizer.encode_batch(texts)
    assert rows == [tokenizer.encode(text) for text in texts]
    assert tokenizer.decode_batch(rows) == [tokenizer.decode(row) for row in rows]
    assert tokenizer.encode_batch([]) == tokenizer.decode_batch([]) == []


def test_training_is_deterministic_and_the_text_matters(kind):
    first, again = (train_tokenizer(KINDS[kind], CORPUS) for _ in range(2))
    assert first.model_bytes == again.model_bytes and first.fingerprint == again.fingerprint
    other = train_tokenizer(KINDS[kind], [*CORPUS, "zwölf Boxkämpfer jagen Viktor quer " * 3])
    assert (other.fingerprint == first.fingerprint) == (kind == "byte")


def test_surrogates_of_a_broken_command_line_are_read(tokenizer):
    assert tokenizer.encode("the \udcff park") == tokenizer.encode("the \ufffd park")


def test_unknown_characters_and_words():
    character = train_tokenizer(Character(name="character"), ["abc", "ab"])
    assert character.encode("axb") == [*character.encode("a"), 1, *character.encode("b")]
    assert character.decode(character.encode("axb")) == "a⁇b"
    assert character.unknown_rate(["axb"]) == pytest.approx(1 / 3)
    word = train_tokenizer(Word(name="word"), ["the dog runs"])
    assert word.encode("the cat runs") == [*word.encode("the"), 1, *word.encode("runs")]
    assert word.decode(word.encode("the cat runs")) == "the ⁇ runs"
    assert sorted(word.pieces[4:]) == ["▁dog", "▁runs", "▁the"]
    assert word.encode("Dog") == [1]
    no_bytes = SentencePiece(name="sentencepiece", vocabulary_size=20, byte_fallback=False, model_type="bpe")
    assert train_tokenizer(no_bytes, ["the dog runs far away"] * 9).encode("狗") == [1]


@pytest.mark.parametrize("section", [Character, Word])
def test_a_cap_keeps_the_most_frequent(section):
    name = section.__name__.lower()
    texts = ["a b c d e f g h a b c d a b c d a a"]
    assert train_tokenizer(section(name=name), texts).vocabulary_size == 4 + 8 + (name == "character")
    capped = train_tokenizer(section(name=name, vocabulary_size=8), texts)
    assert capped.vocabulary_size == 8
    assert ("a" in "".join(capped.pieces[4:])) and "h" not in "".join(capped.pieces[4:])
    assert train_tokenizer(section(name=name, vocabulary_size=5000), texts).vocabulary_size < 20


def test_normalization():
    folded = train_tokenizer(Character(name="character", normalization="nmt_nfkc_cf"), CORPUS)
    assert folded.decode(folded.encode("  ＴＨＥ   Dog ")) == "the dog"
    kept = train_tokenizer(KINDS["bpe"].model_copy(update={"normalization": "nmt_nfkc"}), CORPUS)
    assert kept.decode(kept.encode(" ＴＨＥ  dog")) == "THE dog"
    assert kept.encode("dog")[0] == kept.encode("a dog")[-1] or kept.pieces[kept.encode("dog")[0]][0] == "▁"


@pytest.mark.parametrize("name", ["unigram", "bpe", "character", "word"])
def test_no_training_line_is_dropped(name):
    """SentencePiece alone leaves out lines of more than 4,192 bytes and lines with NUL or U+2585."""
    lines = [
        "plain text for everybody " * 8,
        "filler " * 2000 + "ξ",
        "block ▅ ж",
        "nul \0 щ",
        "ю" * 5000 + " end",
    ]
    section = KINDS.get(name)
    if name in ("unigram", "bpe"):
        section = SentencePiece(name="sentencepiece", vocabulary_size=285, model_type=name)
    tokenizer = train_tokenizer(section, lines)
    for seen in "ξжщ":
        assert 1 not in tokenizer.encode(seen) and len(tokenizer.encode(seen)) == 1
    if name != "word":
        assert "ю" in "".join(tokenizer.pieces)


DOCUMENTS = {
    "a long one": "To be,\nor not.\n\n  Exit\t\n" * 200,
    "breaks at its ends alone": "\n" + "word " * 250 + "\n",
    "a break behind every piece that is cut": ("x" * 999 + "\n") * 3,
    "nothing but breaks in a row": "ab" + "\n" * 2500 + "cd\r",
    "Chinese": "第一行\n第二行\n\n" * 300,
}


@pytest.mark.parametrize("text", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("name", ["character", "byte", "bpe", "unigram"])
def test_line_breaks_of_documents_round_trip(name, text):
    tokenizer = train_tokenizer(KINDS[name], [*CORPUS, text] if name in ("bpe", "unigram") else [text])
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text and tokenizer.unk_id not in ids
    if name == "character":
        assert len(ids) == len(text) and "\n" in tokenizer.pieces


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_vocabulary_size_that_does_not_fit(model_type):
    def train(size: int) -> Tokenizer:
        section = SentencePiece(name="sentencepiece", vocabulary_size=size, model_type=model_type)
        return train_tokenizer(section, CORPUS)

    with pytest.raises(
        UserError,
        match=r"tokenizer\.vocabulary_size: 99999 is too large .* possible is \d+, the smallest \d+$",
    ) as large:
        train(99999)
    largest, smallest = (
        int(number) for number in re.findall(r" is (\d+), the smallest (\d+)", str(large.value))[0]
    )
    assert train(largest).vocabulary_size == largest
    with pytest.raises(UserError, match=r"possible is"):
        train(largest + 1)
    with pytest.raises(
        UserError, match=r"tokenizer\.vocabulary_size: 100 is too small, .* are \d+; raise it"
    ) as small:
        train(100)
    assert f"alone are {smallest}; raise it (the largest possible is {largest})" in str(small.value)
    assert train(smallest).vocabulary_size == smallest


@pytest.mark.parametrize("texts", [[], [""], [" "], ["", "  "]])
@pytest.mark.parametrize("name", ["unigram", "bpe", "word"])
def test_no_text_to_train_on(name, texts):
    with pytest.raises(UserError, match="tokenizer"):
        train_tokenizer(KINDS[name], texts)


def test_the_byte_model_is_what_protobuf_would_write():
    model = sentencepiece_model_pb2.ModelProto.FromString(train_tokenizer(Byte(name="byte"), []).model_bytes)
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece
    assert [piece.type for piece in model.pieces] == [kinds.CONTROL, kinds.UNKNOWN, *[kinds.CONTROL] * 2] + [
        kinds.BYTE
    ] * 256
    assert model.trainer_spec.model_type == sentencepiece_model_pb2.TrainerSpec.CHAR
    assert model.trainer_spec.byte_fallback and model.trainer_spec.vocab_size == len(model.pieces)
    assert not model.normalizer_spec.escape_whitespaces and not model.normalizer_spec.add_dummy_prefix
    byte = Tokenizer.from_bytes(model.SerializeToString())
    assert byte.encode("a é▁") == [4 + value for value in "a é▁".encode()]
    assert byte.decode([4 + 0xE4]) == "\ufffd"


def test_save_and_load(tokenizer, kind, tmp_path):
    tokenizer.save(tmp_path / "deep" / "tokenizer")
    again = Tokenizer.load(tmp_path / "deep" / "tokenizer")
    assert again.model_bytes == tokenizer.model_bytes and again.config == KINDS[kind].model_dump(mode="json")
    info = json.loads((tmp_path / "deep" / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))
    assert info["kind"] == KINDS[kind].name and info["sha256"] == tokenizer.fingerprint
    assert Tokenizer.from_bytes(tokenizer.model_bytes).encode("the park") == tokenizer.encode("the park")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.model", None),
        ("tokenizer.json", None),
        ("tokenizer.model", b""),
        ("tokenizer.model", b"garbage"),
        ("tokenizer.json", b"{"),
        ("tokenizer.json", b"[1]"),
        ("tokenizer.json", b'{"kind": "byte"}'),
        ("tokenizer.json", b"\xff\xfe"),
    ],
)
def test_a_damaged_folder_is_named(file, content, tmp_path):
    train_tokenizer(Byte(name="byte"), []).save(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=file):
        Tokenizer.load(tmp_path)


def test_one_changed_byte_is_noticed(tmp_path):
    train_tokenizer(KINDS["bpe"], CORPUS).save(tmp_path)
    model = tmp_path / tokenizers.MODEL_FILE
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(UserError, match="sha256"):
        Tokenizer.load(tmp_path)


def test_bytes_that_are_no_model_of_ours():
    with pytest.raises(UserError, match="damaged"):
        Tokenizer.from_bytes(b"garbage" * 9)
    model = sentencepiece_model_pb2.ModelProto.FromString(train_tokenizer(Byte(name="byte"), []).model_bytes)
    model.trainer_spec.bos_id, model.trainer_spec.eos_id = 3, 2
    model.pieces[2].piece, model.pieces[3].piece = "</s>", "<s>"
    with pytest.raises(UserError, match="0/1/2/3"):
        Tokenizer.from_bytes(model.SerializeToString())


def test_training_says_nothing_and_needs_neither_tensorflow_nor_protobuf():
    program = """
import sys
from zoo.data.tokenizers import Tokenizer, train_tokenizer
assert not {"pydantic", "google.protobuf", "tensorflow"} & set(sys.modules), sorted(sys.modules)
from zoo.config.tokenizer import SentencePiece
config = SentencePiece(name="sentencepiece", vocabulary_size=275, model_type="bpe")
train_tokenizer(config, ["the dog runs"] * 50)
assert not {"google.protobuf", "tensorflow"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
