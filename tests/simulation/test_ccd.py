from __future__ import annotations

import numpy as np
import pytest

from particle_zoo import InputError, simulate
from particle_zoo.simulation import ccd


@pytest.mark.parametrize(
    ("kind", "median", "tolerance"), [("xray", 22, 5), ("muon", 130, 0.3 * 130), ("electron", 158, 0.3 * 158)]
)
def test_sizes_are_those_of_the_labelled_clusters(kind: str, median: float, tolerance: float) -> None:
    """Medians and tolerances of the hand-labelled clusters of seed 003."""
    sizes = ccd.generate(400, seed=2, mix={kind: 1.0}).sizes
    assert abs(np.median(sizes) - median) <= tolerance


def test_muons_are_straighter_than_electrons_and_xrays_round() -> None:
    width = {k: ccd.generate(100, 4, mix={k: 1.0}).features() for k in ("xray", "muon", "electron")}
    ratio = {k: (f["std_across"] / f["std_along"]).median() for k, f in width.items()}
    assert ratio["muon"] < ratio["electron"] < ratio["xray"]
    assert width["xray"]["elongation"].median() < 1.4


def test_width_of_the_charge_cloud_reaches_published_full_depth() -> None:
    """21 um, 1.4 px, at full depth (arXiv:1607.07410)."""
    assert ccd.CCD.sigma_px(np.array([0.0])) == 0
    assert ccd.CCD.sigma_px(np.array([675.0])) == pytest.approx(1.4, abs=0.05)


def test_seeded_and_energy_conserving() -> None:
    a, b = ccd.generate(20, 7), ccd.generate(20, 7)
    np.testing.assert_array_equal(a.hits, b.hits)
    assert not np.array_equal(a.hits[:5], ccd.generate(20, 8).hits[:5])
    spots = simulate("ccd", particle="xray", n=50, seed=1)
    assert spots.unit == "keV"
    ratio = spots.features()["energy_sum"] / spots.table["true_energy_kev"]
    # What lies below threshold is lost; noise adds nothing on average.
    assert 0.85 < ratio.median() < 1.0


@pytest.mark.parametrize(
    "options", [{"particle": "quark"}, {"particle": "xray", "energy_mev": 1.0}, {"particle": "xray", "n": 0}]
)
def test_impossible_requests(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        simulate("ccd", **{"n": 1, "seed": 0, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["xray", "muon"])
def test_a_threshold_above_every_pixel_ends_in_a_sentence(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """900 keV in one pixel of 15 um: no electron or muon leaves that much, so no event gives a cluster."""
    monkeypatch.setattr(ccd, "BARREN", 100)
    with pytest.raises(
        InputError, match=f"primaries of {kind} left no cluster over 900 keV; raise the energy or lower"
    ):
        simulate(ccd.CCD.with_(threshold_kev=900), particle=kind, n=3, seed=0)
