"""Physical limit of the machine: fp32 (and bf16) matmul GFLOP/s, memory bandwidth, tokens/s at the roofline.

python roofline.py numpy|torch|tf [--out f.jsonl]
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import common as C
import numpy as np

SHAPES = [
    (2048, 2048, 2048),
    (4096, 4096, 4096),
    (2048, 128, 128),
    (2048, 256, 1024),
    (2048, 128, 8000),
    (2048, 256, 8000),
    (64, 256, 1024),
]


def best(fn, seconds=1.5):
    fn()
    out, end = 1e9, time.perf_counter() + seconds
    while time.perf_counter() < end:
        t = time.perf_counter()
        fn()
        out = min(out, time.perf_counter() - t)
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("lib", choices=["numpy", "torch", "tf"])
    p.add_argument("--out")
    a = p.parse_args()
    rng = np.random.RandomState(0)
    kinds = {"numpy": ["float32"], "torch": ["float32", "bfloat16"], "tf": ["float32", "bfloat16"]}[a.lib]
    for kind in kinds:
        for m, k, n in SHAPES:
            x, y = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
            if a.lib == "numpy":
                z = np.empty((m, n), np.float32)
                fn = lambda: np.dot(x, y, out=z)
            elif a.lib == "torch":
                import torch

                torch.set_num_threads(os.cpu_count())
                tx, ty = (torch.from_numpy(v).to(getattr(torch, kind)) for v in (x, y))
                fn = lambda: torch.mm(tx, ty)
            else:
                import tensorflow as tf

                tx, ty = (tf.cast(tf.constant(v), kind) for v in (x, y))
                g = tf.function(tf.matmul)
                fn = lambda: g(tx, ty).shape
            t = best(fn)
            C.emit(
                a.out,
                what="matmul",
                lib=a.lib,
                dtype=kind,
                shape=[m, k, n],
                gflops=2 * m * k * n / t / 1e9,
                ms=t * 1e3,
            )
    if a.lib == "numpy":
        x, y = np.ones(1 << 26, np.float32), np.ones(1 << 26, np.float32)
        C.emit(
            a.out, what="bandwidth", lib="numpy", copy_gb_s=2 * x.nbytes / best(lambda: np.copyto(y, x)) / 1e9
        )
        data = C.load()
        for model in C.MODELS:
            bs = C.batches_for(model, data)
            fl = 3 * sum(C.flops_forward(model, *b.shape) for b in bs) / sum(b.tokens for b in bs)
            pad = sum(b.src.size for b in bs) / sum(b.tokens for b in bs)
            C.emit(
                a.out,
                what="flops",
                model=model,
                flop_per_token=fl,
                padded_per_real=pad,
                shapes=sorted({b.shape for b in bs}),
                batches=len(bs),
            )
    if a.lib == "torch":
        import torch

        x, y = torch.ones(1 << 26), torch.ones(1 << 26)
        C.emit(
            a.out, what="bandwidth", lib="torch", copy_gb_s=2 * 4 * (1 << 26) / best(lambda: y.copy_(x)) / 1e9
        )
        x = torch.randn(2048, 8000)
        C.emit(
            a.out,
            what="elementwise",
            lib="torch",
            op="softmax 2048x8000",
            ms=1e3 * best(lambda: x.softmax(-1)),
        )
        x = torch.randn(2048, 1024)
        C.emit(
            a.out,
            what="elementwise",
            lib="torch",
            op="dropout 2048x1024",
            ms=1e3 * best(lambda: torch.nn.functional.dropout(x, 0.1)),
        )
    if a.lib == "tf":
        import tensorflow as tf

        x = tf.random.normal((2048, 8000))
        g = tf.function(lambda x: tf.nn.softmax(x))
        C.emit(a.out, what="elementwise", lib="tf", op="softmax 2048x8000", ms=1e3 * best(lambda: g(x)))
        x = tf.random.normal((2048, 1024))
        for name, f in [
            ("tf.nn.dropout 2048x1024", lambda x: tf.nn.dropout(x, 0.1)),
            (
                "stateless dropout 2048x1024",
                lambda x: tf.nn.experimental.stateless_dropout(x, 0.1, seed=[1, 2]),
            ),
            ("tanh 2048x1024", tf.tanh),
        ]:
            g = tf.function(f)
            C.emit(a.out, what="elementwise", lib="tf", op=name, ms=1e3 * best(lambda: g(x)))
            h = tf.function(f, jit_compile=True)
            C.emit(a.out, what="elementwise", lib="tf", op=name + " (XLA)", ms=1e3 * best(lambda: h(x)))


if __name__ == "__main__":
    main()
