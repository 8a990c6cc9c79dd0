from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given

from particle_zoo import InputError, read
from tests.detectors.damage import broken, damages, fuzzed, read_or_one_sentence

ENTRIES = [
    {
        "pos_x": 10, "pos_y": 20,
        "cluster_class": {"name": "straight", "cluster_class": 5},
        "pixels": [{"x": 0, "y": 0, "value": 12.5}, {"x": 1, "y": 3, "value": 7}],
    },
    {"pos_x": 255, "pos_y": 0, "cluster_class": {"name": "dot", "cluster_class": 1}, "pixels": [{"x": 0, "y": 0, "value": 4.0}]},
]  # fmt: skip


def saved(path: Path, entries: object = ENTRIES) -> Path:
    path.write_text(json.dumps(entries))
    return path


@pytest.mark.parametrize("name", ["3_fullres.clusters.txt", "x.json"])
def test_golden_clusters(tmp_path: Path, name: str) -> None:
    (tmp_path / "3_fullres.metadata.txt").write_text(
        "Unix time: 1513242000\nThreshold: 331\nBias: 70 V\nLatitude: 12.5\n"
    )
    found = read(saved(tmp_path / name))
    assert [h.tolist() for h in found] == [[[20, 10, 12.5], [23, 11, 7]], [[0, 255, 4]]]
    assert (found.unit, found.labels.tolist()) == ("keV", ["straight", "dot"])
    assert found.table["vzlusat_class"].tolist() == [5, 1]
    if name.endswith(".clusters.txt"):
        assert found.table[["start_s", "threshold", "bias_v"]].iloc[0].tolist() == [1513242000, 331, 70]
        # Metadata beside it are no file of their own.
        assert len(read(tmp_path)) == 2


def test_a_frame_without_clusters(tmp_path: Path) -> None:
    assert len(read(saved(tmp_path / "a.clusters.txt", []))) == 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"pixels": []}, "cluster 0: expected position, class and pixels"),
        ({"pixels": [{"x": 300, "y": 0, "value": 1}]}, "outside 256 x 256"),
        ({"pixels": [{"x": 0, "value": 1}]}, "expected position, class and pixels"),
        ({"cluster_class": None}, "expected position, class and pixels"),
    ],
)
def test_bad_entries(tmp_path: Path, entry: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(saved(tmp_path / "a.clusters.txt", [ENTRIES[0] | entry]))


@given(**damages)
@fuzzed
def test_fuzzed(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    content = json.dumps(ENTRIES).encode()
    (tmp_path / "f.clusters.txt").write_bytes(broken(content, cut, flips))
    said = read_or_one_sentence(read, tmp_path / "f.clusters.txt")
    assert said or flips or not cut % 2 or (cut // 2) % len(content) == 0
