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

import numpy as np
import sentencepiece
from ai_edge_litert.interpreter import Interpreter

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
NO_TAG = -1


class Model:
    """An exported file with what is appended to it."""

    def __init__(self, path):
        with zipfile.ZipFile(path) as archive:
            self.tokenizer = sentencepiece.SentencePieceProcessor(model_proto=archive.read("tokenizer.model"))
            self.signature = json.loads(archive.read("signature.json"))
            named = "labels.json" in archive.namelist()
            self.labels = json.loads(archive.read("labels.json")) if named else None
        self.run = Interpreter(model_path=path).get_signature_runner()
        self.longest = self.signature["max_length"]

    def answer(self, row):
        """(what is said, what the file gave): dicts of plain values."""
        return getattr(self, self.signature["task"])(row)

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

    def spelled(self, word):
        """The bytes of a word as ids; of a long word the first and the last."""
        width = self.signature["inputs"]["character_ids"][1][2]
        ids = [byte + 4 for byte in word.encode()]
        if len(ids) > width:
            ids = [*ids[: width - width // 2], *ids[-(width // 2) :]]
        return [*ids, *[PAD_ID] * (width - len(ids))]

    def infer(self, **inputs):
        """One row in, one row out."""
        types = {"uniforms": "float32"}
        arrays = {name: np.array([value], types.get(name, "int32")) for name, value in inputs.items()}
        return {name: value[0].tolist() for name, value in self.run(**arrays).items()}

    def with_end(self, text):
        pieces = self.tokenizer.encode(text) or [UNK_ID]
        return [*pieces[: self.longest - 1], EOS_ID]

    def decode(self, ids):
        """Up to the end mark."""
        ids = ids[: ids.index(EOS_ID)] if EOS_ID in ids else ids
        return self.tokenizer.decode([i for i in ids if i not in (PAD_ID, BOS_ID)])


def answers(path, rows):
    model = Model(path)
    found, milliseconds = [], []
    for row in rows:
        start = time.perf_counter()
        said, computed = model.answer(row)
        milliseconds.append((time.perf_counter() - start) * 1000)
        found.append({**said, **{f"ids: {name}": value for name, value in computed.items()}})
    return {"answers": found, "milliseconds": milliseconds}


if __name__ == "__main__":
    for path, texts in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        with open(texts, encoding="utf-8") as lines:
            print(json.dumps(answers(path, [json.loads(line) for line in lines])), flush=True)
    foreign = {"tensorflow", "keras", "zoo"} & set(sys.modules)
    assert not foreign, f"imported {foreign}"
