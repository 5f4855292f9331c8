"""Pictures: learning curves (loss above, figures of the validation below, the learning rate in a strip), BLEU by
length, and what the tokens of an answer looked at.

The one place that imports matplotlib (extra `plot`); no Keras, no TensorFlow. Training is a thin line,
validation a line with points, the best one ringed. The colours are Okabe and Ito's, which all eyes tell apart.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from zoo.answers import Translation
from zoo.curves import Curves, best_of
from zoo.data.tokenizers import BLANK
from zoo.data.words import UNSPACED
from zoo.errors import UserError
from zoo.text import one_line

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))
"""Of the eighth run on, as colours begin again."""
WIDTH, LOSS, FIGURE, RATE = 8.0, 3.1, 2.1, 0.8
"""Inches: of the picture, and of the height of each panel."""
CELL, LONGEST = 0.26, 40.0
"""Inches: of a token in a picture of alignments, and of its longer side at most; there the letters become smaller."""
UPRIGHT = re.compile(rf".|[_{UNSPACED}]+", re.DOTALL)
"""Tokens that are not turned above their column: one sign, or Chinese and the like from top to bottom."""
DOTS = 150
GREY = "#666666"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": "#333333",
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": True,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "pdf.fonttype": 42,
    "svg.hashsalt": "zoo",
    "text.parse_math": False,  # a `$` in the name of a folder begins no formula
}


def draw(
    runs: Sequence[Curves], metrics: Sequence[str], out: Path, axis: str = "step", log: bool = False
) -> str:
    """Writes a picture of several runs; returns the letters in it that no font has.

    Args:
        runs: what they logged; their names are the legend.
        metrics: figures of the validation, each a panel of its own; `loss` has one already.
        out: a file that ends in one of FORMATS.
        axis: what they run along: step, tokens or minutes.
        log: whether the loss stands on a logarithmic axis.
    """
    runs = [replace(run, name=one_line(run.name)) for run in runs]
    panels = [metric for metric in metrics if metric != "loss"]
    rates = any(len({*run.curve("learning_rate")[1]}) > 2 for run in runs)
    heights = [LOSS, *[FIGURE] * len(panels), *[RATE] * rates]
    with _style("".join(run.name for run in runs)) as boxes:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, sum(heights) + 1.0), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        _losses(axes[0], runs, axis, log, mark="loss" in metrics)
        for place, metric in zip(axes[1:], panels, strict=False):
            _validation(place, runs, metric, axis)
        if rates:
            _rates(axes[-1], runs, axis)
        _along(axes[-1], axis)
        figure.align_ylabels(axes)
        _legend(figure, runs)
        _write(figure, out)
    return boxes


def draw_by_length(runs: Sequence[tuple[str, dict]], out: Path, split: str, unit: str = "words") -> str:
    """Writes a picture of BLEU by the length of the source, and below it how many texts are so long; returns the
    letters in it that no font has.

    Args:
        runs: name of each, and `by_length` of its figures (`score_by_length` of zoo/metrics.py).
        out: a file that ends in one of FORMATS.
        split: on which they were measured.
        unit: what lengths count.
    """
    names = [one_line(name) for name, _ in runs]
    lengths = list(dict.fromkeys(length for _, found in runs for length in found))
    lengths.sort(key=lambda length: int(re.match(r"\d+", length)[0]))
    with _style("".join(names)) as boxes:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        figure = Figure(figsize=(WIDTH, LOSS + RATE + 1.0), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[LOSS, RATE])
        for number, (_, found) in enumerate(runs):
            values = [found.get(length, {}).get("bleu_lc", math.nan) for length in lengths]
            _points(above, (list(range(len(lengths))), values), _look(number))
        above.set_ylabel(f"BLEU, lower-cased\n({split})")
        above.set_ylim(bottom=0)
        counts = [max(found.get(length, {}).get("rows", 0) for _, found in runs) for length in lengths]
        below.bar(range(len(lengths)), counts, color="#BBBBBB", width=0.6)
        below.set_ylabel("texts")
        below.locator_params(axis="y", nbins=3)
        below.set_xticks(range(len(lengths)), lengths)
        below.set_xlabel(f"{unit} of the source")
        figure.align_ylabels([above, below])
        lines = [
            Line2D([], [], **_look(number), linewidth=3, label=name) for number, name in enumerate(names)
        ]
        figure.legend(handles=lines, loc="outside upper left", ncols=1, fontsize=10)
        _write(figure, out)
    return boxes


def draw_alignments(answer: Translation, name: str, shown: str, out: Path) -> str:
    """Writes a picture of how much each token of an answer (downwards) looked at each token of the source (across);
    returns the letters in it that no font has.

    Args:
        answer: one with its alignment.
        name: of the model.
        shown: what the model calls its alignments.
        out: a file that ends in one of FORMATS.
    """
    sources, targets = (
        [_visible(token) for token in tokens] for tokens in (answer.source_tokens, answer.tokens)
    )
    upright = [UPRIGHT.fullmatch(token) for token in sources]
    # A bar that lies above Chinese signs would be the number 1.
    above = ["\n".join(x.lstrip("_") or x) if up else x for x, up in zip(sources, upright, strict=True)]
    title = f"{one_line(name)}: {shown}"
    cell = min(CELL, LONGEST / max(len(sources), len(targets)))
    width, height = cell * len(sources), cell * len(targets)
    with _style("".join([title, *sources, *targets])) as boxes:
        from matplotlib.figure import Figure

        # The cells fill the figure exactly; names, title and bar stand around it, and what is saved holds them.
        figure = Figure(figsize=(width, height))
        place = figure.add_axes((0, 0, 1, 1))
        picture = place.imshow(
            answer.alignment, cmap="Greys", vmin=0.0, aspect="auto", interpolation="nearest"
        )
        size = min(10.0, 0.6 * 72 * cell)
        place.xaxis.tick_top()
        place.set_xticks(range(len(sources)), above, fontsize=size, linespacing=1.0)
        place.set_yticks(range(len(targets)), targets, fontsize=size)
        for up, label in zip(upright, place.get_xticklabels(), strict=True):
            label.set_rotation(0 if up else 90)
        place.set_xticks([x - 0.5 for x in range(1, len(sources))], minor=True)
        place.set_yticks([y - 0.5 for y in range(1, len(targets))], minor=True)
        place.grid(False)
        place.grid(which="minor", linewidth=0.5)
        place.set_axisbelow(False)
        place.tick_params(which="both", length=0, labelcolor="#333333")
        place.spines[:].set_visible(True)
        place.set_title(title, loc="left", fontsize=11, pad=10)
        bar = figure.add_axes((1 + 0.2 / width, 0, 0.12 / width, 1))
        figure.colorbar(
            picture, cax=bar, ticks=[0.0, picture.get_clim()[1]], format="%.2g"
        ).outline.set_visible(False)
        _write(figure, out, bbox_inches="tight", pad_inches=0.15)
    return boxes


def _visible(token: str) -> str:
    """A token with a name for each sign that shows nothing; SentencePiece's blank is a bar too fat to stand often."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in token.replace(BLANK, "_")
    )


def _losses(place, runs: Sequence[Curves], axis: str, log: bool, mark: bool) -> None:
    for number, run in enumerate(runs):
        look = _look(number)
        place.plot(*_shown(run.curve("train_loss", axis), log), **look, linewidth=0.8, alpha=0.55)
        _points(place, _shown(run.curve("val_loss", axis), log), look)
    if log:
        place.set_yscale("log")
        _plain_ticks(place)
    place.set_ylabel("loss")
    if mark:
        _mark_best(place, runs, "loss", axis)


def _validation(place, runs: Sequence[Curves], metric: str, axis: str) -> None:
    for number, run in enumerate(runs):
        _points(place, _shown(run.curve(f"val_{metric}", axis)), _look(number))
    place.set_ylabel(f"validation\n{metric.replace('_', ' ')}")
    place.margins(y=0.15)
    _mark_best(place, runs, metric, axis)


def _rates(place, runs: Sequence[Curves], axis: str) -> None:
    from matplotlib.ticker import StrMethodFormatter

    curves = [_shown(run.curve("learning_rate", axis)) for run in runs]
    for number, curve in enumerate(curves):
        look = _look(number) if any(curve != other for other in curves) else {"color": GREY}
        place.plot(*curve, **look, linewidth=1.2)
    place.set_ylabel("learning\nrate")
    place.set_ylim(bottom=0)
    place.locator_params(axis="y", nbins=3)
    place.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _look(number: int) -> dict:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
    }


def _points(place, curve: tuple[list[float], list[float]], look: dict) -> None:
    size = 4.5 if len(curve[0]) <= 40 else 2.5
    place.plot(*curve, **look, linewidth=1.6, marker="o", markersize=size)


def _mark_best(place, runs: Sequence[Curves], metric: str, axis: str) -> None:
    """A ring around each run's best value; the value stands beside it, of several runs at the right edge."""
    found = [(best_of(run, metric, axis), _look(number)["color"]) for number, run in enumerate(runs)]
    found = sorted((best, colour) for best, colour in found if best is not None)
    for (x, y), colour in found:
        place.plot([x], [y], "o", markersize=11, markerfacecolor="none", markeredgewidth=1.4, color=colour)
    if len(found) == 1:
        ((spot, colour),) = found
        beside = {"xytext": (0, 9), "va": "bottom", "ha": "center"}
        place.annotate(f"{spot[1]:.4g}", spot, textcoords="offset points", color=colour, fontsize=9, **beside)
        return
    place.get_ylim()  # sets the limits, which stay as they are from here on
    to_height = lambda y: place.transAxes.inverted().transform(place.transData.transform((0, y)))[1]  # noqa: E731
    gap = 12 / 72 / (LOSS if metric == "loss" else FIGURE)
    for height, (best, colour) in _apart(
        [(to_height(best[1]), (best, colour)) for best, colour in found], gap
    ):
        place.text(
            1.01, height, f"{best[1]:.4g}", transform=place.transAxes, color=colour, fontsize=9, va="center"
        )


def _apart(labels: list[tuple[float, tuple]], gap: float) -> list[tuple[float, tuple]]:
    """Labels at their heights (0 to 1), moved so that none is nearer than `gap` to the next."""
    labels = sorted(labels, key=lambda label: label[0])
    heights: list[float] = []
    for height, _ in labels:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    limit = 1.0  # those at the top push the others down
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], limit)
        limit = heights[i] - gap
    return [(height, label) for height, (_, label) in zip(heights, labels, strict=True)]


def _shown(curve: tuple[list[float], list[float]], log: bool = False) -> tuple[list[float], list[float]]:
    """A curve with a gap where its value is no number, or, on a logarithmic axis, has no place."""
    x, y = curve
    return x, [value if math.isfinite(value) and (value > 0 or not log) else math.nan for value in y]


def _along(place, axis: str) -> None:
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    place.set_xlabel(axis)
    place.set_xlim(left=0)
    place.xaxis.set_major_formatter(
        EngFormatter(sep="") if axis == "tokens" else StrMethodFormatter("{x:,g}")
    )


def _plain_ticks(place) -> None:
    """3 and 0.5 instead of powers of ten."""
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    place.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    place.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    place.yaxis.set_minor_formatter("")


def _legend(figure, runs: Sequence[Curves]) -> None:
    """The runs by colour, then what thin lines and points are."""
    from matplotlib.lines import Line2D

    kinds = [
        Line2D([], [], color=GREY, linewidth=0.8, label="training"),
        Line2D([], [], color=GREY, linewidth=1.6, marker="o", markersize=4.5, label="validation"),
    ]
    names = [Line2D([], [], **_look(number), linewidth=3, label=run.name) for number, run in enumerate(runs)]
    if len(runs) == 1:
        for line in kinds:
            line.set_color(COLOURS[0])
        figure.suptitle(runs[0].name, x=0.015, ha="left", fontsize=12, fontweight="bold", color="#333333")
        figure.axes[0].legend(handles=kinds, loc="upper right")
        return
    columns = max(1, min(len(names), 90 // max(len(run.name) + 6 for run in runs)))
    figure.legend(handles=names, loc="outside upper left", ncols=columns, fontsize=10)
    figure.axes[0].legend(handles=kinds, loc="upper right")


def _write(figure, out: Path, **options) -> None:
    """The whole picture or none."""
    picture = io.BytesIO()
    figure.savefig(picture, format=out.suffix.lower().removeprefix("."), dpi=DOTS, **options)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(picture.getvalue())
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); name another file with --out"
        ) from error


@contextlib.contextmanager
def _style(texts: str) -> Iterator[str]:
    """The look of all pictures; gives the letters of the texts that no font has."""
    matplotlib = find_matplotlib()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that no font has is a box: whoever draws says so, once
        matplotlib.rcdefaults()
        families, boxes = _fonts(texts)
        matplotlib.rcParams.update({**STYLE, "font.family": families})
        yield boxes


def find_matplotlib():
    """The package; a UserError where it is not installed."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it talks of its font cache
    try:
        import matplotlib
    except ImportError as error:
        raise UserError("matplotlib is not installed: pip install 'sequence-zoo[plot]'") from error
    return matplotlib


def _fonts(text: str) -> tuple[list[str], str]:
    """DejaVu Sans, and of the installed fonts those that have the letters it lacks, such as Chinese ones; and the
    letters that none has."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    families, missing = ["DejaVu Sans"], {ord(letter) for letter in text if not letter.isspace()}
    missing -= _letters(font_manager.findfont("DejaVu Sans"))

    def look(fonts) -> None:
        usual = lambda font: (font.style != "normal", abs(int(font.weight) - 400), font.name)  # noqa: E731
        for font in sorted((font for font in fonts if "Last Resort" not in font.name), key=usual):
            if missing and font.name not in families and (found := missing & _letters(font.fname)):
                families.append(font.name)
                missing.difference_update(found)

    if missing:
        look(manager.ttflist)
    if missing:  # matplotlib keeps its list of fonts: what was installed since is not in it
        known = [font.fname for font in manager.ttflist]
        for path in {*font_manager.findSystemFonts()}.difference(known):
            with contextlib.suppress(OSError, RuntimeError):
                manager.addfont(path)
        look(manager.ttflist[len(known) :])
    return families, "".join(letter for letter in dict.fromkeys(text) if ord(letter) in missing)


def _letters(font: str) -> set[int]:
    from matplotlib import font_manager

    try:
        return set(font_manager.get_font(font).get_charmap())
    except (OSError, RuntimeError):
        return set()
