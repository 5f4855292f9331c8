"""Measure one system.  Run inside that system's virtual environment.

    BENCH_DATA=<folder> python bench.py train  <system> --models T-tiny,CLS [--opt jit=1] [--out f.jsonl]
    BENCH_DATA=<folder> python bench.py decode <system> --models T-tiny --batch 1,64 --beam 1,4
    BENCH_DATA=<folder> python bench.py latency <system> --models CLS,T-tiny

<system> is a file of systems/; it defines build(model_name, vocab, **options) -> object with
params, train_step(batch) -> loss, decode(src_batch, steps, beam) -> ids (B, steps).
"""

import argparse
import importlib
import os
import sys
import time

T_START = time.perf_counter()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # a spinning team crawls when another process holds a core
import common as C
import numpy as np


class Gate:
    """Waits for a quiet machine before a round, for at most `seconds` in all."""

    def __init__(self, seconds):
        self.left = seconds

    def wait(self):
        while self.left > 0:
            with C.Timer() as t:
                time.sleep(0.4)
            if t.others < 0.06:
                return
            self.left -= t.wall


def train(args, system, options):
    gate = Gate(args.patience)
    data = C.load()
    for model in args.models.split(","):
        batches = C.batches_for(model, data)
        chosen = batches[: args.steps * args.rounds]
        try:
            m = system.build(model, C.VOCAB, **options)
            t0 = time.perf_counter()
            seen, first_loss = set(), None
            for _ in range(2):  # compile every shape, then once more
                shapes = set()
                for b in chosen:
                    if b.shape not in shapes:
                        shapes.add(b.shape)
                        loss = float(m.train_step(b))
                        first_loss = loss if first_loss is None else first_loss
            warm = time.perf_counter() - t0
            rates, own, others = [], [], []
            for r in range(args.rounds):
                part = chosen[r * args.steps : (r + 1) * args.steps]
                gate.wait()
                with C.Timer() as t:
                    for b in part:
                        loss = m.train_step(b)
                    loss = float(loss)
                rates.append(sum(b.tokens for b in part) / t.wall)
                own.append(t.own / t.wall)
                others.append(t.others / t.wall)
            fl = 3 * sum(C.flops_forward(model, *b.shape) for b in chosen) / sum(b.tokens for b in chosen)
            C.emit(
                args.out,
                what="train",
                system=args.label,
                model=model,
                params=m.params,
                best=max(rates),
                median=float(np.median(rates)),
                rates=[round(r) for r in rates],
                gflops=max(rates) * fl / 1e9,
                flop_per_token=fl,
                warm_s=warm,
                first_loss=first_loss,
                last_loss=loss,
                rss_mb=C.peak_rss_mb(),
                own_cores=[round(x, 2) for x in own],
                others_cores=[round(x, 2) for x in others],
            )
        except Exception as e:
            C.emit(
                args.out,
                what="train",
                system=args.label,
                model=model,
                error=f"{type(e).__name__}: {str(e)[:300]}",
            )
            if args.debug:
                raise


def rounds(args, system, options):
    """As `train`, a round for each line on standard input: so that a driver can let several systems take turns."""
    model = args.models
    batches = C.batches_for(model, C.load())
    m = system.build(model, C.VOCAB, **options)
    by_shape = {}
    for b in batches:
        by_shape.setdefault(b.shape, b)
    t0 = time.perf_counter()
    for _ in range(2):  # compile every shape, then once more
        for b in by_shape.values():
            loss = float(m.train_step(b))
    C.emit(None, what="ready", params=m.params, shapes=len(by_shape), warm_s=time.perf_counter() - t0)
    at = 0
    for _ in sys.stdin:
        part = batches[at : at + args.steps]
        at = (at + args.steps) % (len(batches) - args.steps)
        with C.Timer() as t:
            for b in part:
                loss = m.train_step(b)
            loss = float(loss)
        flop = 3 * sum(C.flops_forward(model, *b.shape) for b in part)
        tokens = sum(b.tokens for b in part)
        C.emit(None, tokens=tokens, seconds=t.wall, flop=flop, loss=loss, rss_mb=C.peak_rss_mb())


def decode_rounds(args, system, options):
    """As `decode`, a round for each line "batch beam" on standard input, of which the first of its kind warms up."""
    data, warm = C.load(), {}
    m = system.build(args.models, C.VOCAB, **options)
    C.emit(None, what="ready", params=m.params)
    for line in sys.stdin:
        batch, beam = map(int, line.split())
        srcs = C.test_sources(data, batch, args.count if batch > 1 else args.count1)
        if (batch, beam) not in warm:
            t0, warm[batch, beam], out = time.perf_counter(), True, {}
            try:
                for s in srcs:
                    m.decode(s, args.steps, beam)
                out["warm_s"] = time.perf_counter() - t0
            except Exception as e:
                out["error"] = f"{type(e).__name__}: {str(e)[:300]}"
            C.emit(None, **out)
            continue
        with C.Timer() as t:
            for s in srcs:
                ids = m.decode(s, args.steps, beam)
        C.emit(None, sentences=sum(map(len, srcs)), seconds=t.wall, shape=list(np.shape(ids)))


def decode(args, system, options):
    gate = Gate(args.patience)
    data = C.load()
    for model in args.models.split(","):
        m = system.build(model, C.VOCAB, **options)
        for batch in map(int, args.batch.split(",")):
            for beam in map(int, args.beam.split(",")):
                srcs = C.test_sources(data, batch, args.count if batch > 1 else args.count1)
                try:
                    t0 = time.perf_counter()
                    for _ in range(2):
                        shapes = set()
                        for s in srcs:
                            if s.shape not in shapes:
                                shapes.add(s.shape)
                                ids = m.decode(s, args.steps, beam)
                    warm = time.perf_counter() - t0
                    ids = np.asarray(ids)
                    rates, own, others = [], [], []
                    n = sum(len(s) for s in srcs)
                    for _ in range(args.rounds):
                        gate.wait()
                        with C.Timer() as t:
                            for s in srcs:
                                ids = m.decode(s, args.steps, beam)
                        rates.append(n / t.wall)
                        own.append(round(t.own / t.wall, 2))
                        others.append(round(t.others / t.wall, 2))
                        if t.wall > args.max_s:
                            break
                    C.emit(
                        args.out,
                        what="decode",
                        system=args.label,
                        model=model,
                        batch=batch,
                        beam=beam,
                        steps=args.steps,
                        out_shape=list(np.shape(ids)),
                        sents=n,
                        best=max(rates),
                        median=float(np.median(rates)),
                        tokens=max(rates) * args.steps,
                        warm_s=warm,
                        rss_mb=C.peak_rss_mb(),
                        own_cores=own,
                        others_cores=others,
                        rates=[round(r, 1) for r in rates],
                    )
                except Exception as e:
                    C.emit(
                        args.out,
                        what="decode",
                        system=args.label,
                        model=model,
                        batch=batch,
                        beam=beam,
                        error=f"{type(e).__name__}: {str(e)[:300]}",
                    )
                    if args.debug:
                        raise


def latency(args, system, options, t_import):
    data = C.load()
    for model in args.models.split(","):
        t0 = time.perf_counter()
        m = system.build(model, C.VOCAB, **options)
        t1 = time.perf_counter()
        b = C.batches_for(model, data)[0]
        if hasattr(m, "predict") and model == "CLS":
            call = lambda: m.predict(b.src[:1])
        else:
            s = C.test_sources(data, 1, 1)[0]
            call = lambda: m.decode(s, 20, 1)
        call()
        t2 = time.perf_counter()
        times = []
        for _ in range(20):
            a = time.perf_counter()
            call()
            times.append(time.perf_counter() - a)
        C.emit(
            args.out,
            what="latency",
            system=args.label,
            model=model,
            import_s=t_import,
            build_s=t1 - t0,
            first_call_s=t2 - t1,
            total_s=t_import + t2 - t0,
            next_call_ms=1e3 * float(np.median(times)),
            rss_mb=C.peak_rss_mb(),
        )


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["train", "rounds", "decode", "decode_rounds", "latency"])
    p.add_argument("system")
    p.add_argument("--label")
    p.add_argument("--models", default="T-tiny")
    p.add_argument("--opt", action="append", default=[], help="name=value, handed to build()")
    p.add_argument("--steps", type=int)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--batch", default="64")
    p.add_argument("--beam", default="1")
    p.add_argument("--count", type=int, default=256, help="sentences for batches > 1")
    p.add_argument("--count1", type=int, default=32, help="sentences for batch 1")
    p.add_argument("--max_s", type=float, default=20, help="no further round after one this long")
    p.add_argument("--patience", type=float, default=40, help="seconds to wait for a quiet machine, in all")
    p.add_argument("--out")
    p.add_argument("--debug", action="store_true")
    args = p.parse_args()
    args.steps = args.steps or {"train": 5, "rounds": 5, "decode": 20, "decode_rounds": 20}.get(args.what)
    args.label = args.label or args.system + "".join(" " + o for o in args.opt)
    options = dict(o.split("=", 1) for o in args.opt)
    system = importlib.import_module(f"systems.{args.system}")
    t_import = time.perf_counter() - T_START
    if args.what == "latency":
        latency(args, system, options, t_import)
    else:
        {"train": train, "rounds": rounds, "decode": decode, "decode_rounds": decode_rounds}[args.what](
            args, system, options
        )


if __name__ == "__main__":
    main()
