"""Allpix Squared text and energy deposits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from particle_zoo import InputError, read, simulate
from particle_zoo.detectors.clustering import cluster
from particle_zoo.detectors.readers import allpix, deposits
from particle_zoo.simulation import pdg
from tests.detectors.damage import broken, damages, fuzzed, read_or_one_sentence

ALLPIX = """# Allpix Squared ASCII data - https://cern.ch/allpix-squared

=== 1 ===
--- timepix ---
MCParticle information
Particle type (PDG ID):                           -211
Local start point:    1 mm, 2 mm, 3 mm
PixelHit 12, 34, 5000, 12.5, 100.5, 0.1, 0.2, 0.3
PixelHit 13, 34, 2500, 15.625, 103.6, 0.1, 0.2, 0.3
--- other ---
PixelHit 0, 255, 1000, 0, 0, 0, 0, 0
=== 2 ===
--- timepix ---
=== 7 ===
--- timepix ---
PixelHit 200, 1, 3000, 1.5625, 9, 0.1, 0.2, 0.3

# 5 objects from 4 messages
"""
DEPOSITS = """# PDG, T, E, X, Y, Z, volume, track, parent
Event: 1
211, 100.0, 0.060, 0.0, 0.0, 0.20, sensor, 1, 0
211, 100.0, 0.060, 0.0, 0.0, 0.10, sensor, 1, 0
11, 100.1, 0.020, 0.0, 0.0, 0.05, sensor, 2, 1
Event: 2

Event: 9
1000020040,50,5.5,2.0,-1.0,-0.2,sensor,1,0
22,50,1.0,0,0,9,box,3,0
"""


def saved(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_allpix_by_hand(tmp_path: Path) -> None:
    frames = read(saved(tmp_path / "data.txt", ALLPIX))
    assert frames.table[["frame", "detector", "particle"]].to_numpy().tolist() == [
        [1, "timepix", "pion"], [1, "other", "pion"], [7, "timepix", ""],
    ]  # fmt: skip
    assert frames.energy == pytest.approx([18.2, 9.1, 3.64, 10.92])
    assert (frames.row.tolist(), frames.col.tolist()) == ([34, 34, 255, 1], [12, 13, 0, 200])
    assert frames.toa.tolist() == [8, 10, 0, 1]
    assert cluster(frames).sizes.tolist() == [2, 1, 1]
    assert read(tmp_path / "data.txt", pair_ev=1000.0).energy[0] == 5000
    ticks = read(tmp_path / "data.txt", signal="tot", time_unit_ns=25)
    assert (ticks.unit, ticks.energy[0], ticks.toa[0]) == ("ToT", 5000, 200)
    assert len(list(allpix.iter_frames(tmp_path / "data.txt", block=150))) > 1


def test_allpix_of_older_versions(tmp_path: Path) -> None:
    import re

    text = re.sub(r"(PixelHit [^,]*, [^,]*, [^,]*, [^,\n]*)[^\n]*", r"\1", ALLPIX)
    np.testing.assert_array_equal(
        read(saved(tmp_path / "a.txt", text)).toa, read(saved(tmp_path / "b.txt", ALLPIX)).toa
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("# 5 objects from 4 messages\n", ""), "without its footer"),
        (("# 5 objects", "# 3 objects"), "its footer counts 3 objects"),
        (("2500, 15.625", "2500, x"), "line 9: expected PixelHit"),
        (("0.1, 0.2, 0.3\nPixelHit 13", "0.1, 0.2\nPixelHit 13"), "line 8: expected PixelHit"),
        (("PixelHit 12", "PixelHit 256"), "line 8: x is 256, outside detectors of 256 x 256"),
        (("=== 1 ===\n--- timepix ---\n", ""), "before the first event"),
    ],
)
def test_bad_allpix(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(saved(tmp_path / "bad.txt", ALLPIX.replace(*change)))
    if "footer" in message and "counts" not in message:
        assert len(read(tmp_path / "bad.txt", partial=True)) == 3


def test_deposits_make_clusters_where_they_are(tmp_path: Path) -> None:
    found = read(saved(tmp_path / "g4.csv", DEPOSITS), volume="sensor")
    assert found.labels.tolist() == ["pion", "alpha"]
    assert found.table["event"].tolist() == [1, 9]
    assert found.table["deposited_kev"].tolist() == pytest.approx([140, 5500])
    # 128 is the middle of the chip; 2 mm are 36.4 px.
    place = [(np.average(h[:, 0] + 0.5, weights=h[:, 2]), np.average(h[:, 1] + 0.5, weights=h[:, 2])) for h in found]
    assert place[0] == pytest.approx((128, 128), abs=0.6)
    assert place[1] == pytest.approx((128 - 18.2, 128 + 36.4), abs=0.5)
    energy = np.add.reduceat(found.column("energy"), found.offsets[:-1])
    # What the threshold cuts off and noise adds is little of the alpha, and a part of the pion at a corner of four pixels.
    assert energy[1] == pytest.approx(5500, rel=0.05)
    assert energy[0] == pytest.approx(140, rel=0.15)
    assert np.all(found.column("toa") >= 50)


def test_deposits_near_the_pixels_arrive_first(tmp_path: Path) -> None:
    """The pixels are at large z."""
    rows = "".join(f"11,0,0.05,{x},0.0275,{z},s,1,0\n" for x, z in ((-0.5225, 0.24), (-0.4675, 0.0), (-0.4125, -0.24)))
    found = read(saved(tmp_path / "g4.csv", "Event: 0\n" + rows))
    (hits,) = list(found)
    assert np.all(np.diff(hits[np.argsort(hits[:, 1]), 3]) > 0)


def test_deposits_of_our_own_simulation_come_back(tmp_path: Path) -> None:
    """Written by one simulated particle's energy along a straight line, read as what it is: a muon's track."""
    rng = np.random.default_rng(3)
    lines = []
    for event in range(150):
        lines.append(f"Event: {event}")
        start = rng.uniform(-3, 3, 2)
        for step in range(50):
            z = 0.245 - 0.01 * step
            lines.append(f"13,0,{rng.gamma(2.0, 0.0015):.6f},{start[0] + 0.01 * step:.5f},{start[1]:.5f},{z:.4f},s,1,0")
    found = read(saved(tmp_path / "g4.csv", "\n".join(lines) + "\n"))
    # Of a few the threshold cuts the track in two.
    assert found.table["event"].nunique() == 150
    assert len(found) < 165
    muons = simulate("timepix3_500um", particle="muon", n=150, seed=1, energy_mev=4000.0, angles="fixed:45")
    assert np.median(found.sizes) == pytest.approx(np.median(muons.sizes), abs=2)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (("0.060, 0.0", "x, 0.0"), {}, "line 3: expected PDG"),
        (("0.060, 0.0", "-0.060, 0.0"), {}, "line 3: expected PDG"),
        (("sensor, 1, 0\n", "sensor, 1\n"), {}, "line 3: expected PDG"),
        (("Event: 1\n", ""), {}, "expected a rectangular grid"),
        ((" ", " "), {"volume": "chip"}, "has no volume 'chip'; it has box, sensor"),
        ((" ", " "), {"origin": (900.0, 0.0, 0.0)}, "lie outside the sensor"),
        ((" ", " "), {"unit_length": "inch"}, "unit_length must be mm"),
    ],
)
def test_bad_deposits(tmp_path: Path, change: tuple[str, str], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(saved(tmp_path / "bad.csv", DEPOSITS.replace(*change, 1)), **options)


def test_blocks_of_deposits_end_between_events(tmp_path: Path) -> None:
    path = saved(tmp_path / "g4.csv", DEPOSITS)
    parts = list(deposits.iter_clusters(path, block=100))
    assert [int(e) for part in parts for e in part.table["event"]] == [1, 9]


@pytest.mark.parametrize("name", ["f.txt", "f.csv"])
@given(**damages)
@fuzzed
def test_fuzzed(tmp_path: Path, name: str, cut: int, flips: list[tuple[int, int]]) -> None:
    text = (ALLPIX if name == "f.txt" else DEPOSITS).encode()
    (tmp_path / name).write_bytes(broken(text, cut, flips))
    said = read_or_one_sentence(read, tmp_path / name)
    lost = (cut // 2) % len(text) if cut % 2 else 0
    if name == "f.txt" and not flips and lost > len("# 5 objects from 4 messages\n"):
        assert said


def test_names_of_particles() -> None:
    assert [pdg.name(code) for code in (2212, -11, 1000822080, 1000060120, 3122)] == [
        "proton", "positron", "pb", "ion:6:12", "pdg:3122",
    ]  # fmt: skip
