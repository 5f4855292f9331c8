"""Answers questions with exported TFLite files, and shows how little that takes: no zoo, no TensorFlow.

    python -I run_tflite.py model.tflite QUESTIONS.jsonl [other.tflite ITS.jsonl ...]

Each line of a file of questions is one of

    {"text": ...}       for a language model with a "seed" if it likes, or with the numbers that it draws by,
                        "inputs": {"uniforms": [...]}
    {"inputs": {...}}   ids instead of a text
    {"score": [...]}    how probable is each token of a text? (of a language model)

Standard output is one JSON object a model: the answers and, of a model that is asked alone, the milliseconds
that calls take.
"""

import json
import re
import sys
import time
import zipfile
from itertools import groupby, pairwise

import numpy as np
import sentencepiece

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
NO_TAG = -1
TYPES = {"uniforms": "float32"}
MASK_ID, BLANK = -1, "\u2581"
BATCH = 32
"""Texts at once, where a file takes any number."""
CALLS, SECONDS = 25, 5
"""How long calls are timed: so many, in no more than that."""
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
        self.batch = next(iter(self.signature["inputs"].values()))[1][0]

    def open(self, path):
        """Returns what is appended to the file: name -> bytes."""
        from ai_edge_litert.interpreter import Interpreter

        self.start, self.runners, self.largest = lambda: Interpreter(model_path=path), {}, {}
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def run(self, signature, arrays):
        """Arrays in, arrays out. What is longer than all before it gets a new interpreter, which answers it twice: one
        whose memory has to grow answers wrongly now and then, also at its very first call (ai-edge-litert 2.3)."""
        size = max(array.shape[1] for array in arrays.values())
        if size > self.largest.get(signature, 0):
            self.largest[signature] = size
            self.runners[signature] = self.start().get_signature_runner(signature)
            self.runners[signature](**arrays)
        return self.runners[signature](**arrays)

    def answers(self, rows):
        """What is said, and as "ids: ..." what the file gave: dicts of plain values."""
        found = []
        for _, alike in groupby(rows, key=lambda row: ("text" in row, "score" in row)):
            alike = list(alike)
            for start in range(0, len(alike), self.batch or BATCH):
                found += self.answer(alike[start : start + (self.batch or BATCH)])
        return found

    def answer(self, rows):
        """Of as many rows of one kind as are computed at once."""
        if "score" in rows[0]:
            found = self.infer([{"token_ids": row["score"]} for row in rows], "score")
            return [
                {"score: log_p": out["log_p"][: len(row["score"])]}
                for out, row in zip(found, rows, strict=True)
            ]
        if "text" not in rows[0]:
            return [ids(out) for out in self.infer([row["inputs"] for row in rows])]
        # Each task is a generator: it reads a text, is sent what the file computes of it, and says the answer.
        tasks = [self.task(row) for row in rows]
        outs = self.infer([next(task) for task in tasks])
        return [{**say(task, out), **ids(out)} for task, out in zip(tasks, outs, strict=True)]

    def task(self, row):
        """The generator of a text."""
        text = re.sub("[\ud800-\udfff]", "\ufffd", row["text"])  # JSON may hold half a surrogate pair
        return getattr(self, self.signature["task"])({**row, "text": text})

    def translation(self, row):
        out = yield {"ids": self.with_end(row["text"])}
        return {"text": self.decode(out["ids"]), "score": out["score"]}

    def classification(self, row):
        out = yield {"ids": self.with_end(row["text"])}
        probabilities = out["probabilities"]
        best = int(np.argmax(probabilities))
        return {
            "label": self.labels[best],
            "probability": probabilities[best],
            "probabilities": probabilities,
        }

    def tagging(self, row):
        words = [word for word in re.split(r"[ \t\n\v\f\r]+", row["text"]) if word]
        token_ids, character_ids = [], []
        for number, word in enumerate(words or [""]):
            pieces = self.pieces(word, number)
            token_ids += pieces
            character_ids += [self.spelled(word), *[self.spelled("")] * (len(pieces) - 1)]
        out = yield {"token_ids": token_ids, "character_ids": character_ids}
        tags = [self.labels[tag] for tag in out["tags"] if tag != NO_TAG]
        return {"words": " ".join(words), "tags": " ".join(tags)}

    def language_modeling(self, row):
        prompt = self.tokenizer.encode(row["text"]) or [BOS_ID]
        asked = {"token_ids": prompt}
        if "uniforms" in self.signature["inputs"]:  # it draws its words
            length = self.signature["inputs"]["uniforms"][1][1]
            drawn = np.random.default_rng([row.get("seed", 0), 0]).random(length, "float32")
            asked["uniforms"] = row.get("inputs", {}).get("uniforms", drawn)
        out = yield asked
        whole = self.decode(out["ids"])
        for beginning in (row["text"], self.decode(prompt)):
            if whole.startswith(beginning):
                return {"text": row["text"] + whole[len(beginning) :]}
        return {"text": row["text"] + self.decode(out["ids"][len(prompt) :])}

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
        out = yield {"token_ids": token_ids, "places": places or [0], "order": order}
        text = parts[0]
        for number, (before, part) in enumerate(pairwise(parts)):
            found = surface(pieces[out["ids"][number]]) if number < len(places) else "[MASK]"
            if before[-1] in " \t\n\r\f" if before else number == 0:
                found = found.removeprefix(" ") or found
            text += found + part
        return {"text": text, "probability": float(np.prod(out["probabilities"][: len(places)]))}

    def spelled(self, word):
        """The bytes of a word as ids; of a long word the first and the last."""
        width = self.signature["inputs"]["character_ids"][1][2]
        ids = [byte + 4 for byte in word.encode()]
        if len(ids) > width:
            ids = [*ids[: width - width // 2], *ids[-(width // 2) :]]
        return [*ids, *[PAD_ID] * (width - len(ids))]

    def infer(self, rows, signature="serving_default"):
        """Rows in, rows out."""
        found = self.run(signature, self.arrays(rows))
        return [{name: value[i].tolist() for name, value in found.items()} for i in range(len(rows))]

    def arrays(self, rows):
        """Rows side by side, filled up with zeros; a file of a fixed batch is given the last row again."""
        rows = [*rows, *[rows[-1]] * ((self.batch or 0) - len(rows))]
        arrays = {}
        for name in rows[0]:
            width = max(len(row[name]) for row in rows)
            shape = np.shape(rows[0][name])[1:]
            arrays[name] = np.zeros((len(rows), width, *shape), TYPES.get(name, "int32"))
            for array, row in zip(arrays[name], rows, strict=True):
                array[: len(row[name])] = row[name]
        return arrays

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


def say(task, out):
    """What a task makes of what the file computed."""
    try:
        task.send(out)
    except StopIteration as end:
        return end.value


def ids(out):
    return {f"ids: {name}": value for name, value in out.items()}


def latency(model, rows):
    """Texts at once -> "text" (to text) and "ids" (to ids, what the interpreter alone takes) -> milliseconds.

    A file of a fixed batch is asked for as many as it takes, and for one.
    """
    found = {}
    for size in sorted({1, model.batch or BATCH}):
        batches = [(rows * size)[i : i + size] for i in range(len(rows))][:CALLS]
        arrays = [model.arrays([next(model.task(row)) for row in batch]) for batch in batches]
        found[size] = {
            "text": timed([lambda batch=batch: model.answer(batch) for batch in batches]),
            "ids": timed([lambda given=given: model.run("serving_default", given) for given in arrays]),
        }
    return found


def timed(calls):
    """The milliseconds of each; the first one, which may still make room, is called once before."""
    calls[0]()
    end, found = time.perf_counter() + SECONDS, []
    for call in calls:
        start = time.perf_counter()
        call()
        found.append((time.perf_counter() - start) * 1000)
        if time.perf_counter() > end:
            break
    return found


def main(model_class):
    """Files and their questions by turns, as the command names them."""
    for path, questions in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        with open(questions, encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        model = model_class(path)
        found = model.answers(rows)
        texts = [row for row in rows if "text" in row][:BATCH]
        times = latency(model, texts) if len(sys.argv) == 3 else {}
        print(json.dumps({"answers": found, "latency": times}), flush=True)
    foreign = {"tensorflow", "keras", "zoo"} & set(sys.modules)
    assert not foreign, f"imported {foreign}"


if __name__ == "__main__":
    main(Model)
