from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Clusters, Frames, Hits, InputError
from particle_zoo.detectors.calibration import Surrogate
from particle_zoo.detectors.pixel_calibration import Calibration, calibrate, read_calibration

# The typical Timepix of the mPIXdaq guide: a, b, c, t.
TYPICAL = (1.6, 23.0, 23.0, 4.3)
GOLDEN_TOT = [(17.5, 49.2576), (59.5409, 117.8491)]
GOLDEN_KEV = [(1, 5.06406), (10, 5.36556), (50, 17.92968), (500, 298.17392)]


def uniform(shape: tuple[int, int] = (4, 5), **dead: float) -> Calibration:
    return Calibration(*(np.full(shape, value) for value in TYPICAL))


def test_golden_values() -> None:
    chip = uniform()
    for energy, tot in GOLDEN_TOT:
        assert chip.tot(energy, 0, 0) == pytest.approx(tot, abs=1e-4)
    for tot, energy in GOLDEN_KEV:
        assert chip.energy(tot, 3, 4) == pytest.approx(energy, abs=1e-4)
        assert chip.energy(tot, 3, 4) == pytest.approx(Surrogate().energy(tot), rel=1e-12)


@given(st.floats(0.5, 5), st.floats(-20, 100), st.floats(0.1, 200), st.floats(0.1, 4.9))
def test_there_and_back(a: float, b: float, c: float, t: float) -> None:
    chip = Calibration(*(np.full((1, 1), value) for value in (a, b, c, t)))
    energy = np.geomspace(5, 2000, 200)
    tot = chip.tot(energy, 0, 0)
    # Where the line is below 0 the counter shows 0, for several energies.
    seen = tot > 0
    np.testing.assert_allclose(chip.energy(tot[seen], 0, 0), energy[seen], atol=1e-6, rtol=0)


def test_pixels_have_their_own_and_dead_ones_are_flagged() -> None:
    a, b, c, t = (np.full((3, 3), value) for value in TYPICAL)
    a[0, 1], a[1, 1], b[2, 2], c[2, 0], t[0, 0] = 0, 3.2, np.nan, -1, np.inf
    chip = Calibration(a, b, c, t)
    assert np.argwhere(chip.dead).tolist() == [[0, 0], [0, 1], [2, 0], [2, 2]]
    assert np.isnan(chip.energy([10, 10], [0, 2], [1, 2])).all()
    assert np.isnan(chip.tot(50.0, 2, 0))
    assert chip.energy(500, 1, 1) == pytest.approx(0.5 * chip.energy(500, 1, 0), rel=0.05)
    with pytest.raises(InputError, match=r"has 3 x 3 pixels; received row 3, col 0"):
        chip.energy(1, 3, 0)


def test_every_record_becomes_kev_without_its_dead_pixels() -> None:
    a, b, c, t = (np.full((3, 3), value) for value in TYPICAL)
    a[0, 1] = 0
    chip = Calibration(a, b, c, t)
    row, col, tot = np.array([0, 0, 2]), np.array([0, 1, 2]), np.array([50, 50, 500])
    expected = [17.92968, 298.17392]
    hits = calibrate(Hits(row, col, tot, np.arange(3), counts={"tdc": 2}), chip)
    assert (hits.unit, dict(hits.counts)) == ("keV", {"tdc": 2, "dead": 1})
    assert hits.energy == pytest.approx(expected, abs=1e-4)
    frames = calibrate(Frames(row, col, tot, [0, 2, 3], (3, 3)), chip)
    assert frames.energy == pytest.approx(expected, abs=1e-4)
    assert frames.table is not None
    assert (frames.offsets.tolist(), frames.table["dead_pixels"].tolist()) == ([0, 1, 2], [1, 0])
    clusters = Clusters.from_list([[(0, 1, 50)], [(0, 0, 50), (0, 1, 9)], [(2, 2, 500)]], unit="ToT")
    found = calibrate(clusters, chip)
    assert found.column("energy") == pytest.approx(expected, abs=1e-4)
    assert (found.ids.tolist(), found.sizes.tolist(), found.unit) == (["1", "2"], [1, 1], "keV")
    assert calibrate(clusters, Surrogate()).sizes.tolist() == [1, 2, 1]
    with pytest.raises(InputError, match="turns ToT into keV"):
        calibrate(found, chip)
    with pytest.raises(InputError, match="stand for several pixels"):
        calibrate(clusters.with_table(summed_pixels=[1, 2, 1]), chip)
    stale = calibrate(clusters.with_table(size=clusters.sizes, energy_sum=1.0), chip)
    assert not {"size", "energy_sum"} & set(stale.table)


def test_chips_have_a_calibration_each() -> None:
    hits = Hits([0, 0], [0, 0], [500, 500], np.arange(2), np.array([0, 3]))
    double = Calibration(np.full((1, 1), 3.2), *(np.full((1, 1), v) for v in TYPICAL[1:]))
    found = calibrate(hits, {0: uniform((1, 1)), 3: double})
    assert found.energy == pytest.approx([298.17392, float(double.energy(500, 0, 0))], abs=1e-4)
    with pytest.raises(InputError, match="no calibration of chip 3; received those of 0"):
        calibrate(hits, {0: double})


def test_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chip = Calibration(*(rng.normal(value, 0.1, (256, 256)) for value in TYPICAL))
    chip.write(tmp_path / "chip0")
    back = read_calibration(tmp_path / "chip0")
    assert isinstance(back, Calibration)
    for name in "abct":
        np.testing.assert_array_equal(getattr(back, name), getattr(chip, name))
    chip.write(tmp_path / "chip12")
    assert sorted(read_calibration(tmp_path)) == [0, 12]  # type: ignore[arg-type]
    (tmp_path / "chip0" / "a.txt").rename(tmp_path / "chip0" / "D05-W0063_calibA.txt")
    assert not Calibration.read(tmp_path / "chip0").dead.any()
    assert isinstance(read_calibration("typical"), Surrogate)
    text = (tmp_path / "chip0" / "b.txt").read_text().splitlines()
    for damaged, message in (
        ([*text[:100], text[100].replace(".", "x", 1), *text[101:]], r"b\.txt, line 101: b'.*x.*' is no number"),
        ([*text[:100], text[100][:200]], r"b\.txt, line 101: \d+ numbers, the lines before have 256"),
        (text[:100], r"b\.txt has 100 x 256 pixels, expected 256 x 256"),
        ([], r"b\.txt, line 1: no numbers"),
    ):
        (tmp_path / "chip0" / "b.txt").write_text("\n".join(damaged))
        with pytest.raises(InputError, match=message):
            Calibration.read(tmp_path / "chip0")
    (tmp_path / "chip0" / "b.txt").unlink()
    with pytest.raises(InputError, match=r"needs one file b\.txt of the calibration; received none"):
        Calibration.read(tmp_path / "chip0")
    with pytest.raises(InputError, match="no folder"):
        Calibration.read(tmp_path / "nowhere")
