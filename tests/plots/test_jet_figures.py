from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from particle_zoo.evaluation.jets import scores
from particle_zoo.jets import AOD_27, FOUR_MOMENTUM, Jets
from particle_zoo.plots import jets as plots
from particle_zoo.simulation.jets import generate
from tests.evaluation.aod_jets import aod_jets


def smeared(jets: Jets, width: float = 0.01) -> Jets:
    """Jets with relative errors of their variables."""
    return Jets(jets.values * (1 + width * np.random.default_rng(0).normal(size=jets.values.shape)), jets.columns)


@pytest.fixture(scope="module")
def jets() -> Jets:
    return generate(400, seed=0).select(FOUR_MOMENTUM)


def texts(figure: Figure) -> str:
    """Everything that is written on a figure, but its ticks."""
    found = [figure.get_suptitle()]
    for axis in figure.axes:
        if axis.get_visible():
            found += [axis.get_xlabel(), axis.get_ylabel(), axis.get_title(), *(t.get_text() for t in axis.texts)]
    return "\n".join(found)


def visible(figure: Figure) -> int:
    return sum(axis.get_visible() for axis in figure.axes)


def test_distributions_have_a_ratio_and_lose_no_jet(jets: Jets, drawn: list[Figure], tmp_path: Path) -> None:
    # All of the output lies beyond the axes.
    plots.distributions(jets, Jets(jets.values + 1e6, jets.columns), tmp_path / "d.png", title="400 jets")
    (figure,) = drawn
    assert (tmp_path / "d.png").stat().st_size > 10_000
    assert visible(figure) == 8
    written = texts(figure)
    for text in (
        "400 jets; values beyond an axis are in its last bins",
        "pt (GeV)",
        "phi (rad)",
        "E (GeV)",
        "output / input",
    ):
        assert text in written
    for axis, scale in zip(figure.axes[:4], ("log", "linear", "linear", "log"), strict=True):
        before, after = (patch.get_data().values for patch in axis.patches)
        assert before.sum() == after.sum() == after[-1] == 400
        assert axis.get_xscale() == axis.get_yscale() == scale


def test_ratio_of_the_same_is_one(jets: Jets, drawn: list[Figure], tmp_path: Path) -> None:
    plots.distributions(jets, jets, tmp_path / "d.png", title="")
    for axis in drawn[0].axes[4:]:
        points = np.concatenate([line.get_ydata() for line in axis.lines[1:]])
        assert len(points)
        assert (points == 1).all()


def test_whole_numbers_have_bins_of_their_own(drawn: list[Figure], tmp_path: Path) -> None:
    values = np.repeat(np.arange(1.0, 9.0), 50)[:, None]
    count = Jets(values, ("N90Constituents",))
    plots.distributions(count, count, tmp_path / "d.png", title="")
    stairs = drawn[0].axes[0].patches[0].get_data()
    assert stairs.values.tolist() == [50] * 8
    assert stairs.edges.tolist() == [n + 0.5 for n in range(9)]


def test_histograms_of_residuals_tell_median_width_and_tails(jets: Jets, drawn: list[Figure], tmp_path: Path) -> None:
    residuals = scores.residuals(jets, smeared(jets))
    residuals.iloc[:4, 0] = 5.0
    rows = scores.summary(residuals)
    plots.residual_histograms(residuals, rows, tmp_path / "r.png", title="some jets")
    (figure,) = drawn
    assert (tmp_path / "r.png").stat().st_size > 10_000
    written = texts(figure)
    assert "some jets; residuals beyond the axis are in its last bins" in written
    for text in ("pt: (output - input) / input", "eta: difference", "phi: wrapped difference (rad)"):
        assert text in written
    axis = figure.axes[0]
    assert f"median {rows['median'].iloc[0]:.2g}, 68 % within ± {rows['half_width'].iloc[0]:.2g}, 1 % beyond" in written
    bars = [patch.get_height() for patch in axis.patches[: plots.BINS]]
    assert sum(bars) == 400
    assert bars[-1] >= 4
    (median,) = axis.lines
    assert median.get_xdata()[0] == rows["median"].iloc[0]
    band = axis.patches[-1]
    assert band.get_width() == pytest.approx(2 * rows["half_width"].iloc[0])


def test_residual_of_nothing_is_said(drawn: list[Figure], tmp_path: Path) -> None:
    residuals = pd.DataFrame({"m": [np.nan] * 3, "pt": [0.0] * 3})
    rows = scores.summary(residuals)
    plots.residual_histograms(residuals, rows, tmp_path / "r.png", title="")
    assert "not defined: every input is 0" in texts(drawn[0])
    plots.triangle(residuals, rows, scores.correlations(residuals, rows), tmp_path / "t.png", title="")
    assert (tmp_path / "t.png").exists()


def test_triangle_has_colours_points_and_a_histogram(jets: Jets, drawn: list[Figure], tmp_path: Path) -> None:
    from matplotlib import colormaps

    residuals = scores.residuals(jets, smeared(jets))
    rows = scores.summary(residuals)
    pairs = scores.correlations(residuals, rows)
    pairs.loc["E", "pt"] = 1.0
    plots.triangle(residuals, rows, pairs, tmp_path / "t.png", title="some jets")
    (figure,) = drawn
    assert (tmp_path / "t.png").stat().st_size > 20_000
    # Four on the diagonal, six pairs and the bar.
    assert visible(figure) == 11
    written = texts(figure)
    for text in (
        "68 % of the jets, points outside",
        "Pearson correlation of the clipped residuals",
        "E\n(output - input) / input",
    ):
        assert text in written
    last = figure.axes[12]
    assert last.get_facecolor() == colormaps["coolwarm"](1.0)
    inside = np.nansum(last.collections[0].get_array().filled(0))
    outside = len(last.lines[0].get_xdata())
    assert inside + outside == 400
    assert inside >= plots.ONE_SIGMA * 400


def test_one_sigma_is_the_smallest_region() -> None:
    assert plots.region_level(np.array([[50, 20], [10, 10], [5, 5]])) == 20
    assert plots.region_level(np.array([[69, 31], [0, 0]])) == 69
    assert plots.region_level(np.array([[67, 33], [0, 0]])) == 33


def test_many_variables_have_a_panel_each(drawn: list[Figure], tmp_path: Path) -> None:
    jets = aod_jets(60, seed=0).select(AOD_27[:10])
    found = smeared(jets)
    residuals = scores.residuals(jets, found).iloc[:, :5]
    plots.residual_histograms(residuals, scores.summary(residuals), tmp_path / "r.png", title="")
    plots.correlations(jets.to_frame().corr(), found.to_frame().corr(), tmp_path / "c.png", title="")
    assert len(drawn[0].axes) == 8
    assert visible(drawn[0]) == 5
    # Names, no numbers.
    assert [label.get_text() for label in drawn[1].axes[0].get_xticklabels()] == list(jets.columns)
    assert not any(axis.texts for axis in drawn[1].axes)


def test_correlations_before_after_and_their_change(drawn: list[Figure], tmp_path: Path) -> None:
    before = pd.DataFrame([[1.0, 0.5], [0.5, 1.0]], ["pt", "E"], ["pt", "E"])
    after = pd.DataFrame([[1.0, 0.25], [0.25, np.nan]], ["pt", "E"], ["pt", "E"])
    plots.correlations(before, after, tmp_path / "c.png", title="some jets")
    (figure,) = drawn
    assert (tmp_path / "c.png").stat().st_size > 10_000
    assert [axis.get_title() for axis in figure.axes[:3]] == ["input", "output", "output - input"]
    shown = figure.axes[2].images[0]
    assert shown.get_array()[0, 1] == -0.25
    assert shown.get_clim() == (-0.25, 0.25)
    written = texts(figure)
    for text in ("0.500", "0.250", "-2.5e-01", "change of the correlation", "some jets"):
        assert text in written
