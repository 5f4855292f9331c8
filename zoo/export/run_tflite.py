"""Answers texts with exported TFLite files, and shows how little that takes: no zoo, no TensorFlow.

    python -I run_tflite.py model.tflite texts.jsonl [other.tflite its.jsonl ...]

Each line of a file of texts is `{"text": ...}`; for a language model with a "seed" if it likes, or with the
numbers that it draws by, `"inputs": {"uniforms": [...]}`. Standard output is one JSON object a model: the
answers, and the milliseconds that one of them takes.
"""

import json
import re
import sys
import time
import zipfile
from itertools import pairwise

import numpy as np
import sentencepiece

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
NO_TAG = -1
TYPES = {"uniforms": "float32"}
MASK_ID, BLANK = -1, "\u2581"
WITHOUT_PREFIX = b"\x1a\x02\x18\x00"
"""Behind a SentencePiece model: a text is not the beginning of a word (add_dummy_prefix: false)."""


class Model:
    """An exported file with what is appended to it."""

    def __init__(self, path):
        parts = self.open(path)
        model = parts["tokenizer.model"]
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.signature = json.loads(parts["signature.json"])
        inside = model + (b"" if self.signature["whole_words"] else WITHOUT_PREFIX)
        self.inside = sentencepiece.SentencePieceProcessor(model_proto=inside)
        self.labels = json.loads(parts.get("labels.json", "null"))
        self.longest = self.signature["max_length"]

    def open(self, path):
        """Starts the interpreter; returns what is appended: name -> bytes."""
        from ai_edge_litert.interpreter import Interpreter

        self.run = Interpreter(model_path=path).get_signature_runner()
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def answer(self, row):
        """(what is said, what the file gave): dicts of plain values."""
        text = re.sub("[\ud800-\udfff]", "\ufffd", row["text"])  # JSON may hold half a surrogate pair
        return getattr(self, self.signature["task"])({**row, "text": text})

    def translation(self, row):
        out = self.infer(ids=self.with_end(row["text"]))
        return {"text": self.decode(out["ids"]), "score": out["score"]}, out

    def classification(self, row):
        out = self.infer(ids=self.with_end(row["text"]))
        probabilities = out["probabilities"]
        best = int(np.argmax(probabilities))
        said = {
            "label": self.labels[best],
            "probability": probabilities[best],
            "probabilities": probabilities,
        }
        return said, out

    def tagging(self, row):
        words = [word for word in re.split(r"[ \t\n\v\f\r]+", row["text"]) if word]
        token_ids, character_ids = [], []
        for number, word in enumerate(words or [""]):
            pieces = self.pieces(word, number)
            token_ids += pieces
            character_ids += [self.spelled(word), *[self.spelled("")] * (len(pieces) - 1)]
        out = self.infer(token_ids=token_ids, character_ids=character_ids)
        tags = [self.labels[tag] for tag in out["tags"] if tag != NO_TAG]
        return {"words": " ".join(words), "tags": " ".join(tags)}, out

    def language_modeling(self, row):
        prompt = self.tokenizer.encode(row["text"]) or [BOS_ID]
        uniforms = row.get("inputs", {}).get("uniforms")
        if uniforms is None:
            length = self.signature["inputs"]["uniforms"][1][1]
            uniforms = np.random.default_rng([row.get("seed", 0), 0]).random(length, "float32")
        out = self.infer(token_ids=prompt, uniforms=uniforms)
        whole = self.decode(out["ids"])
        for beginning in (row["text"], self.decode(prompt)):
            if whole.startswith(beginning):
                return {"text": row["text"] + whole[len(beginning) :]}, out
        return {"text": row["text"] + self.decode(out["ids"][len(prompt) :])}, out

    def pieces(self, word, number):
        """Those of a word; inside a text with the blank before it, unless a word is one piece."""
        if self.signature["whole_words"]:
            pieces = self.tokenizer.encode(word)
            return pieces if len(pieces) == 1 else [UNK_ID]
        return self.tokenizer.encode(f" {word}" if number else word) or [UNK_ID]

    def masked_language_modeling(self, row):
        parts, token_ids = row["text"].split("[MASK]"), []
        pieces = [self.tokenizer.id_to_piece(i) for i in range(self.tokenizer.vocab_size())]
        glues = any(piece[0] == BLANK and len(piece) > 1 for piece in pieces)
        # A blank before a hidden token belongs to that, where pieces begin with blanks.
        cut = [part.removesuffix(" ") if glues else part for part in parts[:-1]] + parts[-1:]
        for number, part in enumerate(cut):
            goes_on = number and part and part[0] not in " \t\n\r\f"
            token_ids += [MASK_ID] * bool(number) + (self.inside if goes_on else self.tokenizer).encode(part)
        token_ids = [*(token_ids or [UNK_ID])[: self.longest - 1], EOS_ID]
        places = [place for place, token in enumerate(token_ids) if token == MASK_ID]
        order = [int(token == MASK_ID) for token in token_ids]
        out = self.infer(token_ids=token_ids, places=places or [0], order=order)
        text = parts[0]
        for number, (before, part) in enumerate(pairwise(parts)):
            found = surface(pieces[out["ids"][number]]) if number < len(places) else "[MASK]"
            if before[-1] in " \t\n\r\f" if before else number == 0:
                found = found.removeprefix(" ") or found
            text += found + part
        return {"text": text, "probability": float(np.prod(out["probabilities"][: len(places)]))}, out

    def spelled(self, word):
        """The bytes of a word as ids; of a long word the first and the last."""
        width = self.signature["inputs"]["character_ids"][1][2]
        ids = [byte + 4 for byte in word.encode()]
        if len(ids) > width:
            ids = [*ids[: width - width // 2], *ids[-(width // 2) :]]
        return [*ids, *[PAD_ID] * (width - len(ids))]

    def infer(self, **inputs):
        """One row in, one row out."""
        arrays = {name: np.array([value], TYPES.get(name, "int32")) for name, value in inputs.items()}
        return {name: value[0].tolist() for name, value in self.run(**arrays).items()}

    def with_end(self, text):
        pieces = self.tokenizer.encode(text) or [UNK_ID]
        return [*pieces[: self.longest - 1], EOS_ID]

    def decode(self, ids):
        """Up to the end mark."""
        ids = ids[: ids.index(EOS_ID)] if EOS_ID in ids else ids
        return self.tokenizer.decode([i for i in ids if i not in (PAD_ID, BOS_ID)])


def surface(piece):
    """What a piece looks like in a text."""
    byte = re.fullmatch("<0x([0-9A-F]{2})>", piece)
    if byte:
        return chr(int(byte[1], 16)) if int(byte[1], 16) < 128 else "\ufffd"
    return piece.replace(BLANK, " ")


def answers(model, rows):
    found, milliseconds = [], []
    for row in rows:
        start = time.perf_counter()
        said, computed = model.answer(row)
        milliseconds.append((time.perf_counter() - start) * 1000)
        found.append({**said, **{f"ids: {name}": value for name, value in computed.items()}})
    return {"answers": found, "milliseconds": milliseconds}


def main(answers):
    """Files and their texts by turns, as the command names them."""
    for path, texts in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        with open(texts, encoding="utf-8") as lines:
            print(json.dumps(answers(path, [json.loads(line) for line in lines])), flush=True)
    foreign = {"tensorflow", "keras", "zoo"} & set(sys.modules)
    assert not foreign, f"imported {foreign}"


if __name__ == "__main__":
    main(lambda path, rows: answers(Model(path), rows))
