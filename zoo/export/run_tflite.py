"""Answers texts with an exported TFLite file, and shows how little that takes: no zoo, no TensorFlow.

    python -I run_tflite.py model.tflite < texts.jsonl

Each line of standard input is `{"text": ...}`. Standard output is one JSON object: the answers, and the
milliseconds that one of them takes.
"""

import json
import sys
import time
import zipfile

import numpy as np
import sentencepiece
from ai_edge_litert.interpreter import Interpreter

UNK_ID, EOS_ID = 1, 3


def main(path):
    rows = [json.loads(line) for line in sys.stdin]
    with zipfile.ZipFile(path) as archive:
        tokenizer = sentencepiece.SentencePieceProcessor(model_proto=archive.read("tokenizer.model"))
        signature = json.loads(archive.read("signature.json"))
        labels = json.loads(archive.read("labels.json")) if "labels.json" in archive.namelist() else None
    run = Interpreter(model_path=path).get_signature_runner()

    def answer(text):
        pieces = tokenizer.encode(text) or [UNK_ID]
        ids = [*pieces[: signature["max_length"] - 1], EOS_ID]
        out = run(ids=np.array([ids], "int32"))
        if labels:
            probabilities = out["probabilities"][0].tolist()
            best = int(np.argmax(probabilities))
            return {"label": labels[best], "probability": probabilities[best], "probabilities": probabilities}
        ids = out["ids"][0].tolist()
        said = ids[: ids.index(EOS_ID)] if EOS_ID in ids else ids
        return {"text": tokenizer.decode(said), "score": float(out["score"][0]), "ids": ids}

    answers, milliseconds = [], []
    for row in rows:
        start = time.perf_counter()
        answers.append(answer(row["text"]))
        milliseconds.append((time.perf_counter() - start) * 1000)
    foreign = {"tensorflow", "keras", "zoo"} & set(sys.modules)
    assert not foreign, f"imported {foreign}"
    print(json.dumps({"answers": answers, "milliseconds": milliseconds}))


if __name__ == "__main__":
    main(sys.argv[1])
