"""Where does the time of plain Keras on TF go?  Interleaved variants of one training step of T-tiny.

BENCH_DATA=<folder> python ablate.py [model] [jit] [--out f.jsonl]
"""

import argparse
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "systems"))
import common as C
import keras
import tensorflow as tf
from systems import keras_builtin as K


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model", nargs="?", default="T-tiny")
    p.add_argument("jit", nargs="?", type=int, default=0)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--out")
    a = p.parse_args()
    b = next(b for b in C.batches_for(a.model, C.load()) if b.shape == (64, 32))
    src, tin, tout = map(tf.constant, (b.src, b.tgt_in, b.tgt_out))
    weight = tf.cast(tout != C.PAD, tf.float32)

    def net(dropout):
        keras.utils.set_random_seed(0)
        C.MODELS["_"] = dict(C.MODELS[a.model], dropout=dropout)
        n = K.make("_", C.VOCAB)
        n((src, tin))
        return n

    def loss_of(n, head=True):
        logits = n((src, tin), training=True)
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(tout, logits)
        return tf.reduce_sum(nll * weight) / tf.reduce_sum(weight)

    steps = {}

    n1, n0 = net(0.1), net(0.0)
    opt = keras.optimizers.Adam(1e-3)
    opt.build(n1.trainable_variables)

    def grads(n):
        with tf.GradientTape() as t:
            loss = loss_of(n)
        g = t.gradient(loss, n.trainable_variables)
        return loss, g

    def fb(n):
        loss, g = grads(n)
        return loss + tf.add_n([tf.reduce_sum(tf.convert_to_tensor(x)[:1]) for x in g])

    def full(n):
        loss, g = grads(n)
        opt.apply(g, n.trainable_variables)
        return loss

    h = tf.random.normal((2048, C.MODELS[a.model]["d"]))
    e = tf.Variable(tf.random.normal((C.VOCAB, C.MODELS[a.model]["d"])))

    def softmax_only():
        with tf.GradientTape() as t:
            t.watch(h)
            logits = tf.matmul(h, e, transpose_b=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(tout, [-1]), logits)
            )
        gh, ge = t.gradient(loss, [h, e])
        return loss + tf.reduce_sum(gh[:1]) + tf.reduce_sum(ge[:1])

    g = [tf.zeros_like(v) for v in n1.trainable_variables]

    def adam_only():
        opt.apply(g, n1.trainable_variables)
        return tf.constant(0.0)

    for name, fn in [
        ("full step", lambda: full(n1)),
        ("forward+backward", lambda: fb(n1)),
        ("forward+backward, dropout 0", lambda: fb(n0)),
        ("forward", lambda: loss_of(n1)),
        ("forward, dropout 0", lambda: loss_of(n0)),
        ("output softmax alone, fwd+bwd", softmax_only),
        ("Adam alone", adam_only),
    ]:
        f = tf.function(fn, jit_compile=bool(a.jit))
        f()
        f()
        steps[name] = f
    system = K.System(a.model, C.VOCAB, jit=str(a.jit))
    system.train_step(b)
    system.train_step(b)
    steps["train_on_batch (Keras loss, metrics)"] = lambda: system.train_step(b)
    wall, cpu = {k: [] for k in steps}, {k: [] for k in steps}
    for _ in range(a.rounds):
        for k, f in steps.items():
            t, c = time.perf_counter(), time.process_time()
            for _ in range(3):
                float(f())
            wall[k].append((time.perf_counter() - t) / 3)
            cpu[k].append((time.process_time() - c) / 3)
    for k in steps:
        C.emit(
            a.out,
            what="ablate",
            model=a.model,
            jit=a.jit,
            part=k,
            wall_ms=1e3 * min(wall[k]),
            cpu_ms=1e3 * min(cpu[k]),
        )


if __name__ == "__main__":
    main()
