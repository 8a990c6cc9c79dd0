"""Exports that fail: what is told, and that nothing is left."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from particle_zoo.errors import FormatRefusedError, InputError
from particle_zoo.exporting import families, formats
from particle_zoo.exporting.graph import Examples
from tests import jet_runs
from tests.exporting.test_export import made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one whose export takes no time."""
    return jet_runs.write_run(tmp_path_factory.mktemp("runs") / "tiny_jet_ae")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with kernels that are stored as int8."""
    return jet_runs.write_run(tmp_path_factory.mktemp("runs") / "wide", hidden=[64, 64])


def falsified(monkeypatch: pytest.MonkeyPatch, kind: str, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Have the runtime of a format give outputs that are changed in place."""
    form = formats.FORMATS[kind]

    def off(path: Path) -> formats.Runner:
        right = form.open(path)

        def say(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            found = right(inputs)
            change(found)
            return found

        return say

    monkeypatch.setitem(formats.FORMATS, kind, dataclasses.replace(form, open=off))


@pytest.mark.parametrize(("wrong", "said"), [(2e-4, "differs from Keras by"), (np.nan, "gives NaN or infinity")])
def test_a_file_that_says_something_else_is_not_left(
    run: Path, wrong: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(found: dict[str, np.ndarray]) -> None:
        # Of azimuths alone, which are a thousandth of the energies beside them.
        found["decoded"][0, 2] += wrong * np.abs(found["decoded"][:, 2]).max()

    falsified(monkeypatch, "onnx", change)
    with pytest.raises(FormatRefusedError, match=f"onnx {said}.* no file was written; try another"):
        made(run, "onnx", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_int8_may_be_inexact_but_not_without_a_number(
    wide: Path, wrong: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(found: dict[str, np.ndarray]) -> None:
        found["decoded"][0, 2] = wrong

    falsified(monkeypatch, "litert_int8", change)
    with pytest.raises(FormatRefusedError, match=r"litert_int8 gives NaN or .* no file was written; leave out --int8"):
        made(wide, "litert_int8", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_keras_cannot_say_is_compared_with_nothing(
    wide: Path, wrong: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = families.examples

    def examples(*args: Any) -> Examples:
        tried = right(*args)

        def expected(start: int, end: int) -> dict[str, np.ndarray]:
            # Of the second output: NaN behind a number is lost in Python's maximum.
            found = tried.expected(start, end)
            return found | {"decoded": np.full_like(found["decoded"], wrong)}

        return dataclasses.replace(tried, expected=expected)

    monkeypatch.setattr(families, "examples", examples)
    with pytest.raises(FormatRefusedError, match="no file was written"):
        made(wide, "litert_int8", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_without_a_number_of_the_system_is_of_the_format(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("libx.so: cannot open shared object file")

    monkeypatch.setitem(formats.FORMATS, "onnx", dataclasses.replace(formats.FORMATS["onnx"], open=fail))
    with pytest.raises(
        FormatRefusedError, match=r"cannot be opened as onnx: libx\.so: cannot open shared object file; try"
    ):
        made(run, "onnx", tmp_path)


@pytest.mark.parametrize("rows", [4, 1])
def test_a_runtime_that_fails_is_one_sentence(
    run: Path, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the 4 examples that are compared, or with the one that is timed only."""
    form = formats.FORMATS["onnx"]

    def failing(path: Path) -> formats.Runner:
        right = form.open(path)

        def say(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            if len(inputs["jets"]) == rows:
                raise RuntimeError("Op\nnot there")
            return right(inputs)

        return say

    monkeypatch.setitem(formats.FORMATS, "onnx", dataclasses.replace(form, open=failing))
    message = "tiny_jet_ae cannot be run as onnx: Op not there; try another --format"
    with pytest.raises(FormatRefusedError, match=f"^{message}$"):
        made(run, "onnx", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_examples_that_cannot_be_read_are_no_fault_of_the_format(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = families.examples

    def fail(start: int, end: int) -> dict[str, np.ndarray]:
        raise InputError("a damaged record")

    monkeypatch.setattr(families, "examples", lambda *args: dataclasses.replace(right(*args), some=fail))
    with pytest.raises(InputError, match="a damaged record") as error:
        made(run, "onnx", tmp_path)
    assert not isinstance(error.value, FormatRefusedError)


@pytest.mark.parametrize("error", [Exception("Op\nnot known"), KeyboardInterrupt()])
def test_a_conversion_that_fails_leaves_nothing(
    run: Path, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(graph: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setitem(formats.FORMATS, "onnx", dataclasses.replace(formats.FORMATS["onnx"], write=fail))
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InputError
    with pytest.raises(expected, match=r"^$|cannot be written as onnx: Op not known; try another --format"):
        made(run, "onnx", tmp_path)
    assert list(tmp_path.iterdir()) == []


def of_tensorflow(kind: str, text: str) -> Exception:
    import tensorflow as tf

    error: Exception = getattr(tf.errors, kind)(None, None, text)
    return error


@pytest.mark.parametrize("fails", ["write", "open", "run"])
@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError, r"No space left.*tiny_jet_ae\.onnx"),
        (lambda: of_tensorflow("ResourceExhaustedError", "f; No space left on device"), OSError, r"left.*_ae\.onnx"),
        (lambda: MemoryError("no more"), MemoryError, "^no more$"),
        (lambda: of_tensorflow("ResourceExhaustedError", "OOM of a\ntensor"), MemoryError, "OOM of a tensor"),
    ],
    ids=["disk", "disk of TensorFlow", "memory", "memory of TensorFlow"],
)
def test_a_full_disk_or_memory_is_no_fault_of_the_format(
    run: Path,
    fails: str,
    error: Callable[[], Exception],
    expected: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> Any:
        raise error()

    parts = {"open": lambda _: fail} if fails == "run" else {fails: fail}
    if fails != "write":
        parts["write"] = lambda _, path: path.write_bytes(b"whole")
    monkeypatch.setitem(formats.FORMATS, "onnx", dataclasses.replace(formats.FORMATS["onnx"], **parts))
    with pytest.raises(expected, match=message) as found:
        made(run, "onnx", tmp_path)
    # Else a release would keep it on the card.
    assert not isinstance(found.value, FormatRefusedError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["onnx", "saved_model"])
def test_a_file_without_room_is_an_error_that_names_it(run: Path, kind: str, tmp_path: Path) -> None:
    from tests.test_full_disk import files_end_at

    with files_end_at(1500), pytest.raises(OSError, match=r"File too large: '.*tiny_jet_ae(\.onnx|_saved_model)'$"):
        made(run, kind, tmp_path)
    assert list(tmp_path.iterdir()) == []
