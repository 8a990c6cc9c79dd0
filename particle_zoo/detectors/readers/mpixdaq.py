"""Files of mPIXdaq, the data acquisition of miniPIX EDU detectors (Timepix): frames or clusters in keV.

YAML, gzipped or not: `frame_data` is a list of frames `[[index, keV], ...]`; `cluster_data` is a list of
`[[properties], [[index, keV], ...]]`, the properties named by `keys`. index = width y + x. `... #end` closes a file.
A CSV holds the properties of clusters only, without pixels.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import sentence
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers.format import Format, head
from particle_zoo.errors import InputError

BATCH = 2000
"""Entries (frames or clusters) parsed at a time."""

DATA = re.compile(r"^(frame_data|cluster_data):[ \t]*", re.MULTILINE)
NEXT_SECTION = re.compile(r"^(?:[A-Za-z_]\w*:|\.\.\.|---)", re.MULTILINE)
NO_NUMBERS = re.compile(r"[^][0-9eE+.,\s-]")
ENTRY = re.compile(r"^[ \t]*-(?=[ \t\n])", re.MULTILINE)
CSV_HEADER = "time,x_mean,y_mean,"


@dataclass(frozen=True)
class _File:
    path: Path
    text: str
    kind: str
    entries: tuple[tuple[int, int], ...]
    header: dict[str, Any]

    def place(self, entry: int) -> str:
        start = self.entries[entry][0]
        line = self.text.count("\n", 0, start) + 1
        return f"{self.path}, line {line} ({self.kind[:-5]} {entry})"


def iter_parts(path: str | Path, *, partial: bool = False) -> Iterator[Clusters | Frames]:
    """Yield the frames of a frame file or the clusters of a cluster file, in keV, in file order.

    Frames have `frame`, `time_s` (the start of the frame after that of the run) and `duration_s` in their table; bad pixels
    of the header are left out. Clusters have `time_s`. The CSV of properties has no pixels: each of its clusters becomes one
    hit with all the energy, `summed_pixels` says for how many pixels it stands, and the table has all properties.

    Args:
        path: .yml, .yml.gz or .csv file.
        partial: read what is there of a file that ends without its end mark, as a crashed acquisition leaves it.

    Raises:
        InputError: damaged, truncated, or other content; names the line.
    """
    if head(Path(path)).startswith(CSV_HEADER.encode()):
        yield from _iter_properties(Path(path))
        return
    file = _open(Path(path), partial)
    for start in range(0, len(file.entries), BATCH):
        stop = min(start + BATCH, len(file.entries))
        values = _values(file, start, stop, partial)
        if values:
            yield from _frames(file, start, values) if file.kind == "frame_data" else _listed(file, start, values)


def read_properties(path: str | Path) -> pd.DataFrame:
    """The cluster properties of a CSV file of mPIXdaq, one row a cluster; float64 columns named as in the file.

    Raises:
        InputError: not this kind of file, or a cell that is no number.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, skipinitialspace=True)
        if not ",".join(table.columns).startswith(CSV_HEADER):
            raise ValueError("its header does not start with time,x_mean,y_mean")
        return table.astype(np.float64)
    except (ValueError, OSError, OverflowError) as error:
        raise InputError(
            f"{path} is no property table of mPIXdaq ({sentence(str(error))[:120]}); give the .csv it wrote"
        ) from error


def _open(path: Path, partial: bool) -> _File:
    text = _text(path)
    data = DATA.search(text)
    if data is None:
        raise InputError(f"{path} has neither frame_data nor cluster_data; expected a .yml or .yml.gz file of mPIXdaq")
    after = NEXT_SECTION.search(text, data.end())
    if after is None and not partial:
        raise InputError(
            f"{path}, line {text.count(chr(10)) + 1}: the file stops before its end mark; copy it again, or read what "
            "is there with partial=True"
        )
    stop = after.start() if after else len(text)
    marks = list(ENTRY.finditer(text, data.end(), stop))
    starts = [mark.end() for mark in marks]
    # A comment or a list in one line would leave entries unseen.
    if not starts and text[data.end() : stop].strip() not in ("", "[]"):
        line = text.count("\n", 0, data.end()) + 1
        raise InputError(f"{path}, line {line}: expected a list, one '- [...]' an entry; copy the file again")
    ends = [*(mark.start() for mark in marks[1:]), stop]
    return _File(path, text, data[1], tuple(zip(starts, ends, strict=False)), _header(path, text[: data.start()]))


def _text(path: Path) -> str:
    parts: list[bytes] = []
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            while block := file.read(2**20):
                parts.append(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is a damaged gzip file, {sum(map(len, parts))} bytes of text into it "
            f"({sentence(str(error))[:80]}); copy it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error
    content = b"".join(parts)
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, byte {error.start} of the text: not UTF-8; copy the file again") from error


def _header(path: Path, text: str) -> dict[str, Any]:
    import yaml

    try:
        header = yaml.load(text, yaml.CSafeLoader) or {}
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError, TypeError, KeyError, IndexError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise InputError(f"{path}, line {line}: the header is no YAML; copy the file again") from error
    found: dict[str, Any] = {"width": 256, "height": 256, "acq_time": float("nan"), "badPixels": [], "keys": []}
    if isinstance(header, dict):
        for section in ("deviceInfo", "meta_data"):
            if isinstance(header.get(section), dict):
                found.update({k: v for k, v in header[section].items() if k in ("width", "height", "acq_time")})
        found.update({k: header[k] for k in ("badPixels", "keys") if header.get(k) is not None})
    whole = all(isinstance(found[k], int) and 0 < found[k] <= 4096 for k in ("width", "height"))
    numbers = isinstance(found["badPixels"], list) and all(isinstance(i, int) for i in found["badPixels"])
    time = isinstance(found["acq_time"], (int, float))
    if not (whole and numbers and time and isinstance(found["keys"], list)):
        raise InputError(f"{path}: the header's width, height, acq_time, badPixels or keys are damaged; copy it again")
    return found


def _values(file: _File, start: int, stop: int, partial: bool) -> list[Any]:
    """Entries start..stop. They are JSON, which parses 40 times as fast as YAML."""
    texts = [file.text[a:b].strip() or "[]" for a, b in file.entries[start:stop]]
    joined = f"[{','.join(texts)}]"
    try:
        if NO_NUMBERS.search(joined) is None and len(values := json.loads(joined)) == len(texts):
            return values
    except (ValueError, RecursionError):
        pass
    # Something is wrong: look for the entry.
    values = []
    for i, text in enumerate(texts):
        try:
            if NO_NUMBERS.search(text) is not None:
                raise ValueError
            values.append(json.loads(text))
        except (ValueError, RecursionError) as error:
            if partial and start + i == len(file.entries) - 1:
                break
            raise InputError(
                f"{file.place(start + i)}: expected lists of [index, keV]; received {' '.join(text.split())[:40]!r}; "
                "copy the file again"
            ) from error
    return values


def _pixels(file: _File, start: int, lists: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) index and keV of all pixels, and how many each entry has."""
    try:
        flat = np.array(list(itertools.chain.from_iterable(lists)) or np.empty((0, 2)))
        sound = flat.ndim == 2 and flat.shape[1] == 2 and flat.dtype.kind in "if" and bool(np.isfinite(flat).all())
    except (ValueError, TypeError, OverflowError):
        sound = False
    pixels = file.header["width"] * file.header["height"]
    if sound:
        index = flat[:, 0]
        sound = bool(((index >= 0) & (index < pixels) & (index == np.floor(index)) & (abs(flat[:, 1]) < 1e9)).all())
    if sound:
        return flat.astype(np.float64), np.array([len(entry) for entry in lists], np.int64)
    bad = next((i for i, entry in enumerate(lists) if not _sound(entry, pixels)), 0)
    raise InputError(
        f"{file.place(start + bad)}: expected [index, keV] with an index below {pixels}; received "
        f"{str(lists[bad])[:40]}; copy the file again"
    )


def _sound(entry: Any, pixels: int) -> bool:
    return isinstance(entry, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(value) in (int, float) and abs(value) < 1e9 for value in pair)
        and 0 <= pair[0] < pixels
        and pair[0] == int(pair[0])
        for pair in entry
    )


def _listed(file: _File, start: int, values: list[Any]) -> Iterator[Clusters]:
    """Clusters of a cluster file."""
    keys = file.header["keys"]
    for i, entry in enumerate(values):
        whole = isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, list) for part in entry)
        if not whole or len(entry[0]) != len(keys) or not entry[1]:
            raise InputError(
                f"{file.place(start + i)}: expected [[{len(keys)} properties], [[index, keV], ...]]; received "
                f"{str(entry)[:40]}; copy the file again"
            )
    flat, sizes = _pixels(file, start, [entry[1] for entry in values])
    time = np.full(len(values), np.nan)
    if "time" in keys:
        raw = [entry[0][keys.index("time")] for entry in values]
        time = np.array([t if type(t) in (int, float) else np.nan for t in raw], float)
    row, col = np.divmod(flat[:, 0], file.header["width"])
    hits = np.column_stack([row, col, flat[:, 1]]).astype(np.float32)
    table = pd.DataFrame(
        {
            "id": [f"{file.path.name}:{start + i}" for i in range(len(values))],
            "label": "",
            "time_s": time,
            "source": file.path.name,
        }
    )
    yield Clusters(hits, ("row", "col", "energy"), np.concatenate([[0], np.cumsum(sizes)]), table, "keV")


def _frames(file: _File, start: int, values: list[Any]) -> Iterator[Frames]:
    """Frames of a frame file, without the bad pixels of its header."""
    flat, sizes = _pixels(file, start, values)
    width, height = file.header["width"], file.header["height"]
    good = ~np.isin(flat[:, 0], file.header["badPixels"]) & (flat[:, 1] > 0)
    number = np.repeat(np.arange(len(values)), sizes)[good]
    row, col = np.divmod(flat[good, 0].astype(np.int64), width)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(values)))])
    frame = start + np.arange(len(values))
    duration = float(file.header["acq_time"])
    table = pd.DataFrame({"frame": frame, "time_s": frame * duration, "duration_s": duration, "source": file.path.name})
    yield Frames(row, col, flat[good, 1].astype(np.float32), offsets, (height, width), table, "keV")


def _iter_properties(path: Path) -> Iterator[Clusters]:
    """The clusters of a CSV of properties, each as one hit at its mean position that has all of its energy."""
    properties = read_properties(path)
    pixels = properties["n_pix"].to_numpy()
    if not (np.isfinite(properties[["x_mean", "y_mean", "n_pix", "energy"]]).all().all() and (pixels >= 1).all()):
        raise InputError(f"{path}: a cluster without position, energy or pixels; copy the file again")
    place = properties[["y_mean", "x_mean"]].round().to_numpy()
    if not ((place >= 0) & (place < 4096)).all():
        raise InputError(f"{path}: a cluster outside of every chip; copy the file again")
    hits = np.column_stack([place, properties["energy"]]).astype(np.float32)
    n = len(properties)
    table = pd.DataFrame(
        {
            "id": [f"{path.name}:{i}" for i in range(n)],
            "label": "",
            "time_s": properties["time"],
            "summed_pixels": pixels.astype(np.int64),
            **{f"mpixdaq_{name}": properties[name] for name in properties},
            "source": path.name,
        }
    )
    if n:
        yield Clusters(hits, ("row", "col", "energy"), np.arange(n + 1), table, "keV")


def _recognise(start: bytes) -> bool:
    return (
        start.startswith(CSV_HEADER.encode()) or re.search(rb"^(?:frame_data|cluster_data):", start, re.M) is not None
    )


FORMAT = Format("mPIXdaq", (".yml", ".yml.gz", ".yaml", ".yaml.gz"), _recognise, iter_parts, ("partial",))
