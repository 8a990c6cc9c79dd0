"""Frames as two-dimensional ROOT histograms, one a frame, named `pic_runR_evE` (CYGNO).

A histogram is filled as [x, y]; it is transposed here, so that its first y bin is row 0. Reading needs uproot.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.detectors.camera.source import Source, check_size, frame_table, reading
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

MAGIC = b"root"

NUMBERS = re.compile(r"pic.*?(?:run(?P<run>\d+).*?)?(?P<event>\d+)\D*$", re.IGNORECASE)
"""Run and event in the name of a histogram."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A ROOT file, closed at the end of the block, without a cache of what was read from it.

    Raises:
        InputError: no uproot, or a damaged file.
    """
    try:
        import uproot
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path} is a ROOT file, which needs uproot; install it with: pip install 'particle-zoo[root]'"
        ) from error
    with reading(path, "ROOT"), uproot.open(path, object_cache=None, array_cache=None) as file:
        yield file


def sources(path: Path) -> Iterator[Source]:
    """Yield the frames of a file in the order of their runs and events; the table has `run` where the names do.

    Raises:
        InputError: damaged, without such a histogram, or one of another dimension.
    """
    with opened(path) as file:
        found = []
        for key, kind in file.classnames(recursive=False, cycle=False).items():
            match = NUMBERS.search(key)
            if match is None or not kind.startswith(("TH1", "TH2", "TH3")):
                continue
            if not kind.startswith("TH2"):
                raise InputError(f"{path}: {key} is a {kind}; expected a two-dimensional histogram (TH2) a frame")
            found.append((int(match["run"] or -1), int(match["event"]), key))
        if not found:
            raise InputError(
                f"{path} holds no frame; expected two-dimensional histograms named pic_runR_evE, found "
                f"{', '.join(file.keys(recursive=False, cycle=False)[:5]) or 'nothing'}"
            )
        found.sort()
        shape = check_size(str(path), file[found[0][2]].values(flow=False).T.shape)
    runs, events, keys = zip(*found, strict=True)
    columns = {} if min(runs) < 0 else {"run": np.array(runs)}
    yield Source(str(path), shape, frame_table(path, events, **columns), partial(_images, path, keys))


def _images(path: Path, keys: tuple[str, ...], positions: Sequence[int]) -> Generator[np.ndarray, None, None]:
    with opened(path) as file:
        for position in positions:
            with reading(path, f"ROOT histogram {keys[position]} in the"):
                image = np.asarray(file[keys[position]].values(flow=False))
            yield image.T


FORMAT = Format("ROOT", (".root",), lambda start: start.startswith(MAGIC), sources)
