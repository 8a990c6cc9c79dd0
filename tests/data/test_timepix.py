from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import InputError, data
from particle_zoo.clusters import Clusters
from particle_zoo.data import mix, splits, timepix1, timepix3
from particle_zoo.data.load import SOURCES
from particle_zoo.detectors.hits import STEP_NS
from particle_zoo.detectors.writers import write
from particle_zoo.pipelines.balance import size_bins
from particle_zoo.simulation import simulate
from tests.conftest import write_pixel_files

FILES = "timepix1_clusters/files"
ORBIT = timepix1.SOURCE.mixes["satram_simulated_orbit"].model_copy(update={"clusters": 700, "block": 300})
FIELD = timepix3.SOURCE.mixes["simulated_field"].model_copy(
    # Without the costly ions.
    update={
        "clusters": 900,
        "block": 300,
        "particles": {
            k: v for k, v in timepix3.SOURCE.mixes["simulated_field"].particles.items() if ":" not in k and k != "pb"
        },
    }
)


def blocks(mixed: mix.Mix) -> Clusters:
    return Clusters.concat(mix.simulate(mixed, number) for number in range(mixed.blocks))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=120), st.integers(0, 5))
def test_groups_stay_together_in_shares(groups: list[int], seed: int) -> None:
    given_groups = np.array(groups)
    split = splits.assign_groups(given_groups, seed)
    for group in np.unique(given_groups):
        assert len(set(split[given_groups == group])) == 1
    largest = np.unique(given_groups, return_counts=True)[1].max()
    for name, share in zip(splits.SPLITS, splits.SHARES, strict=True):
        assert abs((split == name).sum() - share * len(groups)) <= largest + 1


def test_classes_are_balanced_in_all_and_in_each_split() -> None:
    clusters = blocks(ORBIT)
    labels = clusters.labels
    assert (labels == "proton").sum() == (labels == "electron").sum() == 350
    for name, share in zip(splits.SPLITS, splits.SHARES, strict=True):
        mine = labels[clusters.table["in_split"].to_numpy() == name]
        assert (mine == "proton").sum() == pytest.approx(350 * share, abs=3)
        assert (mine == "electron").sum() == pytest.approx(350 * share, abs=3)


def test_primaries_are_numbered_over_all_blocks_and_stay_in_one_split() -> None:
    # Thin electrons at grazing angles often leave several clusters.
    electrons = {"electron": mix.Component(share=1, spectrum={"law": "mono", "energy_mev": 2.0, "angles": "isotropic"})}
    clusters = blocks(
        ORBIT.model_copy(
            update={"particles": electrons, "clusters": 4000, "block": 1000, "sensor": {"threshold_kev": 12.0}}
        )
    )
    table = clusters.table
    assert len(set(clusters.ids)) == len(clusters) == 4000
    groups = table.groupby("primary")
    assert groups["in_split"].nunique().max() == 1
    assert groups.size().max() > 1
    assert groups["energy_mev"].nunique().max() == groups["entry_row"].nunique().max() == 1
    # A primary of its own: no other block may have given it the same number.
    assert groups["entry_col"].nunique().max() == 1
    assert groups.ngroups < 4000


def test_a_block_can_be_simulated_again_by_hand() -> None:
    block = mix.simulate(ORBIT, 1)
    protons = simulate("timepix_300um", particle="proton", n=150, seed=ORBIT.seed + 2, spectrum="orbit")
    mine = block[block.labels == "proton"]
    assert sorted(mine.ids) == sorted(protons.ids)
    order = np.argsort(np.argsort(protons.ids))
    np.testing.assert_array_equal(mine[np.argsort(mine.ids)][order].hits, protons.hits)


def test_classes_come_mixed() -> None:
    first = mix.simulate(ORBIT, 0).labels[:60]
    assert 15 < (first == "proton").sum() < 45


def test_arrivals_follow_the_rate() -> None:
    clusters = blocks(FIELD)
    times = clusters.table["time_ns"].to_numpy()
    assert (np.diff(times) >= 0).all()
    assert times[-1] == pytest.approx(900 / FIELD.rate_hz * 1e9, rel=0.02)
    gaps = np.diff(np.unique(times))
    # Exponential: mean and standard deviation are equal.
    assert gaps.mean() == pytest.approx(1e9 / FIELD.rate_hz, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.15)
    toa = clusters.column("toa")
    np.testing.assert_allclose(toa / STEP_NS, np.round(toa / STEP_NS), atol=1e-6)
    late = toa - times[clusters.hit_cluster]
    assert late.min() >= -2 * STEP_NS
    assert late.max() < 500


def test_balanced_sizes_are_flat_in_each_split() -> None:
    flat = mix.Flat(per_octave=1, least=60)
    source = timepix1.TimepixSource(
        "timepix1_clusters",
        timepix1.SOURCE.columns,
        timepix1.SOURCE.mixes_file,
        {"satram_simulated_orbit": ORBIT.model_copy(update={"clusters": 2400, "balanced": flat})},
    )
    clusters = Clusters.concat(source.clusters("satram_simulated_orbit", None))
    assert 0 < len(clusters) < 2400
    for name in splits.SPLITS:
        mine = clusters.sizes[clusters.table["in_split"].to_numpy() == name]
        counts = np.unique(size_bins(mine), return_counts=True)[1]
        assert len(counts) > 2
        assert len(set(counts.tolist())) == 1


def test_memory_does_not_grow_with_the_number_of_clusters() -> None:
    def peak(clusters: int) -> int:
        source = timepix1.TimepixSource(
            "timepix1_clusters",
            timepix1.SOURCE.columns,
            timepix1.SOURCE.mixes_file,
            {"satram_simulated_orbit": ORBIT.model_copy(update={"clusters": clusters})},
        )
        tracemalloc.start()
        try:
            assert sum(len(part) for part in source.clusters("satram_simulated_orbit", None)) == clusters
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(300)
    assert peak(1200) < 1.5 * peak(600)


def test_fingerprint_knows_everything_a_simulation_depends_on() -> None:
    def fingerprint(mixed: mix.Mix) -> str:
        source = timepix1.TimepixSource(
            "timepix1_clusters", timepix1.SOURCE.columns, timepix1.SOURCE.mixes_file, {"a": mixed}
        )
        return source.fingerprint("a", None)

    every = [
        ORBIT,
        ORBIT.model_copy(update={"seed": 5}),
        ORBIT.model_copy(update={"clusters": 701}),
        ORBIT.model_copy(update={"sensor": {"threshold_kev": 6.0}}),
        ORBIT.model_copy(update={"balanced": mix.Flat()}),
        ORBIT.model_copy(update={"particles": timepix1.SOURCE.mixes["satram_simulated_benchmark"].particles}),
    ]
    assert len({fingerprint(mixed) for mixed in every}) == len(every)
    assert fingerprint(ORBIT.model_copy(update={"description": "other words"})) == fingerprint(ORBIT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {preset: timepix_300um}", "a.*Field required|description"),
        ("a: {description: x, preset: y, seed: 1, clusters: 0, particles: {}}", "clusters"),
        ("a: {description: x, preset: y, seed: 1, clusters: 9, particles: {muon: {share: -1, spectrum: z}}}", "share"),
        ("a: {description: x, preset: y, seed: 1, clusters: 9, particles: {}, colour: red}", "colour"),
    ],
)
def test_a_mixture_that_cannot_be(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mixes.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        mix.read(path)


def test_shares_are_rounded_to_whole_clusters() -> None:
    assert ORBIT.counts(7) == [4, 3]
    field = timepix3.SOURCE.mixes["simulated_field"]
    assert field.counts(3200) == [960, 960, 960, 192, 96, 32]
    for n in range(1, 60):
        assert sum(field.counts(n)) == n


def test_prepared_and_direct_are_the_same(tmp_path: Path) -> None:
    folder = write_pixel_files(tmp_path / "files")
    for split in ("train", "all"):
        prepared = data.load(FILES, split, manual_dir=folder, data_dir=tmp_path / "d", use_tfds=True)
        direct = data.load(FILES, split, manual_dir=folder, use_tfds=False)
        np.testing.assert_array_equal(prepared.hits, direct.hits)
        assert prepared.table.equals(direct.table)
        assert prepared.unit == direct.unit == "keV"
    assert len(prepared) == 180


def test_folders_are_classes_where_there_are_several(tmp_path: Path) -> None:
    labelled = write_pixel_files(tmp_path / "labelled")
    clusters = data.load(FILES, "all", manual_dir=labelled, use_tfds=False)
    assert data.dataset_classes(FILES, manual_dir=labelled) == ("electron", "proton")
    assert {name.split("/")[0] for name in clusters.table["source"]} == {"electron", "proton"}
    for label, name in zip(clusters.labels, clusters.table["source"], strict=True):
        assert name.startswith(label)
    alone = write_pixel_files(tmp_path / "alone", ("proton/a.parquet",))
    assert set(data.load(FILES, "all", manual_dir=alone, use_tfds=False).labels) == {""}
    assert data.dataset_classes(FILES, manual_dir=alone) == ()


def test_files_can_be_balanced(tmp_path: Path) -> None:
    folder = write_pixel_files(tmp_path / "files")
    whole = data.load(FILES, "all", manual_dir=folder, use_tfds=False)
    (folder / "clustering.json").write_text('{"balanced": {"least": 20}}')
    flat = {
        split: data.load(FILES, split, manual_dir=folder, data_dir=tmp_path / "d", allow_empty=True)
        for split in splits.SPLITS
    }
    assert 0 < sum(map(len, flat.values())) < len(whole) == 180
    for part in flat.values():
        assert set(part.ids) <= set(whole.ids)
        assert len(set(np.unique(size_bins(part.sizes), return_counts=True)[1].tolist())) <= 1
    direct = data.load(FILES, "train", manual_dir=folder, use_tfds=False)
    assert direct.table.equals(flat["train"].table)


def test_equal_ids_in_different_files_stay_different(tmp_path: Path) -> None:
    clusters = simulate("timepix_300um", particle="proton", n=20, seed=0)
    for name in ("a.parquet", "b.parquet"):
        write(tmp_path / name, clusters)
    found = data.load(FILES, "all", manual_dir=tmp_path, data_dir=tmp_path / "d")
    assert len(set(found.ids)) == len(found) == 40


def test_changed_files_are_never_answered_from_an_earlier_preparation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pixel_files(tmp_path / "files", ("proton/a.parquet",))
    first = data.load(FILES, "all", manual_dir=folder, data_dir=tmp_path / "d")
    write(folder / "proton" / "a.parquet", first[:10])
    assert len(data.load(FILES, "all", manual_dir=folder, data_dir=tmp_path / "d")) == 10
    before = data.fingerprint(FILES, manual_dir=folder)
    (folder / "clustering.json").write_text('{"min_size": 2}')
    assert data.fingerprint(FILES, manual_dir=folder) != before
    (folder / "clustering.json").unlink()
    assert data.fingerprint(FILES, manual_dir=folder) == before
    monkeypatch.setattr("particle_zoo.data.files.VERSION", -1)
    assert data.fingerprint(FILES, manual_dir=folder) != before


def test_times_need_the_data_set_that_keeps_them(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", simulate("timepix3_500um", particle="muon", n=20, seed=0))
    with pytest.raises(InputError, match="use timepix3_clusters/files"):
        data.load(FILES, "all", manual_dir=tmp_path, data_dir=tmp_path / "d")
    kept = data.load("timepix3_clusters/files", "all", manual_dir=tmp_path, data_dir=tmp_path / "d")
    assert kept.columns == ("row", "col", "energy", "toa")
    assert kept.hits.dtype == np.float64
    write(tmp_path / "a.parquet", simulate("timepix_300um", particle="muon", n=20, seed=0))
    with pytest.raises(InputError, match="use timepix1_clusters/files"):
        data.load("timepix3_clusters/files", "all", manual_dir=tmp_path, data_dir=tmp_path / "d")


def test_units_are_kept_and_never_mixed(tmp_path: Path) -> None:
    clusters = simulate("timepix_300um", particle="proton", n=20, seed=0)
    tot = Clusters(clusters.hits, clusters.columns, clusters.offsets, clusters.table, "ToT")
    write(tmp_path / "a.parquet", tot)
    assert data.load(FILES, "all", manual_dir=tmp_path, data_dir=tmp_path / "d").unit == "ToT"
    write(tmp_path / "b.parquet", clusters)
    with pytest.raises(InputError, match=r"b\.parquet is in keV, the files before it in ToT"):
        data.load(FILES, "all", manual_dir=tmp_path, data_dir=tmp_path / "d")


def test_unusable_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--manual-dir"):
        data.load(FILES, data_dir=tmp_path / "d")
    with pytest.raises(InputError, match="is no folder"):
        data.load(FILES, manual_dir=tmp_path / "missing", data_dir=tmp_path / "d")
    (tmp_path / "notes.txt").write_text("run 7\n")
    with pytest.raises(InputError, match="no file of a known format"):
        data.load(FILES, manual_dir=tmp_path, data_dir=tmp_path / "d")
    write(tmp_path / "a.parquet", simulate("timepix_300um", particle="proton", n=20, seed=0))
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a\.parquet"):
        data.load(FILES, manual_dir=tmp_path, data_dir=tmp_path / "d")
    assert not list((tmp_path / "d").rglob("dataset_info.json"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"treshold": 3}, "treshold.*it may set window_ns"),
        ({"connectivity": 6}, "connectivity"),
        ({"window_ns": 0}, "window_ns"),
        ({"calibration": "missing.xml"}, "no calibration"),
    ],
)
def test_clustering_that_cannot_be(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    folder = write_pixel_files(tmp_path / "files", ("proton/a.parquet",))
    (folder / "clustering.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=message):
        data.load(FILES, manual_dir=folder, data_dir=tmp_path / "d")


def test_every_source_offers_the_same(tmp_path: Path) -> None:
    for name, source in SOURCES.items():
        for config in source.CONFIGS:
            contents = source.contents(config, None)
            assert contents.columns[:3] == ("row", "col", "energy")
            assert isinstance(source.labelled(config), bool)
        assert data.dataset_classes(name)
