"""Data, model sizes, FLOP counts and timing shared by all systems."""

import json
import os
import resource
import time
from dataclasses import dataclass

import numpy as np

PAD, BOS, EOS, UNK = 0, 1, 2, 3
VOCAB = 8000
MAX_LEN = 40  # longer sentence pairs are dropped
TOKENS = 2048  # padded target tokens a batch

MODELS = {
    "T-tiny": dict(kind="transformer", enc=4, dec=4, d=128, ff=256, heads=4, dropout=0.1),
    "T-small": dict(kind="transformer", enc=3, dec=3, d=256, ff=1024, heads=4, dropout=0.1),
    "RNN-attn": dict(kind="rnn", d=256, emb=256, dropout=0.1),
    "RNN-post": dict(kind="rnn", d=256, emb=256, dropout=0.1),  # attention after the LSTM, builtins only
    "LM-LSTM": dict(kind="lm_lstm", layers=2, d=256, seq=64, batch=32, dropout=0.1),
    "LM-GPT": dict(kind="lm_gpt", layers=4, d=128, ff=512, heads=4, seq=128, batch=16, dropout=0.1),
    "CLS": dict(kind="cls", d=128, emb=128, seq=64, batch=64, classes=4),
}


@dataclass
class Batch:
    """src/tgt_in/tgt_out: int32 (B, L), 0-padded.  LM: src == tgt_in.  CLS: tgt_out (B,)."""

    src: np.ndarray
    tgt_in: np.ndarray
    tgt_out: np.ndarray
    tokens: int  # non-pad target tokens (CLS: input tokens)

    @property
    def shape(self):
        return self.src.shape


def load():
    return dict(np.load(os.path.join(os.environ["BENCH_DATA"], "ids.npz")))


def sentences(data, split, lang):
    ids, off = data[f"{split}_{lang}_ids"], data[f"{split}_{lang}_off"]
    return [ids[a:b] for a, b in zip(off[:-1], off[1:])]


def pad(rows, length):
    out = np.zeros((len(rows), length), np.int32)
    for i, r in enumerate(rows):
        out[i, : len(r)] = r
    return out


def mt_batches(data, split="train"):
    """Length-bucketed batches, deterministic: width a multiple of 8, ~2048 padded tokens."""
    buckets = {}
    for s, t in zip(sentences(data, split, "en"), sentences(data, split, "de")):
        width = -(-(max(len(s), len(t)) + 1) // 8) * 8
        if width <= MAX_LEN:
            buckets.setdefault(max(width, 16), []).append((s, t))
    batches = []
    for width, pairs in sorted(buckets.items()):
        size = TOKENS // width // 8 * 8
        for i in range(0, len(pairs) - size + 1, size):
            part = pairs[i : i + size]
            src = pad([np.append(s, EOS) for s, _ in part], width)
            tin = pad([np.insert(t, 0, BOS) for _, t in part], width)
            out = pad([np.append(t, EOS) for _, t in part], width)
            batches.append(Batch(src, tin, out, int((out != PAD).sum())))
    order = np.random.RandomState(0).permutation(len(batches))
    return [batches[i] for i in order]


def lm_batches(data, seq, batch):
    stream = np.concatenate([np.append(s, EOS) for s in sentences(data, "train", "en")])
    n = (len(stream) - 1) // seq
    x = stream[: n * seq].reshape(n, seq).astype(np.int32)
    y = stream[1 : n * seq + 1].reshape(n, seq).astype(np.int32)
    order = np.random.RandomState(0).permutation(n)
    x, y = x[order], y[order]
    return [
        Batch(x[i : i + batch], x[i : i + batch], y[i : i + batch], batch * seq)
        for i in range(0, n - batch + 1, batch)
    ]


def cls_batches(data, seq, batch, classes):
    return [
        Batch(b.src, b.src, (b.src.sum(1) % classes).astype(np.int32), batch * seq)
        for b in lm_batches(data, seq, batch)
    ]


def batches_for(model, data):
    c = MODELS[model]
    if c["kind"] in ("transformer", "rnn"):
        return mt_batches(data)
    if c["kind"] == "cls":
        return cls_batches(data, c["seq"], c["batch"], c["classes"])
    return lm_batches(data, c["seq"], c["batch"])


def test_sources(data, batch, count):
    """Test sentences sorted by length, in batches padded to a multiple of 8."""
    sents = sorted(sentences(data, "test_2016_flickr", "en")[:count], key=len)
    out = []
    for i in range(0, len(sents), batch):
        part = [np.append(s, EOS) for s in sents[i : i + batch]]
        width = -(-max(map(len, part)) // 8) * 8
        out.append(pad(part, width))
    return out


def sinusoid(length, d):
    pos = np.arange(length)[:, None] / 10000 ** (np.arange(0, d, 2)[None] / d)
    out = np.zeros((length, d), np.float32)
    out[:, 0::2], out[:, 1::2] = np.sin(pos), np.cos(pos)
    return out


def flops_forward(model, b, length):
    """Multiply-adds x 2 of the matrix products of one forward pass, (b, length) on each side."""
    c, n = MODELS[model], b * length
    d = c["d"]
    soft = 2 * n * d * VOCAB
    if c["kind"] == "transformer":
        ff = 2 * n * 2 * d * c["ff"]
        att = 2 * n * 4 * d * d + 2 * 2 * n * length * d
        return c["enc"] * (att + ff) + c["dec"] * (2 * att + ff) + soft
    if c["kind"] == "lm_gpt":
        return c["layers"] * (2 * n * (4 * d * d + 2 * d * c["ff"]) + 4 * n * length * d) + soft
    if c["kind"] == "lm_lstm":
        return c["layers"] * 2 * n * 8 * d * d + soft
    if c["kind"] == "cls":
        return 2 * n * 8 * d * d
    e = c["emb"]  # rnn: biLSTM, attentional LSTM
    enc = 2 * 2 * n * 4 * d * (e + d)
    dec = 2 * n * 4 * d * (e + 2 * d + d)
    attn = 2 * n * d * d + 2 * n * 2 * d * d + 2 * n * length * d * 3
    return enc + dec + attn + soft


def peak_rss_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load_average():
    with open("/proc/loadavg") as f:
        return float(f.read().split()[0])


def cpu_seconds_others():
    """Busy CPU seconds of the whole machine (to see how much others took)."""
    with open("/proc/stat") as f:
        v = list(map(int, f.readline().split()[1:9]))
    return (sum(v) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")


def emit(path, **row):
    print(json.dumps(row), flush=True)
    if path:
        with open(path, "a") as f:
            f.write(json.dumps(row) + "\n")


class Timer:
    def __enter__(self):
        self.t0, self.c0 = time.perf_counter(), cpu_seconds_others()
        self.p0 = time.process_time()
        return self

    def __exit__(self, *a):
        self.wall = time.perf_counter() - self.t0
        self.own = time.process_time() - self.p0
        self.others = max(0.0, cpu_seconds_others() - self.c0 - self.own)
