"""Files of compressed jets: what goes in comes out, or the file is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from particle_zoo.errors import InputError
from particle_zoo.jet_file import JetFileHead, read_head, stored
from particle_zoo.jet_file_writer import ENCODING, storing
from particle_zoo.jets import FOUR_MOMENTUM


def store(path: Path, head: JetFileHead, *parts: np.ndarray) -> None:
    with storing(path, head) as write:
        for latent in parts:
            write(latent, pd.DataFrame(index=range(len(latent))))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_encodings_are_larger(dtype: str) -> None:
    latent = np.random.default_rng(0).normal(size=(20_000, 3)).astype(dtype)
    columns = pa.table({f"z{i}": np.ascontiguousarray(column) for i, column in enumerate(latent.T)})

    def size(**changed: Any) -> int:
        sink = pa.BufferOutputStream()
        pq.write_table(columns, sink, **{**ENCODING, **changed})
        return len(sink.getvalue())

    ours = size()
    assert ours < 0.96 * size(compression="zstd", compression_level=3)
    assert ours < 0.96 * size(use_byte_stream_split=False)
    assert ours < 0.8 * size(use_byte_stream_split=False, use_dictionary=True)
    assert ours < 1.02 * size(compression="zstd", compression_level=15)


def test_numbers_that_a_dtype_cannot_hold_are_refused(tmp_path: Path) -> None:
    head = JetFileHead(model="m", weights_sha256="", settings_sha256="", variables=("pt",), latent=2)
    half = head.model_copy(update={"dtype": "float16"})
    latent = np.array([[1, 2], [3, 70_000]], np.float32)
    store(tmp_path / "a.z", head, latent)
    with pytest.raises(InputError, match="z1 of jet 4 is 70000, which float16 cannot hold; take --dtype float32"):
        store(tmp_path / "b.z", half, latent[:1].repeat(3, 0), latent)
    latent[0, 0] = np.nan
    for asked in (head, half):
        with pytest.raises(
            InputError, match=f"z0 of jet 0 is nan, which {asked.dtype} cannot hold; the weights are damaged"
        ):
            store(tmp_path / "b.z", asked, latent)


def test_kept_columns_come_back_with_their_types(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "whole": pd.array([1, None, 2**62 + 1], dtype="Int64"),
            "category": pd.Categorical(["b", "a", "b"]),
            "text": pd.Series(["x", None, "µ"], dtype=object),
            "when": pd.date_range("2024-05-01", periods=3),
            "hits": [[1, 2], [], [3]],
            "half": np.array([1.5, -0.0, 3], np.float16),
        }
    )
    head = JetFileHead(
        model="m", weights_sha256="", settings_sha256="", variables=("pt",), latent=1, kept=tuple(table.columns)
    )
    with storing(tmp_path / "a.z", head) as write:
        write(np.zeros((3, 1), np.float32), table)
    ((_, kept),) = stored(tmp_path / "a.z")
    assert kept["whole"].to_pylist() == [1, None, 2**62 + 1]
    assert kept["category"].to_pylist() == ["b", "a", "b"]
    assert kept["text"].to_pylist() == ["x", None, "µ"]
    assert kept["when"].to_pylist() == table["when"].tolist()
    assert kept["hits"].to_pylist() == table["hits"].tolist()
    assert kept["half"].to_numpy().tobytes() == table["half"].to_numpy().tobytes()
    assert read_head(tmp_path / "a.z").types == tuple(map(str, kept.schema.types))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, list[Any]]:
    """A file of three row groups with what it holds, and a place beside it for damaged copies."""
    path = tmp_path_factory.mktemp("whole") / "whole.z"
    latent = np.random.default_rng(2).normal(size=(900, 3)).astype(np.float32)
    head = JetFileHead(
        model="m", weights_sha256="a", settings_sha256="b", variables=FOUR_MOMENTUM, latent=3, kept=("event",)
    )
    events = np.arange(900) % 311
    with pytest.MonkeyPatch.context() as patch, storing(path, head) as write:
        patch.setattr("particle_zoo.jet_file_writer.ROWS", 300)
        for start in range(0, 900, 300):
            write(latent[start : start + 300], pd.DataFrame({"event": events[start : start + 300]}))
    return path, latent, events.tolist()


def read_all(path: Path) -> tuple[np.ndarray, list[Any]]:
    parts = list(stored(path))
    return np.concatenate([latent for latent, _ in parts]), [v for _, kept in parts for v in kept["event"].to_pylist()]


@hypothesis.given(share=st.floats(0, 1, exclude_max=True))
@hypothesis.settings(max_examples=60, derandomize=True)
def test_a_file_that_was_cut_short_is_refused(whole: tuple[Path, np.ndarray, list[Any]], share: float) -> None:
    data = whole[0].read_bytes()
    path = whole[0].with_name("cut.z")
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"cut\.z (is damaged or was cut short|holds no compressed jets)"):
        read_head(path)


@hypothesis.given(share=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
@hypothesis.settings(max_examples=400, derandomize=True)
def test_a_changed_byte_is_refused_or_changes_no_number(
    whole: tuple[Path, np.ndarray, list[Any]], share: float, value: int
) -> None:
    data = bytearray(whole[0].read_bytes())
    data[int(share * len(data))] ^= value
    path = whole[0].with_name("changed.z")
    path.write_bytes(data)
    try:
        latent, events = read_all(path)
    except InputError:
        return
    np.testing.assert_array_equal(latent, whole[1])
    assert events == whole[2]
