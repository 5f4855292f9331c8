"""python report.py <train.jsonl> [<decode.jsonl> ...]: tables of the best figures and ratios to plain Keras TF."""

import json
import sys

rows = [json.loads(line) for f in sys.argv[1:] for line in open(f)]


def table(title, cells, base, fmt="{:.0f}"):
    cols = list(dict.fromkeys(c for _, c in cells))
    names = list(dict.fromkeys(r for r, _ in cells))
    print(f"\n### {title}\n\n| system | " + " | ".join(cols) + " |\n|" + "---|" * (len(cols) + 1))
    for r in names:
        out = []
        for c in cols:
            v, b = cells.get((r, c)), cells.get((base, c))
            out.append("-" if v is None else fmt.format(v) + (f" ({v / b:.2f}x)" if b else ""))
        print(f"| {r} | " + " | ".join(out) + " |")


def gather(what, key, col, merge=max):
    cells = {}
    for r in rows:
        if r["what"] == what and key in r:
            k = (r["system"], col(r))
            cells[k] = merge(cells.get(k, r[key]), r[key])
    return cells


def per_cpu():
    """Tokens per CPU second of the process itself, best round: hardly depends on what else runs."""
    cells = {}
    for r in rows:
        if r["what"] == "train" and "rates" in r:
            k = (r["system"], r["model"])
            cells[k] = max([cells.get(k, 0)] + [x / c for x, c in zip(r["rates"], r["own_cores"]) if c])
    return cells


def least_disturbed():
    """Rate of the round in which other processes took least CPU, over all passes."""
    cells, at = {}, {}
    for r in rows:
        if r["what"] == "train" and "rates" in r:
            for rate, o in zip(r["rates"], r["others_cores"]):
                k = (r["system"], r["model"])
                if k not in at or o < at[k] - 0.05 or (o < at[k] + 0.05 and rate > cells[k]):
                    cells[k], at[k] = rate, o
    return cells, at


table(
    "Training, best round, non-pad target tokens/s (x plain Keras TF)",
    gather("train", "best", lambda r: r["model"]),
    "keras-tf",
)
table("Training, tokens per own CPU second, best round (x plain Keras TF)", per_cpu(), "keras-tf")
cells, at = least_disturbed()
table("Training, least disturbed round, tokens/s (x plain Keras TF)", cells, "keras-tf")
table("Cores taken by other processes in the least disturbed round", at, None, "{:.2f}")
table(
    "Training, GFLOP/s reached (matrix products only)", gather("train", "gflops", lambda r: r["model"]), None
)
table(
    "Seconds to compile and warm up (every batch shape twice)",
    gather("train", "warm_s", lambda r: r["model"], min),
    None,
    "{:.1f}",
)
table("Parameters", gather("train", "params", lambda r: r["model"]), None)
table("Peak RSS so far in the process, MB", gather("train", "rss_mb", lambda r: r["model"], min), None)
for model in ("T-tiny", "T-small", "RNN-attn"):
    keep = rows
    rows = [r for r in keep if r.get("model") == model]
    table(
        f"Decoding {model}, sentences/s (x naive Keras)",
        gather("decode", "best", lambda r: f"batch {r['batch']} beam {r['beam']}"),
        "keras-naive",
        "{:.1f}",
    )
    rows = keep
print(
    "\n### Single-process costs\n\n| system | model | import s | build s | first call s | total s | next call ms | RSS MB |"
)
print("|---|---|---|---|---|---|---|---|")
for r in rows:
    if r["what"] == "latency":
        print(
            f"| {r['system']} | {r['model']} | {r['import_s']:.2f} | {r['build_s']:.2f} | {r['first_call_s']:.2f} | "
            f"{r['total_s']:.2f} | {r['next_call_ms']:.1f} | {r['rss_mb']:.0f} |"
        )
for r in rows:
    if "error" in r:
        print("error:", r["system"], r["model"], r["error"][:200])
