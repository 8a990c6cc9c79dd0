"""What happens where files cannot grow, as on a full disk or beyond a quota."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from particle_zoo import InputError, registry, weights
from particle_zoo.cli import replacing
from particle_zoo.data.cluster_stream import ClusterStream
from tests.conftest import write_pixel_files

resource = pytest.importorskip("resource")
needs_fallocate = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="free space alone is looked at")


@contextlib.contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process can be larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@needs_fallocate
def test_weights_that_find_no_room_are_an_error_that_names_them_and_leave_what_was_there(tmp_path: Path) -> None:
    model, path = registry.create("tiny_cnn"), tmp_path / "model.weights.h5"
    weights.save(model, path)
    before = path.read_bytes()
    with files_end_at(20_000), pytest.raises(OSError, match=r"model\.weights\.h5"):
        weights.save(model, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_fallocate_the_free_space_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "no such thing here")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    model, path = registry.create("tiny_cnn"), tmp_path / "model.weights.h5"
    weights.save(model, path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 20_000))
    with pytest.raises(OSError, match=r"No space left on device.*model\.weights\.h5"):
        weights.save(model, path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["tiny_cnn", "tiny_vae", "tiny_effnet_ae", "tiny_timepix_cnn", "tiny_jet_ae"])
def test_the_room_that_is_asked_for_is_enough_and_not_much_more(name: str, tmp_path: Path) -> None:
    model = registry.create(name)
    weights.save(model, tmp_path / "model.weights.h5")
    taken = (tmp_path / "model.weights.h5").stat().st_size
    assert taken < weights.most_bytes(model) < 2 * taken + 2**18


def test_any_file_without_room_is_named(tmp_path: Path) -> None:
    with (
        files_end_at(1000),
        pytest.raises(OSError, match=r"state\.npz"),
        replacing(tmp_path / "state.npz") as temporary,
    ):
        np.savez(temporary, values=np.zeros(1000))
    assert not list(tmp_path.iterdir())


def test_a_data_set_without_room_is_one_sentence_and_is_prepared_later(tmp_path: Path) -> None:
    files = write_pixel_files(tmp_path / "files")
    source: dict[str, Any] = {"manual_dir": files, "data_dir": tmp_path / "data"}
    with (
        files_end_at(100),
        pytest.raises(InputError, match=r"cannot be prepared in .*; make room there, or give another"),
    ):
        ClusterStream.open("timepix1_clusters/files", **source)
    assert len(ClusterStream.open("timepix1_clusters/files", **source))
