from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from particle_zoo import Clusters, InputError, read
from particle_zoo.benchmark import benchmark
from particle_zoo.evaluation import mixes, overlay
from particle_zoo.simulation.sensor import TIMEPIX_300UM

PAIR = (mixes.Component("photon", 0.03, 0.1), mixes.Component("alpha", 4.0, 6.0, 0.0))


def test_shares_of_a_mixture_are_found_again() -> None:
    photons, alphas = (
        mixes._simulate(component, "timepix_300um", 1500, seed=70 + i) for i, component in enumerate(PAIR)
    )
    real = Clusters.concat([photons[:1200], alphas[:300]])
    mixed, shares = mixes.mixture(real, PAIR, preset="timepix_300um", n=1000, seed=1)
    assert shares[PAIR[1].name] == pytest.approx(0.2, abs=0.02)
    assert (mixed.table["component"] == PAIR[1].name).mean() == pytest.approx(0.2, abs=0.02)
    assert (mixed.column("energy") == np.rint(mixed.column("energy"))).all()


def test_rate_of_a_component_is_taken_and_not_fitted() -> None:
    fixed = (PAIR[0], mixes.Component("alpha", 4.0, 6.0, 0.0, rate_hz=0.5))
    photons = mixes._simulate(PAIR[0], "timepix_300um", 900, seed=5)
    real = photons.with_table(time_s=np.linspace(0, 200, len(photons)))
    _, shares = mixes.mixture(real, fixed, preset="timepix_300um", n=500, seed=1)
    # 0.5 a second for 200 s are 100 clusters beside 900 photons.
    assert shares[fixed[1].name] == pytest.approx(0.1, abs=0.01)


def test_clusters_in_other_units_are_refused() -> None:
    with pytest.raises(InputError, match="ADU"):
        mixes.mixture(Clusters.empty(unit="ADU"), PAIR, preset="timepix_300um", n=100, seed=0)


def test_command_without_real_files_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(benchmark, ["real", "--data", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert "neither timepix1" in str(result.exception)


@pytest.mark.slow
@pytest.mark.real_data
def test_simulated_sources_look_like_the_real_ones(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "timepix1").symlink_to(real_data / "timepix1")
    arguments = ["real", "--data", str(folder), "--output", str(tmp_path / "out"), "--clusters", "4000"]
    result = CliRunner().invoke(benchmark, [*arguments, "--json", str(tmp_path / "a.json")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "a.json").read_text())
    # Measured with several seeds: 0.06 for the stone, 0.08 for the gamma source.
    for name, most in (("stone", 0.08), ("gamma", 0.1)):
        ks = {row["quantity"]: row["ks"] for row in found[name]["distances"]}
        assert set(ks) == {"size", "energy", "energy per pixel", "length", "roundness"}
        assert max(ks.values()) < most, (name, ks)
        assert (tmp_path / "out" / f"overlay_{name}.png").stat().st_size > 10_000
    assert sum(found["stone"]["shares"][c.name] for c in mixes.STONE if c.particle == "alpha") > 0.005


@pytest.mark.slow
@pytest.mark.real_data
def test_the_comparison_sees_a_wrong_sensor_and_a_wrong_source(real_data: Path) -> None:
    real = read(real_data / "timepix1" / "BlackForestStone_clusters.yml.gz")
    thick = TIMEPIX_300UM.with_(thickness_um=500.0, depletion_v=80.0)
    photons = tuple(component for component in mixes.STONE if component.particle == "photon")
    for sensor, components in ((thick, mixes.STONE), (TIMEPIX_300UM, photons)):
        mixed, _ = mixes.mixture(real, components, preset=sensor, n=2000, seed=0)
        assert overlay.distances(overlay.quantities(mixed), overlay.quantities(real))["ks"].max() > 0.12


@pytest.mark.slow
@pytest.mark.real_data
def test_training_on_simulated_ccd_clusters_carries_over_to_the_labels(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ccd").symlink_to(real_data / "ccd")
    arguments = ["real", "--data", str(folder), "--output", str(tmp_path), "--json", str(tmp_path / "a.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "a.json").read_text())["ccd"]
    ours, cut = found["transfer"]["forest, simulation"], found["transfer"]["size cut, real"]
    assert ours["n"] == 275
    assert ours["balanced_accuracy"] >= 0.8
    assert ours["recall"]["electron"] >= 0.6
    assert ours["balanced_accuracy"] > cut["balanced_accuracy"] + 0.1
    assert {row["label"] for row in found["by_class"]} == {"xray", "electron", "muon"}
