from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_array_equal

from particle_zoo import InputError
from particle_zoo.detectors.camera import RedPixels, open_frames, read_redpix
from tests.detectors.camera.camera_files import asymmetric, write_root
from tests.detectors.damage import broken, damages

fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Two events; the first has clusters 0 and 2 stored and 1 dropped, the second one dropped and one stored.
IX = [[1, 1, 2, 5, 6], [0, 3]]
IY = [[2, 3, 3, 9, 9], [11, 0]]
IZ = [[1.5, -2.0, 30.1, 4.0, 5.0], [7.0, -0.1]]
STARTS = [[0.0, -1.0, 3.0], [-1.0, 0.0]]


def write_events(path: Path, **changes: Any) -> Path:
    import awkward as ak
    import uproot

    lists: dict[str, Any] = {
        "redpix_ix": ak.Array(IX),
        "redpix_iy": ak.Array(IY),
        "redpix_iz": ak.values_astype(ak.Array(IZ), np.float32),
        "sc_redpixIdx": ak.values_astype(ak.Array(STARTS), np.float32),
        "sc_integral": ak.Array([[29.6, 700.0, 9.0], [20.0, 6.9]]),
    }
    numbers = {"run": [12, 12], "event": [3, 8], "nSc": [3, 2], "nRedpix": [5, 2]}
    content = {name: np.array(value, np.int32) for name, value in numbers.items()} | lists | changes
    with uproot.recreate(path) as file:
        file["Events"] = {name: value for name, value in content.items() if value is not None}
    return path


def test_golden_clusters(tmp_path: Path) -> None:
    found = read_redpix(write_events(tmp_path / "reco.root"))
    assert found.row.tolist() == [1, 1, 2, 5, 6, 0, 3]
    assert found.col.tolist() == [2, 3, 3, 9, 9, 11, 0]
    assert found.value.tolist() == pytest.approx([1.5, -2, 30.1, 4, 5, 7, -0.1])
    assert found.cluster.tolist() == [0, 0, 0, 2, 2, 1, 1]
    assert found.offsets.tolist() == [0, 5, 7]
    assert found.table[["frame", "run", "event"]].to_numpy().tolist() == [[3, 12, 3], [8, 12, 8]]
    assert found.clusters["position"].tolist() == [0, 0, 0, 1, 1]
    assert found.clusters["cluster"].tolist() == [0, 1, 2, 0, 1]
    assert found.clusters["n_pixels"].tolist() == [3, 0, 2, 0, 2]
    assert found.clusters["stored"].tolist() == [True, False, True, False, True]
    assert found.clusters["integral"].tolist() == [29.6, 700, 9, 20, 6.9]


def test_without_integrals_they_are_the_sums(tmp_path: Path) -> None:
    found = read_redpix(write_events(tmp_path / "reco.root", sc_integral=None)).clusters["integral"].to_numpy()
    np.testing.assert_allclose(found, [29.6, np.nan, 9, np.nan, 6.9], rtol=1e-6)


def test_images(tmp_path: Path) -> None:
    found = read_redpix(write_events(tmp_path / "reco.root"))
    mask, intensity = found.rasterise((2, 7, 12))
    assert (mask.shape, mask.dtype, intensity.dtype) == ((2, 7, 12), bool, np.float32)
    assert np.argwhere(mask[0]).tolist() == [[1, 2], [1, 3], [2, 3], [5, 9], [6, 9]]
    assert np.argwhere(mask[1]).tolist() == [[0, 11], [3, 0]]
    assert intensity[0, 1, 3] == -2
    assert intensity.sum() == pytest.approx(sum(map(sum, IZ)), rel=1e-5)
    with pytest.raises(InputError, match=r"frame 8: pixel \(row 0, col 11\) lies outside 12 x 7 px; .*swapped"):
        found[1].rasterise((12, 7))


def test_x_first_branches_are_swapped(tmp_path: Path) -> None:
    path = write_events(tmp_path / "reco.root")
    one, two = read_redpix(path), read_redpix(path, swap=True)
    assert_array_equal(one.row, two.col)
    assert_array_equal(one.col, two.row)


def test_selecting_events(tmp_path: Path) -> None:
    path = write_events(tmp_path / "reco.root")
    found = read_redpix(path)
    for second in (found[1], found[[False, True]], found[1:], read_redpix(path, start=1)):
        assert second.value.tolist() == pytest.approx([7, -0.1])
        assert second.table["event"].tolist() == [8]
        assert second.clusters["position"].tolist() == [0, 0]
    swapped = found[[1, 0]]
    assert swapped.clusters["position"].tolist() == [0, 0, 1, 1, 1]
    assert swapped.pixel_frame.tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert len(read_redpix(path, stop=1)) == 1
    assert repr(found) == "RedPixels(2 frames, 7 pixels, 3 of 5 clusters stored)"


def test_events_without_clusters(tmp_path: Path) -> None:
    import awkward as ak

    none = ak.Array([[], [1.0]])[:, :0]
    found = read_redpix(
        write_events(
            tmp_path / "reco.root",
            sc_redpixIdx=none,
            sc_integral=none,
            redpix_ix=ak.values_astype(none, np.int32),
            redpix_iy=ak.values_astype(none, np.int32),
            redpix_iz=none,
            nSc=np.zeros(2, np.int32),
            nRedpix=np.zeros(2, np.int32),
        )
    )
    assert (len(found), len(found.clusters)) == (2, 0)
    assert not found.rasterise((4, 5))[0].any()


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([[0.0, -1.0, 3.5], [-1.0, 0.0]], "frame 3: cluster 2 starts at pixel 3.5 of 5"),
        ([[0.0, -1.0, 6.0], [-1.0, 0.0]], "frame 3: cluster 2 starts at pixel 6 of 5"),
        ([[3.0, -1.0, 0.0], [-1.0, 0.0]], "frame 3: cluster 2 starts at pixel 0 of 5"),
        ([[0.0, -2.0, 3.0], [-1.0, 0.0]], "frame 3: cluster 1 starts at pixel -2 of 5"),
        ([[0.0, -1.0, 3.0], [-1.0, np.nan]], "frame 8: cluster 1 starts at pixel nan of 2"),
        ([[0.0, 3.0], [-1.0, 0.0]], "frame 3: nSc and sc_redpixIdx disagree, 3 and 2"),
    ],
)
def test_starts_that_cannot_be(tmp_path: Path, starts: list[list[float]], message: str) -> None:
    import awkward as ak

    path = write_events(tmp_path / "reco.root", sc_redpixIdx=ak.Array(starts), sc_integral=None)
    with pytest.raises(InputError, match=message) as error:
        read_redpix(path)
    assert "reco.root" in str(error.value)


def test_lists_that_disagree(tmp_path: Path) -> None:
    import awkward as ak

    with pytest.raises(InputError, match="frame 8: redpix_ix and redpix_iy disagree, 2 and 1"):
        read_redpix(write_events(tmp_path / "a.root", redpix_iy=ak.Array([[2, 3, 3, 9, 9], [11]])))
    with pytest.raises(InputError, match="frame 3: nRedpix and redpix_ix disagree, 4 and 5"):
        read_redpix(write_events(tmp_path / "b.root", nRedpix=np.array([4, 2], np.int32)))
    with pytest.raises(InputError, match="Events has no redpix_iz; was it written without pixels"):
        read_redpix(write_events(tmp_path / "c.root", redpix_iz=None))
    with pytest.raises(InputError, match=r"d\.root: pixel 6 has the row -3"):
        read_redpix(write_events(tmp_path / "d.root", redpix_ix=ak.Array([[1, 1, 2, 5, 6], [0, -3]])))
    with pytest.raises(InputError, match="has no tree Events or event_info; there is pic_run12_ev2"):
        read_redpix(write_root(tmp_path / "e.root", asymmetric()))
    with pytest.raises(InputError, match="is no file"):
        read_redpix(tmp_path / "f.root")


def test_truth_of_the_digitization_lands_on_the_pixels_of_its_histograms(tmp_path: Path) -> None:
    """There redpix_ix is x: the TH2 of an event is lit at [ix, iy]."""
    import awkward as ak
    import uproot

    images = np.zeros((3, 5, 7), np.uint16)
    images[0, 1, 6], images[0, 4, 2], images[2, 0, 3] = 40, 7, 65535
    path = write_root(tmp_path / "histograms_Run00001.root", images, np.float32, "pic_run1_ev{}")
    lit = [np.argwhere(image.T) for image in images]
    counts = [[int(image.T[tuple(p)]) for p in own] for image, own in zip(images, lit, strict=True)]
    with uproot.update(path) as file:
        file["event_info"] = {
            "eventnumber": np.arange(3, dtype=np.int32),
            "energy": np.array([5.9, 0, 1], np.float32),
            "redpix_ix": ak.values_astype(ak.Array([own[:, 0].tolist() for own in lit]), np.uint16),
            "redpix_iy": ak.values_astype(ak.Array([own[:, 1].tolist() for own in lit]), np.uint16),
            "redpix_iz": ak.values_astype(ak.Array(counts), np.uint16),
        }
    frames, truth = open_frames(path), read_redpix(path)
    mask, intensity = truth.rasterise(frames.shape)
    assert_array_equal(intensity, images)
    assert_array_equal(mask, images > 0)
    assert truth.clusters["n_pixels"].tolist() == [2, 1]
    assert truth.table["energy"].tolist() == pytest.approx([5.9, 0, 1])


@given(**damages)
@fuzzed
def test_damaged_trees_are_one_sentence(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    source = tmp_path / "whole.root"
    content = source.read_bytes() if source.exists() else write_events(source).read_bytes()
    path = tmp_path / "reco.root"
    path.write_bytes(broken(content, cut, flips))
    message = ""
    try:
        assert isinstance(read_redpix(path), RedPixels)
    except InputError as error:
        message = str(error)
    assert not message or "reco.root" in message
    assert "\n" not in message


def test_parts_that_contradict_each_other() -> None:
    table, clusters = pd.DataFrame({"frame": [0]}), pd.DataFrame({"position": [], "stored": []})
    with pytest.raises(InputError, match=r"col \(2,\)"):
        RedPixels([0], [0, 1], [1], [0], [0, 1], table, clusters)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rise from 0 to the 1 pixels"):
        RedPixels([0], [0], [1], [0], [0, 2], table, clusters)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one row a frame"):
        RedPixels([0], [0], [1], [0], [0, 1], table.iloc[:0], clusters)  # type: ignore[arg-type]
