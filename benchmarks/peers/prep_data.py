"""Make the shared data of the benchmark.

    BENCH_DATA=<folder> python prep_data.py

The folder must hold train.{en,de}, val.{en,de} and test_2016_flickr.{en,de} of
Multi30k (task 1, raw, one sentence a line).  Writes, in the same folder,
spm.model / spm.vocab (joint 8000-piece sub-word vocabulary: 0 pad, 1 bos,
2 eos, 3 unk) and ids.npz: for each split and language the concatenated ids and
the offsets of the sentences.
"""

import os

import numpy as np
import sentencepiece as spm

root = os.environ["BENCH_DATA"]
path = lambda name: os.path.join(root, name)
if not os.path.exists(path("spm.model")):
    spm.SentencePieceTrainer.train(
        input=[path("train.en"), path("train.de")],
        model_prefix=path("spm"),
        vocab_size=8000,
        model_type="bpe",
        character_coverage=1.0,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
sp = spm.SentencePieceProcessor(model_file=path("spm.model"))
out = {}
for split in ("train", "val", "test_2016_flickr"):
    for lang in ("en", "de"):
        with open(path(f"{split}.{lang}"), encoding="utf-8") as f:
            ids = sp.encode([line.rstrip("\n") for line in f])
        out[f"{split}_{lang}_ids"] = np.concatenate([np.asarray(x, np.int32) for x in ids])
        out[f"{split}_{lang}_off"] = np.cumsum([0] + [len(x) for x in ids]).astype(np.int64)
        lens = np.diff(out[f"{split}_{lang}_off"])
        print(
            split,
            lang,
            len(ids),
            "sentences, mean",
            round(lens.mean(), 2),
            "p95",
            np.percentile(lens, 95),
            "max",
            lens.max(),
        )
np.savez_compressed(path("ids.npz"), **out)
