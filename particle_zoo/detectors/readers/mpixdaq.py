"""Files of mPIXdaq, the data acquisition of miniPIX EDU detectors (Timepix): frames or clusters in keV.

YAML, gzipped or not: `frame_data` is a list of frames `[[index, keV], ...]`; `cluster_data` is a list of
`[[properties], [[index, keV], ...]]`, the properties named by `keys`. index = width y + x. `... #end` closes a file.
A CSV holds the properties only, without pixels.
"""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import sentence
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers.format import Format, head, unpacked
from particle_zoo.errors import InputError

BATCH = 2000
"""Entries (frames or clusters) parsed at a time."""

TEXT = 2**22
"""Bytes of text read at a time."""

LARGEST = 2**26
"""Characters; more in a header or in one entry is no file of mPIXdaq."""

DATA = re.compile(r"^(frame_data|cluster_data):[ \t]*", re.MULTILINE)
NEXT_SECTION = re.compile(r"^(?:[A-Za-z_]\w*:|\.\.\.|---)", re.MULTILINE)
NO_NUMBERS = re.compile(r"[^][0-9eE+.,\s-]")
ENTRY = re.compile(r"^[ \t]*-(?=[ \t\n])", re.MULTILINE)
CSV_HEADER = "time,x_mean,y_mean,"
DAMAGE = (ValueError, OSError, OverflowError, EOFError, zlib.error)
"""What reading a property table raises, packed or not."""


@dataclass(frozen=True)
class _Piece:
    """Some entries of a file, in its text; `first` and `line` are the number and the line its first entry has."""

    path: Path
    text: str
    kind: str
    entries: tuple[tuple[int, int], ...]
    header: dict[str, Any]
    first: int
    line: int
    last: bool

    def place(self, entry: int) -> str:
        start = self.entries[entry][0]
        line = self.line + self.text.count("\n", 0, start)
        return f"{self.path}, line {line} ({self.kind[:-5]} {self.first + entry})"


def iter_parts(path: str | Path, *, partial: bool = False) -> Iterator[Clusters | Frames]:
    """Yield frames of a frame file, clusters of a cluster file or a property CSV; keV, in file order.

    The table of frames has `frame`, `time_s` (start of the frame in the run, without dead time), `duration_s` and
    `source`; bad pixels of the header are left out. Clusters of a cluster file have `time_s`.

    A CSV holds no pixels. Each of its clusters becomes ONE hit, which is no pixel of the detector: the rounded means
    x_mean and y_mean with the whole energy. The table has all properties named as in the file, and `summed_pixels`,
    the number of pixels (n_pix) that the stored hit stands for. Sizes, shapes and energies a pixel of such clusters
    mean nothing.

    Args:
        path: .yml or .yml.gz file, or .csv.
        partial: read what is there of a YAML file that ends without its end mark, as a crashed acquisition leaves it.

    Raises:
        InputError: damaged, truncated, or other content; names the line.
    """
    path = Path(path)
    if head(path).startswith(CSV_HEADER.encode()):
        yield from _summed(path)
        return
    for piece in _pieces(path, partial):
        from_entries: Callable[..., Iterator[Clusters | Frames]] = _frames if piece.kind == "frame_data" else _listed
        for start in range(0, len(piece.entries), BATCH):
            stop = min(start + BATCH, len(piece.entries))
            values = _values(piece, start, stop, partial)
            if values:
                yield from from_entries(piece, start, values)


def iter_clusters(path: str | Path, *, partial: bool = False) -> Iterator[Clusters]:
    """`iter_parts` of a file of clusters.

    Raises:
        InputError: also for a frame file.
    """
    for part in iter_parts(path, partial=partial):
        if isinstance(part, Frames):
            raise InputError(f"{path} holds frames; cluster them with particle_zoo.detectors.clustering.cluster")
        yield part


def read_properties(path: str | Path) -> pd.DataFrame:
    """The cluster properties of a CSV file of mPIXdaq, one row a cluster; float64 columns named as in the file.

    Raises:
        InputError: not this kind of file, or a cell that is no number.
    """
    path = Path(path)
    try:
        return pd.concat(list(_properties(path)), ignore_index=True)
    except DAMAGE as error:
        raise _no_properties(path, error) from error


def pixels_beside(path: Path) -> bool:
    """Whether a YAML file of the run whose properties a CSV holds lies beside it: NAME, NAME_clusters or NAME_frames."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".csv")
    wanted = {name + part + ending for part in ("", "_clusters", "_frames") for ending in FORMAT.suffixes}
    beside = (other for other in path.parent.iterdir() if other.name.lower() in wanted and other.is_file())
    return any(_recognise(head(other)) for other in beside)


def _properties(path: Path) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    from pyarrow import csv

    with unpacked(path) as file:
        names = [name.strip() for name in file.readline(TEXT).decode("ascii").split(",")]
        if not ",".join(names).startswith(CSV_HEADER) or len(set(names)) < len(names):
            raise ValueError("its header does not start with time,x_mean,y_mean or names a column twice")
        if not file.peek(1):  # type: ignore[attr-defined]
            yield pd.DataFrame(columns=names, dtype=np.float64)
            return
        with csv.open_csv(
            file,
            read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=TEXT),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=[""]),
        ) as blocks:
            for block in blocks:
                yield block.to_pandas()


def _no_properties(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is no property table of mPIXdaq ({sentence(str(error))[:120]}); give the .csv it wrote")


def _summed(path: Path) -> Iterator[Clusters]:
    done = 0
    try:
        for table in _properties(path):
            for name, least, most in (
                ("x_mean", 0, 2**12),
                ("y_mean", 0, 2**12),
                ("n_pix", 1, 2**24),
                ("energy", 0, 1e9),
            ):
                if name not in table:
                    raise ValueError(f"there is no column {name}")
                good = (table[name] >= least) & (table[name] < most)
                if not good.all():
                    i = int((~good).to_numpy().argmax())
                    raise ValueError(f"row {done + i + 1}: {name} is {table[name].iloc[i]}")
            if (table["n_pix"] % 1 != 0).any():
                raise ValueError(f"rows {done + 1} to {done + len(table)}: n_pix is no whole number somewhere")
            hits = np.column_stack([np.rint(table["y_mean"]), np.rint(table["x_mean"]), table["energy"]])
            columns: dict[str, Any] = {
                "id": [f"{path.name}:{done + i}" for i in range(len(table))],
                "label": "",
                "summed_pixels": table["n_pix"].astype(np.int64),
                "time_s": table["time"],
                "source": path.name,
            }
            done += len(table)
            if len(table):
                offsets = np.arange(len(table) + 1)
                yield Clusters(hits, ("row", "col", "energy"), offsets, table.assign(**columns), "keV")
    except DAMAGE as error:
        raise _no_properties(path, error) from error


def _pieces(path: Path, partial: bool) -> Iterator[_Piece]:
    blocks = _text(path)
    text = ""
    data = None
    while data is None or "\n" not in text[data.end() :]:
        block = next(blocks, "")
        text += block
        data = DATA.search(text)
        if not block or len(text) > LARGEST:
            break
    if data is None:
        raise InputError(f"{path} has neither frame_data nor cluster_data; expected a .yml or .yml.gz file of mPIXdaq")
    header, kind = _header(path, text[: data.start()]), data[1]
    # One character more: the rest of this line must not look like the start of one.
    line = text.count("\n", 0, data.end()) + 1
    text = text[data.end() - 1 :]
    first = 0
    last = False
    while not last:
        block = next(blocks, "")
        after = NEXT_SECTION.search(text)
        last = after is not None or not block
        if last and after is None and not partial:
            raise InputError(
                f"{path}, line {line + text.count(chr(10))}: the file stops before its end mark; copy it again, or read "
                "what is there with partial=True"
            )
        stop = after.start() if after else len(text)
        marks = list(ENTRY.finditer(text, 0, stop))
        # A comment or a list in one line would leave entries unseen.
        unseen = not marks and not first and text[1:stop].strip() not in ("", "[]")
        if (last and unseen) or len(text) > LARGEST + len(block):
            raise InputError(f"{path}, line {line}: expected a list, one '- [...]' an entry; copy the file again")
        starts = [mark.end() for mark in marks]
        ends = [*(mark.start() for mark in marks[1:]), stop]
        entries = list(zip(starts, ends, strict=False))
        # More of the last entry may follow.
        whole = entries if last else entries[:-1]
        if whole:
            yield _Piece(path, text, kind, tuple(whole), header, first, line, last)
        if whole and not last:
            kept = marks[-1].start()
            first, line, text = first + len(whole), line + text.count("\n", 0, kept), text[kept:]
        text += block
    # What follows is not needed, but has to be sound.
    for _ in blocks:
        pass


def _text(path: Path) -> Iterator[str]:
    """The text, a block at a time, every line end a line feed."""
    done = 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    try:
        with unpacked(path) as file:
            while block := file.read(TEXT):
                if decoded := lines.decode(block):
                    yield decoded
                done += len(block)
        if decoded := lines.decode(b"", final=True):
            yield decoded
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is a damaged gzip file, {done} bytes of text into it ({sentence(str(error))[:80]}); copy it again"
        ) from error
    except UnicodeDecodeError as error:
        place = max(done - 3, 0) + error.start
        raise InputError(f"{path}, near byte {place} of the text: not UTF-8; copy the file again") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error


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


def _values(piece: _Piece, start: int, stop: int, partial: bool) -> list[Any]:
    """Entries start..stop. They are JSON, which parses 40 times as fast as YAML."""
    texts = [piece.text[a:b].strip() or "[]" for a, b in piece.entries[start:stop]]
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
            if partial and piece.last and start + i == len(piece.entries) - 1:
                break
            raise InputError(
                f"{piece.place(start + i)}: expected lists of [index, keV]; received {' '.join(text.split())[:40]!r}; "
                "copy the file again"
            ) from error
    return values


def _pixels(piece: _Piece, start: int, lists: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) index and keV of all pixels, and how many each entry has."""
    try:
        flat = np.array(list(itertools.chain.from_iterable(lists)) or np.empty((0, 2)))
        sound = flat.ndim == 2 and flat.shape[1] == 2 and flat.dtype.kind in "if" and bool(np.isfinite(flat).all())
    except (ValueError, TypeError, OverflowError):
        sound = False
    pixels = piece.header["width"] * piece.header["height"]
    if sound:
        index = flat[:, 0]
        sound = bool(((index >= 0) & (index < pixels) & (index == np.floor(index)) & (abs(flat[:, 1]) < 1e9)).all())
    if sound:
        return flat.astype(np.float64), np.array([len(entry) for entry in lists], np.int64)
    bad = next((i for i, entry in enumerate(lists) if not _sound(entry, pixels)), 0)
    raise InputError(
        f"{piece.place(start + bad)}: expected [index, keV] with an index below {pixels}; received "
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


def _listed(piece: _Piece, start: int, values: list[Any]) -> Iterator[Clusters]:
    """Clusters of a cluster file."""
    keys = piece.header["keys"]
    for i, entry in enumerate(values):
        whole = isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, list) for part in entry)
        if not whole or len(entry[0]) != len(keys) or not entry[1]:
            raise InputError(
                f"{piece.place(start + i)}: expected [[{len(keys)} properties], [[index, keV], ...]]; received "
                f"{str(entry)[:40]}; copy the file again"
            )
    flat, sizes = _pixels(piece, start, [entry[1] for entry in values])
    time = np.full(len(values), np.nan)
    if "time" in keys:
        raw = [entry[0][keys.index("time")] for entry in values]
        time = np.array([t if type(t) in (int, float) else np.nan for t in raw], float)
    row, col = np.divmod(flat[:, 0], piece.header["width"])
    hits = np.column_stack([row, col, flat[:, 1]]).astype(np.float32)
    table = pd.DataFrame(
        {
            "id": [f"{piece.path.name}:{piece.first + start + i}" for i in range(len(values))],
            "label": "",
            "time_s": time,
            "source": piece.path.name,
        }
    )
    yield Clusters(hits, ("row", "col", "energy"), np.concatenate([[0], np.cumsum(sizes)]), table, "keV")


def _frames(piece: _Piece, start: int, values: list[Any]) -> Iterator[Frames]:
    """Frames of a frame file."""
    flat, sizes = _pixels(piece, start, values)
    width, height = piece.header["width"], piece.header["height"]
    good = ~np.isin(flat[:, 0], piece.header["badPixels"]) & (flat[:, 1] > 0)
    kept = np.bincount(np.repeat(np.arange(len(values)), sizes)[good], minlength=len(values))
    row, col = np.divmod(flat[good, 0].astype(np.int64), width)
    frame = piece.first + np.arange(start, start + len(values))
    duration = float(piece.header["acq_time"])
    table = pd.DataFrame(
        {"frame": frame, "time_s": frame * duration, "duration_s": duration, "source": piece.path.name}
    )
    offsets = np.concatenate([[0], np.cumsum(kept)])
    yield Frames(row, col, flat[good, 1].astype(np.float32), offsets, (height, width), table, "keV")


def _recognise(start: bytes) -> bool:
    return (
        start.startswith(CSV_HEADER.encode()) or re.search(rb"^(?:frame_data|cluster_data):", start, re.M) is not None
    )


FORMAT = Format("mPIXdaq", (".yml", ".yml.gz", ".yaml", ".yaml.gz"), _recognise, iter_parts, ("partial",))
