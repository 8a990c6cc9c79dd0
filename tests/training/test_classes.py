from __future__ import annotations

from pathlib import Path

import pytest

from particle_zoo import InputError
from particle_zoo.training.session import parse_classes
from tests.conftest import write_pixel_files

ORBIT = "timepix1_clusters/satram_simulated_orbit"


def test_without_a_choice_the_seeds_three_or_all_there_are() -> None:
    assert parse_classes(None, "ccd_clusters/simulated") == ("xray", "electron", "muon")
    assert parse_classes(None, ORBIT) == ("proton", "electron")
    assert parse_classes("electron,proton", ORBIT) == ("electron", "proton")
    with pytest.raises(InputError, match="different names out of proton, electron"):
        parse_classes("muon", ORBIT)


def test_files_bring_their_classes(tmp_path: Path) -> None:
    folder = write_pixel_files(tmp_path / "labelled")
    assert parse_classes(None, "timepix1_clusters/files", folder) == ("electron", "proton")
    alone = write_pixel_files(tmp_path / "alone", ("proton/a.parquet",))
    with pytest.raises(InputError, match="has no labels; put its files in one sub-folder a class"):
        parse_classes(None, "timepix1_clusters/files", alone)
