from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import particle_zoo
from particle_zoo import Clusters, InputError
from particle_zoo.simulation import generate, iter_simulate, simulate
from particle_zoo.simulation.generate import TRUTH
from particle_zoo.simulation.sensor import TIMEPIX3_500UM, TIMEPIX_300UM
from particle_zoo.simulation.spectra import Spectrum


@pytest.mark.parametrize("preset", ["timepix_300um", "timepix3_500um", "ccd_675um"])
@pytest.mark.parametrize("particle", ["electron", "positron", "proton", "alpha", "muon", "pion", "photon", "ion:6:12"])
def test_every_particle_in_every_sensor(preset: str, particle: str) -> None:
    energy = {"photon": 0.06, "alpha": 5.5, "ion:6:12": 200.0}.get(particle, 20.0)
    clusters = simulate(preset, particle=particle, n=20, seed=3, energy_mev=energy, angles="cosine")
    assert len(clusters) == 20
    assert clusters.unit == "keV"
    assert clusters.columns == ("row", "col", "energy", "toa") if "3_" in preset else ("row", "col", "energy")
    assert set(TRUTH) <= set(clusters.table)
    assert (clusters.table["particle"] == particle).all()
    assert np.isfinite(clusters.hits).all()
    assert len(set(clusters.ids)) == 20


def test_truth_describes_the_cluster() -> None:
    clusters = simulate("timepix_300um", particle="muon", n=500, seed=1, energy_mev=1000, angles="fixed:60")
    truth = clusters.table
    np.testing.assert_allclose(truth["theta"], 60, atol=1e-6)
    assert (truth["energy_mev"] == 1000).all()
    seen = np.add.reduceat(clusters.column("energy").astype(float), clusters.offsets[:-1])
    # Some charge stays below threshold, none is added but noise.
    assert 0.8 < np.median(seen / truth["deposited_kev"]) <= 1.0
    assert (truth["n_pixels_before_threshold"] >= clusters.sizes).all()
    # The track starts at the entry point and goes on along phi.
    phi = np.radians(truth["phi"].to_numpy())
    row = np.add.reduceat(clusters.column("row").astype(float), clusters.offsets[:-1]) / clusters.sizes + 0.5
    col = np.add.reduceat(clusters.column("col").astype(float), clusters.offsets[:-1]) / clusters.sizes + 0.5
    inside = (row > 15) & (row < 240) & (col > 15) & (col < 240)
    half = 0.5 * 300 * np.tan(np.radians(60)) / 55
    assert np.median(np.abs(row - truth["entry_row"] - half * np.sin(phi))[inside]) < 0.5
    assert np.median(np.abs(col - truth["entry_col"] - half * np.cos(phi))[inside]) < 0.5


def test_parts_of_one_primary_are_marked() -> None:
    """Compton-scattered photons and delta rays leave separate clusters."""
    clusters = simulate("timepix_300um", particle="photon", n=3000, seed=2, energy_mev=0.3)
    parts = clusters.table.groupby("primary").size()
    assert (parts > 1).any()
    whole = parts.index[:-1]
    marked = clusters.table.groupby("primary")["split"].first()
    assert ((parts > 1) == marked)[whole].all()


def test_equal_seeds_give_equal_clusters_and_others_do_not() -> None:
    one, two, other = (
        simulate("timepix3_500um", particle="electron", n=700, seed=seed, energy_mev=1) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one.hits, two.hits)
    pd.testing.assert_frame_equal(one.table, two.table)
    assert not np.array_equal(one.hits[:100], other.hits[:100])


def test_memory_does_not_grow_with_n(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts are bounded: the largest has no more primaries than a chunk."""
    monkeypatch.setattr(generate, "CHUNK", 600)
    sizes = [len(part) for part in iter_simulate("timepix_300um", particle="muon", n=3000, seed=1, energy_mev=1000)]
    assert sum(sizes) == 3000
    assert max(sizes) <= 650


def test_thresholds_are_sharp_and_times_in_bins() -> None:
    clusters = simulate("timepix3_500um", particle="muon", n=500, seed=1, energy_mev=1000, angles="fixed:45")
    assert clusters.column("energy").min() >= 5.0
    toa = clusters.column("toa")
    np.testing.assert_allclose(toa / 1.5625, np.round(toa / 1.5625), atol=1e-3)
    delay = toa - clusters.table["time_ns"].to_numpy()[clusters.hit_cluster]
    # From the drift of 23.6 ns at most and the time-walk of small signals, 167 ns at most, and one bin.
    assert delay.min() > 0
    assert delay.max() < 23.6 + 167 + 1.6


def test_time_of_arrival_orders_an_inclined_track_by_depth() -> None:
    """Late pixels are those made far from the pixels, where the particle entered."""
    clusters = simulate("timepix3_500um", particle="muon", n=300, seed=1, energy_mev=1000, angles="fixed:70")
    phi = np.radians(clusters.table["phi"].to_numpy())[clusters.hit_cluster]
    along = clusters.column("col") * np.cos(phi) + clusters.column("row") * np.sin(phi)
    loud = clusters.column("energy") > 15
    slopes = [
        np.polyfit(along[a:b][loud[a:b]], clusters.hits[a:b, 3][loud[a:b]], 1)[0]
        for a, b in zip(clusters.offsets[:-1], clusters.offsets[1:], strict=True)
        if loud[a:b].sum() > 5
    ]
    assert len(slopes) > 200
    assert np.mean(np.array(slopes) < 0) > 0.9


def test_timepix_measures_either_tot_or_toa() -> None:
    timing = TIMEPIX_300UM.with_(readout="toa")
    clusters = simulate(timing, particle="muon", n=50, seed=1, energy_mev=1000)
    assert clusters.columns[-1] == "toa"
    assert clusters.unit == "mask"
    assert (clusters.column("energy") == 1).all()
    assert "toa" not in simulate(TIMEPIX_300UM, particle="muon", n=5, seed=1, energy_mev=1000).columns


def test_saturation_is_off_by_default_and_makes_a_volcano() -> None:
    plain = simulate("timepix_300um", particle="alpha", n=300, seed=1, energy_mev=8.0)
    hot = simulate(TIMEPIX_300UM.with_(saturation=True), particle="alpha", n=300, seed=1, energy_mev=8.0)
    total = [np.add.reduceat(c.column("energy").astype(float), c.offsets[:-1]) for c in (plain, hot)]
    assert np.median(total[0]) == pytest.approx(8000, rel=0.02)
    assert np.median(total[1]) > 8100
    counter = simulate(TIMEPIX3_500UM.with_(saturation=True), particle="alpha", n=50, seed=1, energy_mev=8.0)
    assert counter.column("energy").max() == pytest.approx(TIMEPIX3_500UM.calibration.energy(1023), rel=1e-6)


def test_a_shielded_spectrum_keeps_the_energy_before_the_shield() -> None:
    clusters = simulate("timepix_300um", particle="proton", n=400, seed=1, spectrum="benchmark")
    truth = clusters.table
    assert (truth["entry_energy_mev"] < truth["energy_mev"]).all()
    assert truth["theta"].std() > 15
    straight = simulate("timepix_300um", particle="proton", n=50, seed=1, spectrum="benchmark", angles="fixed:0")
    assert straight.table["theta"].max() < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "1 or more"),
        ({"n": -5}, "1 or more"),
        ({"n": 2.5}, "1 or more"),
        ({"seed": -1}, "0 or more"),
        ({"particle": "elektron"}, "did you mean electron"),
        ({"particle": None}, "given by its name"),
        ({"particle": ["electron"]}, "given by its name"),
        ({"preset": "ccd", "particle": ["electron"], "energy_mev": None}, "given by its name"),
        ({"energy_mev": -1.0}, "positive"),
        ({"energy_mev": 0}, "positive"),
        ({"energy_mev": 1e9}, "kinetic energies"),
        ({"energy_mev": 1e-5}, "kinetic energies"),
        ({"energy_mev": None, "spectrum": "sun"}, "benchmark, orbit"),
        ({"angles": "up"}, "isotropic"),
        ({"preset": "timepix4"}, "unknown preset"),
        ({"preset": "ccd", "particle": "xray"}, "its own laws"),
    ],
)
def test_impossible_requests_get_one_sentence(options: dict[str, object], message: str) -> None:
    arguments = {"preset": "timepix_300um", "particle": "electron", "n": 5, "seed": 0, "energy_mev": 1.0, **options}
    with pytest.raises(InputError, match=message) as caught:
        simulate(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_primaries_that_leave_nothing_end_in_a_sentence() -> None:
    with pytest.raises(InputError, match="no cluster"):
        simulate("timepix_300um", particle="electron", n=5, seed=0, energy_mev=0.003)
    thick = Spectrum("mono", energy_mev=0.1, shield=particle_zoo_shield())
    with pytest.raises(InputError, match="shield stops"):
        simulate("timepix_300um", particle="electron", n=5, seed=0, spectrum=thick)


def particle_zoo_shield() -> object:
    from particle_zoo.simulation.spectra import Shield

    return Shield("Al", 2000.0)


def test_the_name_simulates_before_and_after_the_module_is_imported() -> None:
    """`particle_zoo.simulate` is a function of the package and a module with a command at once."""
    code = (
        "import particle_zoo; first = particle_zoo.simulate('timepix_300um', particle='muon', n=3, seed=1);"
        "import particle_zoo.simulate; again = particle_zoo.simulate('timepix_300um', particle='muon', n=3, seed=1);"
        "from particle_zoo import simulate; third = simulate('timepix_300um', particle='muon', n=3, seed=1);"
        "assert (first.hits == again.hits).all() and (first.hits == third.hits).all();"
        "import sys; assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    code = "import particle_zoo.simulate as s; assert len(s('timepix_300um', particle='muon', n=3, seed=1)) == 3"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


class Shell:
    """Runs the command in this process as a shell would: arguments in, exit code and output out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        from importlib import import_module

        self.monkeypatch.setattr(sys, "argv", ["simulate", *arguments, "--quiet"])
        with pytest.raises(SystemExit) as ended:
            import_module("particle_zoo.simulate").main()
        out, err = self.capsys.readouterr()
        return int(str(ended.value.code)), out, err


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.mark.parametrize("name", ["a.parquet", "a.clog", "a.t3pa"])
def test_command_writes_what_the_readers_read(name: str, tmp_path: Path, shell: Shell) -> None:
    path = tmp_path / name
    code, out, err = shell(
        "timepix3_500um", "--particle", "electron", "--n", "300", "--seed", "2", "--output", str(path)
    )
    assert code == 0, err
    expected = simulate("timepix3_500um", particle="electron", n=300, seed=2)
    found = particle_zoo.read(path)
    if isinstance(found, Clusters):
        np.testing.assert_array_equal(found.hits, expected.hits)
    else:
        assert len(found) == len(expected.hits)
        np.testing.assert_allclose(np.sort(found.time_ns), np.sort(expected.column("toa")), atol=1e-3)
    assert "300 clusters" in out
    code, _, err = shell("timepix3_500um", "--particle", "electron", "--output", str(path))
    assert code == 2
    assert "--force" in err


def test_command_writes_a_tfds_folder(tmp_path: Path) -> None:
    from particle_zoo.data import store

    parts = iter_simulate("timepix3_500um", particle="photon", n=400, seed=2, energy_mev=0.3)
    whole = simulate("timepix3_500um", particle="photon", n=400, seed=2, energy_mev=0.3)
    folder = store.write(tmp_path / "set", parts)
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    seen = {}
    for split in builder.info.splits:
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            seen[example["id"].decode()] = (split, int(example["primary"]), example["hits"], float(example["time_ns"]))
    assert set(seen) == set(whole.ids)
    for i, name in enumerate(whole.ids):
        _, primary, hits, time_ns = seen[name]
        np.testing.assert_array_equal(hits, whole.hits[whole.offsets[i] : whole.offsets[i + 1]])
        assert (primary, time_ns) == (whole.table["primary"][i], whole.table["time_ns"][i])
    # The parts of one primary stay together.
    by_primary: dict[int, set[str]] = {}
    for split, primary, *_ in seen.values():
        by_primary.setdefault(primary, set()).add(split)
    assert all(len(splits) == 1 for splits in by_primary.values())
    with pytest.raises(InputError, match="exists"):
        store.write(folder, [whole])
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["timepix_300um", "--particle", "quark"], "unknown particle"),
        (["timepix_300um", "--particle", "electron", "--n", "0"], "1 or more"),
        (["timepix_300um", "--particle", "electron", "--energy-mev", "-3"], "positive"),
        (["timepix_300um", "--particle", "electron", "--set", "thickness_um=-3"], "thickness_um must lie"),
        (["timepix_300um", "--particle", "electron", "--set", "shape=5"], "shape must be two numbers"),
        (["timepix_300um", "--particle", "electron", "--set", "calibration=3"], "calibration must be"),
        (["timepix_300um", "--particle", "electron", "--set", "volcano_kev=[1000,1000]"], "two ascending energies"),
        (["timepix3_500um", "--particle", "electron", "--rate", "-3"], "the rate must be positive"),
        (["timepix_300um", "--particle", "electron", "--rate", "3"], "does not measure"),
        (["mimosa", "--particle", "electron"], "unknown preset"),
    ],
)
def test_command_refuses_with_one_sentence_and_leaves_no_file(
    arguments: list[str], message: str, tmp_path: Path, shell: Shell
) -> None:
    name = "a.t3pa" if "--rate" in arguments else "a.parquet"
    code, out, err = shell(*arguments, "--output", str(tmp_path / name))
    assert code == 2
    assert message in err
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_command_as_a_process(tmp_path: Path) -> None:
    arguments = [
        "timepix_300um",
        "--particle",
        "muon",
        "--n",
        "40",
        "--set",
        "saturation=true",
        "--output",
        "m.parquet",
    ]
    command = [sys.executable, "-m", "particle_zoo.simulate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(particle_zoo.read(tmp_path / "m.parquet")) == 40


def test_command_that_writes_a_tfds_folder_says_nothing_else(tmp_path: Path) -> None:
    """TensorFlow's C++ part logs to the process's stderr, so only a process of its own shows it."""
    command = [sys.executable, "-m", "particle_zoo.simulate", "timepix_300um", "--particle", "muon", "--n", "20"]
    command += ["--quiet", "--output", "set"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "written: set"


def test_command_writes_streams(tmp_path: Path, shell: Shell) -> None:
    path = tmp_path / "s.t3pa"
    code, out, err = shell("timepix3_500um", "--particle", "muon", "--n", "50", "--rate", "1e5", "--output", str(path))
    assert code == 0, err
    assert "50 particles at 100000 a second" in out
    assert particle_zoo.read(path).is_sorted
