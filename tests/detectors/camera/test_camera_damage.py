from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.detectors.camera import open_frames
from tests.detectors.camera.camera_files import WRITERS, asymmetric
from tests.detectors.damage import broken, damages

fuzzed = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def frames_or_one_sentence(path: Path) -> str:
    """The error sentence of a damaged run, "" where all of it could be read."""
    message = ""
    try:
        for frame in open_frames(path):
            assert frame.dtype == np.uint16
            assert frame.ndim == 2
    except InputError as error:
        message = str(error)
    assert not message or path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", WRITERS)
@given(**damages)
@fuzzed
def test_damage_is_one_sentence(tmp_path: Path, name: str, cut: int, flips: list[tuple[int, int]]) -> None:
    source = tmp_path / f"whole-{name}"
    content = source.read_bytes() if source.exists() else WRITERS[name](source, asymmetric()).read_bytes()
    path = tmp_path / name
    path.write_bytes(broken(content, cut, flips))
    frames_or_one_sentence(path)


@pytest.mark.parametrize("name", WRITERS)
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
@fuzzed
def test_flipped_headers(tmp_path: Path, name: str, position: int, bit: int) -> None:
    """The head of a file, or its tail, where ROOT and zip keep their directories."""
    source = tmp_path / f"whole-{name}"
    content = source.read_bytes() if source.exists() else WRITERS[name](source, asymmetric()).read_bytes()
    damaged = bytearray(content)
    place = position % min(300, len(damaged))
    damaged[place if position % 2 else len(damaged) - 1 - place] ^= 1 << bit
    path = tmp_path / name
    path.write_bytes(damaged)
    frames_or_one_sentence(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", WRITERS)
def test_truncation_is_never_silent(tmp_path: Path, name: str, share: float) -> None:
    images = np.random.default_rng(3).integers(0, 65536, (6, 40, 60)).astype(np.uint16)
    path = WRITERS[name](tmp_path / name, images)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert frames_or_one_sentence(path)
