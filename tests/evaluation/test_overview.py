from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from particle_zoo import Clusters, InputError, simulate
from particle_zoo.evaluation import overview as module
from particle_zoo.evaluation.overview import EXAMPLES, Overview
from particle_zoo.plots import overview as figures


def by_size(clusters: Clusters) -> np.ndarray:
    return np.where(clusters.sizes > 4, "long", "short")


@pytest.fixture(scope="module")
def electrons() -> Clusters:
    return simulate("timepix_300um", particle="electron", n=600, seed=2, angles="isotropic")


def gathered(parts: list[Clusters]) -> Overview:
    found = Overview(by_size)
    for part in parts:
        found.add(part)
    return found


def test_parts_add_up_to_the_whole(electrons: Clusters) -> None:
    whole, parts = gathered([electrons]), gathered([electrons[i : i + 70] for i in range(0, 600, 70)])
    np.testing.assert_allclose(parts.image, whole.image)
    assert parts.image.sum() == pytest.approx(electrons.column("energy").sum())
    assert (
        parts.counts
        == whole.counts
        == {"long": int((electrons.sizes > 4).sum()), "short": int((electrons.sizes <= 4).sum())}
    )
    np.testing.assert_array_equal(np.concatenate(parts.sizes), electrons.sizes)
    assert parts.largest("long").ids.tolist() == whole.largest("long").ids.tolist()


def test_the_largest_and_the_typical_are_what_they_are_called(electrons: Clusters) -> None:
    found = gathered([electrons])
    long = electrons[electrons.sizes > 4]
    assert found.largest("long").sizes.tolist() == np.sort(long.sizes)[::-1][:EXAMPLES].tolist()
    typical = found.typical("long")
    assert len(typical) == EXAMPLES
    assert np.all(np.abs(np.log(typical.sizes / np.median(long.sizes))) < 0.5)


def test_the_sample_of_a_stream_is_uniform(electrons: Clusters, monkeypatch: pytest.MonkeyPatch) -> None:
    """Early clusters are kept as often as late ones."""
    monkeypatch.setattr(module, "SAMPLE", 60)
    kept = np.zeros(600)
    for seed in range(200):
        found = Overview(lambda c: np.full(len(c), "all"), seed)
        for i in range(0, 600, 100):
            found.add(electrons[i : i + 100])
        kept[np.isin(electrons.ids, found._sample["all"][1].ids)] += 1
    per_part = kept.reshape(6, 100).sum(1)
    assert per_part.sum() == 200 * 60
    # Six binomials of 2000 expected each.
    assert np.all(np.abs(per_part - 2000) < 5 * np.sqrt(2000 * 5 / 6))


def test_figures_are_drawn_for_every_kind_of_cluster(electrons: Clusters, tmp_path: Path) -> None:
    masks = Clusters(
        np.column_stack([electrons.hits[:, :2], np.ones(len(electrons.hits))]), electrons.columns, electrons.offsets,
        electrons.table[["id"]], "mask",
    )  # fmt: skip
    one = Clusters.from_list([[(3, 4, 5.0)]])
    for i, clusters in enumerate((electrons, masks, one)):
        found = gathered([clusters])
        figures.summary(found, tmp_path / f"{i}s.png", title="t")
        figures.gallery(found, tmp_path / f"{i}g.png", title="t")
    assert len(list(tmp_path.glob("*.png"))) == 6


def test_units_are_not_mixed(electrons: Clusters) -> None:
    found = gathered([electrons])
    with pytest.raises(InputError, match="received keV and ToT"):
        found.add(Clusters.from_list([[(1, 1, 9)]], unit="ToT"))
