from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError, simulate
from particle_zoo.detectors.holy import CLASSES, classify, low_ionising


def drawn(*pictures: str, energy: float = 20.0) -> Clusters:
    return Clusters.from_list(
        [
            [(r, c, energy) for r, line in enumerate(p.split("/")) for c, mark in enumerate(line) if mark == "#"]
            for p in pictures
        ]
    )


def disc(radius: float) -> list[tuple[int, int, float]]:
    side = int(radius) + 1
    return [(r, c, 100.0) for r in range(-side, side) for c in range(-side, side) if r * r + c * c <= radius**2]


def bar(length: int, width: int) -> list[tuple[int, int, float]]:
    return [(r, c, 100.0) for r in range(width) for c in range(length)]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("#", "dot"),
        ("#./.#", "dot"),
        # 2 and 3 pixels, 2 x 2 and beyond it.
        ("##/#.", "small blob"),
        ("##/##", "small blob"),
        ("###", "curly track"),
        ("####", "straight track"),
        ("#.../.#../..#./...#", "straight track"),
        ("####/...#/...#/####", "curly track"),
        # Pixels beside the line: 9 of 10 on it, and 8 of 9.
        ("#########/....#....", "straight track"),
        ("########/....#...", "curly track"),
    ],
)
def test_light_classes_and_their_boundaries(picture: str, expected: str) -> None:
    assert classify(drawn(picture)).tolist() == [expected]


def test_heavy_classes_and_their_boundaries() -> None:
    shapes = {
        "heavy blob": disc(4.5),
        "heavy track": bar(20, 5),
        # 4 inner pixels are enough (a full 4 x 4 has inner/outer 4/12 and is too round for a track), 3 are not.
        "curly track": bar(4, 4),
    }
    for name, hits in shapes.items():
        assert classify(Clusters.from_list([hits])).tolist() == [name]
    # The length decides between blob and track: inner/outer of both is over 0.5.
    ratios = {}
    for length in range(5, 16):
        found = classify(Clusters.from_list([bar(length, 5)]))[0]
        n = 5 * length
        ratios[np.hypot(length - 1, 4) / (2 * np.sqrt(n / np.pi))] = found
    assert all(found == ("heavy blob" if ratio < 1.2 else "heavy track") for ratio, found in ratios.items())
    assert {"heavy blob", "heavy track"} == set(ratios.values())


def test_inner_pixels_at_the_boundary() -> None:
    """A 3-wide bar has length - 2 inner pixels; with a looser share, the fourth makes it heavy."""
    found = [classify(Clusters.from_list([bar(n, 3)]), blob_share=0.2, track_share=0.2)[0] for n in (5, 6, 7)]
    assert found == ["curly track", "heavy blob", "heavy track"]


def test_weak_pixels_do_not_bend_a_straight_track() -> None:
    line = [(0, c, 30.0) for c in range(8)]
    weak = [*line, (1, 3, 4.9), (1, 5, 4.9)]
    strong = [*line, (1, 3, 5.0), (1, 5, 5.0)]
    assert classify(Clusters.from_list([weak, strong])).tolist() == ["straight track", "curly track"]
    # In ToT there is no such cut.
    assert classify(Clusters.from_list([weak], unit="ToT")).tolist() == ["curly track"]


def turned(clusters: Clusters, k: int) -> Clusters:
    hits = clusters.hits.copy()
    row, col = hits[:, 0].copy(), hits[:, 1].copy()
    if k & 4:
        row, col = col, row
    hits[:, 0] = 255 - row if k & 1 else row
    hits[:, 1] = 255 - col if k & 2 else col
    return Clusters(hits, clusters.columns, clusters.offsets, clusters.table, clusters.unit)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_every_cluster_has_one_class_however_it_lies(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    hits = []
    for _ in range(20):
        size = int(rng.integers(1, 40))
        walk = np.cumsum(rng.integers(-1, 2, (size, 2)), axis=0) + 100
        walk = np.unique(walk, axis=0)
        hits.append(np.column_stack([walk, rng.choice([3.0, 6.0, 50.0], len(walk))]))
    clusters = Clusters.from_list(hits)
    found = classify(clusters)
    assert len(found) == 20
    assert set(found) <= set(CLASSES)
    assert classify(turned(clusters, k)).tolist() == found.tolist()
    # The order of the pixels does not matter, nor does a pixel that is hit twice.
    shuffled = Clusters.from_list([rng.permutation(h) for h in hits])
    assert classify(shuffled).tolist() == found.tolist()


def test_simulated_particles_look_like_themselves() -> None:
    def shares(particle: str, **options: object) -> dict[str, float]:
        found = classify(simulate("timepix_300um", particle=particle, n=400, seed=7, **options))  # type: ignore[arg-type]
        return {name: float((found == name).mean()) for name in CLASSES}

    assert shares("alpha", energy_mev=5.5)["heavy blob"] > 0.8
    assert shares("muon", energy_mev=4000.0, angles="fixed:80")["straight track"] > 0.8
    assert shares("electron", energy_mev=1.0, angles="fixed:60")["curly track"] > 0.3
    photon = shares("photon", energy_mev=0.02)
    assert photon["dot"] + photon["small blob"] > 0.95


def test_what_has_no_shape() -> None:
    assert len(classify(Clusters.empty())) == 0
    with pytest.raises(InputError, match="give the file with pixels"):
        classify(Clusters.from_list([[(0, 0, 1)]], summed_pixels=[7]))


def test_line_of_low_ionisation() -> None:
    clusters = Clusters.from_list([[(0, 0, 516.0)], [(0, 0, 518.0)]])
    assert low_ionising(clusters).tolist() == [True, False]
    with pytest.raises(InputError, match="drawn in keV"):
        low_ionising(Clusters.from_list([[(0, 0, 1)]], unit="ToT"))
