from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from particle_zoo import InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.evaluation import clustering_speed

SMALL = ["clustering", "--hits", "20000", "--frames", "20", "--clusters", "300", "--repeats", "1"]


def test_clusters_are_the_same_as_those_of_other_methods_and_found_faster(tmp_path: Path) -> None:
    # A program that reads the whole file, as clustering programs do.
    other = f'{sys.executable} -c "import sys; sys.exit(len(open(sys.argv[1]).readlines()) != 20001)" {{input}}'
    arguments = [*SMALL, "--against", other, "--json", str(tmp_path / "b.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["ccd"]["equal"]
    assert found["ccd"]["clusters"] == 300
    assert found["ccd"]["ratio"] > 2
    assert found["timepix3"]["equal_to_dbscan"]
    assert all(speeds["equal_to_scipy"] for speeds in found["frames"].values())
    speed = found["timepix3"]["mhits_per_s"]
    assert other in speed
    assert speed["cluster(): hits in memory to Clusters"] > 2 * speed["scikit-learn DBSCAN, labels only"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("wc -l", "with {input} in it; received 'wc -l'"),
        ("no-such-program {input}", "cannot be run"),
        (f"{sys.executable} -c 'raise SystemExit(3)' {{input}}", "ended with code 3"),
    ],
)
def test_other_programs_that_cannot_be_timed(command: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        clustering_speed.measure(
            hits=2000, frame_count=10, ccd_clusters=10, seed=0, repeats=1, against=(command,), file=None
        )


def test_the_stream_is_what_a_chip_sends() -> None:
    hits = clustering_speed.stream(5000, seed=1)
    assert len(hits) == 5000
    assert not hits.is_sorted
    assert np.abs(np.sort(hits.toa) - hits.toa).max() < 2 * 6400
    assert 1e5 < len(hits) / np.ptp(hits.time_ns) * 1e9 < 1e8
