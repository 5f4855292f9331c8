"""`zoo plot --alignments`: the picture of what an answer looked at. With a model that answers: test_cli_run.py."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest

from zoo import visualize
from zoo.answers import Translation

SOURCE = ("▁Ein", "▁Mädchen", "▁一个", "男人", ".", "<0xE7>", "\t", "▁", "</s>")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn, which are not written."""
    figures = []
    monkeypatch.setattr(visualize, "_write", lambda figure, out, **options: figures.append(figure))
    return figures


def aligned(source=SOURCE, target=("▁A", "▁girl", "</s>")) -> Translation:
    weights = np.random.default_rng(0).dirichlet([0.3] * len(source), len(target))
    return Translation("A girl", -1.0, source, target, weights)


def tick_labels(figure) -> tuple[list, list]:
    """Those above and those at the left, in their order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that no font here has
        figure.draw_without_rendering()
    place = figure.axes[0]
    return place.get_xticklabels(), place.get_yticklabels()


def test_a_picture_of_alignments(drawn, tmp_path) -> None:
    answer = aligned()
    visualize.draw_alignments(answer, "de-$n$", "Bahdanau attention", tmp_path / "picture.png")
    (figure,) = drawn
    place, bar = figure.axes
    assert place.get_title(loc="left") == "de-$n$: Bahdanau attention"
    np.testing.assert_array_equal(place.images[0].get_array(), answer.alignment)
    limits = place.images[0].get_clim()
    assert limits == (0.0, answer.alignment.max()) and list(bar.get_yticks()) == list(limits)
    assert place.images[0].cmap(1.0)[:3] == (0.0, 0.0, 0.0), "what was looked at is dark"
    above, left = tick_labels(figure)
    shown = {label.get_text(): label.get_rotation() for label in above}
    upright = {name for name, turned in shown.items() if not turned}
    assert list(shown) == ["_Ein", "_Mädchen", "一\n个", "男\n人", ".", "<0xE7>", "\\t", "_", "</s>"]
    assert upright == {"一\n个", "男\n人", ".", "_"} and {*shown.values()} == {0.0, 90.0}
    assert [label.get_text() for label in left] == ["_A", "_girl", "</s>"]
    assert place.yaxis_inverted(), "the answer is read downwards"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (SOURCE, ("</s>",)),
        (("▁Donaudampfschifffahrt",) * 60, ("▁gegenüberliegenden",) * 60),
        (("gp",) * 400, ("▁gpj",) * 300),
        (("</s>",), ("</s>",)),
    ],
)
def test_names_of_tokens_do_not_overlap(drawn, tmp_path, source, target) -> None:
    visualize.draw_alignments(aligned(source, target), "run", "attention", tmp_path / "picture.png")
    figure = drawn[0]
    above, left = ([label.get_window_extent() for label in labels] for labels in tick_labels(figure))
    assert all(one.x1 < other.x0 for one, other in pairwise(above))
    assert all(one.y0 > other.y1 for one, other in pairwise(left))
    title = figure.axes[0]._left_title.get_window_extent()
    assert title.y0 > max(box.y1 for box in above)
    assert max(figure.get_size_inches()) <= visualize.LONGEST


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_picture_of_alignments_is_a_file(tmp_path, ending) -> None:
    out = tmp_path / f"picture.{ending}"
    boxes = visualize.draw_alignments(aligned(), "run", "attention", out)
    assert set(boxes) <= set("一个男人") and out.stat().st_size > 5000
    if ending == "png":  # the cells are the figure, but all that stands around them is in the file
        content = out.read_bytes()
        assert int.from_bytes(content[16:20], "big") > (len(SOURCE) * visualize.CELL + 1) * visualize.DOTS
