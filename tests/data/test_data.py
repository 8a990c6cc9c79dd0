from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import InputError, data
from particle_zoo.data import ccd, splits
from tests.conftest import write_layout

LABELLED = "ccd_clusters/damic_labelled"


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=80), st.randoms())
def test_every_id_is_in_one_split_whatever_the_order(labels: list[str], random: object) -> None:
    ids = np.array([f"{i:04d}" for i in range(len(labels))])
    first = splits.assign(ids, np.array(labels))
    assert set(first) <= set(splits.SPLITS)
    order = np.random.default_rng(len(labels)).permutation(len(labels))
    np.testing.assert_array_equal(splits.assign(ids[order], np.array(labels)[order]), first[order])
    # Every class is seen in training.
    assert {label for label, split in zip(labels, first, strict=True) if split == "train"} == set(labels)


def test_shares_are_70_15_15() -> None:
    split = splits.assign(np.arange(2000).astype(str), np.repeat(["a", "b"], 1000))
    assert [int((split == name).sum()) for name in splits.SPLITS] == [1400, 300, 300]
    hashed = np.array([splits.assign_one(f"frame:{i}") for i in range(4000)])
    np.testing.assert_allclose([np.mean(hashed == name) for name in splits.SPLITS], splits.SHARES, atol=0.03)


def test_no_id_on_both_sides(layout: Path, tmp_path: Path) -> None:
    parts = {s: set(data.load(LABELLED, s, manual_dir=layout, data_dir=tmp_path).ids) for s in splits.SPLITS}
    assert not parts["train"] & parts["validation"]
    assert not parts["train"] & parts["test"]
    assert not parts["validation"] & parts["test"]
    whole = data.load(LABELLED, "all", manual_dir=layout, data_dir=tmp_path)
    assert sorted(whole.ids) == sorted(set().union(*parts.values()))
    assert len(whole) == 60


def test_prepared_and_direct_are_the_same(layout: Path, tmp_path: Path) -> None:
    for split in ("train", "all"):
        prepared = data.load(LABELLED, split, manual_dir=layout, data_dir=tmp_path, use_tfds=True)
        direct = data.load(LABELLED, split, manual_dir=layout, use_tfds=False)
        np.testing.assert_array_equal(prepared.hits, direct.hits)
        assert prepared.table.equals(direct.table)
        assert prepared.unit == direct.unit == "mask"


def test_changed_sources_are_never_answered_from_an_earlier_preparation(layout: Path, tmp_path: Path) -> None:
    first = data.load(LABELLED, "all", manual_dir=layout, data_dir=tmp_path / "d")
    other = write_layout(tmp_path / "other", n=30, seed=9)
    assert len(data.load(LABELLED, "all", manual_dir=other, data_dir=tmp_path / "d")) == 30
    file = next((layout / "clusters").glob("0*.csv"))
    file.write_text("0,0,0\n0,1,0\n0,0,0\n")
    changed = data.load(LABELLED, "all", manual_dir=layout, data_dir=tmp_path / "d")
    assert changed[changed.ids == file.stem].sizes.tolist() == [1]
    assert first[first.ids == file.stem].sizes.tolist() != [1]
    # A copy elsewhere is the same source.
    copy = shutil.copytree(layout, tmp_path / "copy")
    assert ccd.fingerprint("damic_labelled", copy) == ccd.fingerprint("damic_labelled", layout)


def test_classes_limit_and_order(layout: Path, tmp_path: Path) -> None:
    chosen = data.load(LABELLED, "all", manual_dir=layout, data_dir=tmp_path, classes=("muon", "xray"), limit=7)
    assert len(chosen) == 7
    assert set(chosen.labels) <= {"muon", "xray"}


def test_frames_are_unlabelled(tmp_path: Path) -> None:
    from astropy.io import fits

    (tmp_path / "frames").mkdir()
    for name in ("a", "b"):
        frame = np.full((60, 50), 3900, np.uint16)
        for i in range(12):
            frame[4 * i + 1 : 4 * i + 4, 7:10] = 5000
        fits.PrimaryHDU(frame).writeto(tmp_path / "frames" / f"{name}.fits")
    clusters = data.load("ccd_clusters/fits", "all", manual_dir=tmp_path / "frames", data_dir=tmp_path / "d")
    assert len(clusters) == 24
    assert set(clusters.labels) == {""}
    assert set(clusters.table["source"]) == {"a.fits", "b.fits"}


def test_frames_bring_their_own_clustering(tmp_path: Path) -> None:
    from astropy.io import fits

    frame = np.full((30, 20), 100, np.uint16)
    frame[10:13, 6:9] = 300
    frame[:, 0] = 900
    fits.PrimaryHDU(frame).writeto(tmp_path / "a.fits")

    def load() -> list[int]:
        parts = data.load("ccd_clusters/fits", "all", manual_dir=tmp_path, data_dir=tmp_path / "d", allow_empty=True)
        return sorted(parts.sizes.tolist())

    settings = tmp_path / "clustering.json"
    settings.write_text('{"threshold": 200}')
    assert load() == [9, 30]
    settings.write_text('{"threshold": 200, "edge": [0, 0, 5, 0]}')
    assert load() == [9]
    settings.write_text('{"threshold": 2000}')
    with pytest.raises(InputError, match=r"no clusters in .*clustering\.json"):
        load()
    for text, message in (
        ('{"treshold": 200}', "treshold.*it may set threshold"),
        ('{"min_size": 0}', "min_size"),
        ("[]", "JSON object"),
    ):
        settings.write_text(text)
        with pytest.raises(InputError, match=message):
            load()


@pytest.mark.parametrize(
    ("dataset", "split", "message"),
    [
        ("ccd_cluster", "train", "unknown data set"),
        ("ccd_clusters/x", "train", "no configuration"),
        ("ccd_clusters", "dev", "--split"),
    ],
)
def test_unknown_names(dataset: str, split: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.load(dataset, split)


def test_without_a_network_the_public_set_is_asked_for_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("pooch.retrieve", refuse)
    with pytest.raises(InputError, match=r"cannot be downloaded \(no route to host\).*--manual-dir"):
        data.load(LABELLED, data_dir=tmp_path)


def test_offline_means_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTICLE_ZOO_OFFLINE", "1")
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: pytest.fail("asked the network"))
    with pytest.raises(InputError, match=r"PARTICLE_ZOO_OFFLINE.*--manual-dir"):
        data.load(LABELLED, data_dir=tmp_path)


def test_a_downloaded_archive_is_read_like_a_folder(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tarfile

    with tarfile.open(layout / "clusters.tar", "w") as archive:
        archive.add(layout / "clusters", arcname="clusters")
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: [str(p) for p in layout.rglob("*") if p.is_file()])
    downloaded = data.load(LABELLED, "all", data_dir=tmp_path)
    assert len(downloaded) == 60


def test_a_broken_source_leaves_nothing_prepared(layout: Path, tmp_path: Path) -> None:
    next((layout / "clusters").glob("0*.csv")).write_text("0,x\n")
    with pytest.raises(InputError, match="line 1"):
        data.load(LABELLED, "all", manual_dir=layout, data_dir=tmp_path / "d")
    assert not list((tmp_path / "d").rglob("dataset_info.json"))
