from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from particle_zoo import InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.evaluation.balance import measure


def test_flat_sizes_as_table_and_figure(tmp_path: Path) -> None:
    arguments = ["balance", "timepix1_clusters/satram_simulated_orbit", "--clusters", "4000"]
    arguments += ["--output", str(tmp_path / "s.png"), "--json", str(tmp_path / "s.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "s.json").read_text())
    assert sum(found["before"]) == 4000
    assert 0 < sum(found["after"]) < 4000
    assert all(after <= before for before, after in zip(found["before"], found["after"], strict=True))
    # Equal counts in the training split, up to nothing.
    assert found["chi_square_p"] > 0.99
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("dataset", ["ccd_clusters/simulated", "timepix1_clusters/none", "x"])
def test_other_data_sets(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sizes are flattened of timepix1_clusters/satram_simulated_orbit"):
        measure(dataset, tmp_path / "s.png", clusters=None, manual_dir=None)
