"""Energy deposits of a Geant4 simulation as CSV, as the DepositionReader of Allpix Squared takes them.

`Event: N` opens an event; then a row a deposit, `PDG, T, E, X, Y, Z, volume, track, parent`. Deposits are not pixels: this
package's own charge collection and readout (`particle_zoo.simulation`) make clusters of them. `#` begins a comment.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.text import records
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    from particle_zoo.simulation.sensor import SensorConfig

COLUMNS = ("pdg", "t", "e", "x", "y", "z", "volume", "track", "parent")
EVENT = re.compile(rb"^Event:[ \t]*(\d{1,15})[ \t\r]*$", re.MULTILINE)
COMMENT = re.compile(rb"#[^\n]*")
BLOCK = 2**22
LENGTHS = {"mm": 1e3, "um": 1.0, "cm": 1e4, "m": 1e6}
ENERGIES = {"MeV": 1e3, "keV": 1.0, "eV": 1e-3, "GeV": 1e6}
TIMES = {"ns": 1.0, "us": 1e3, "ps": 1e-3, "s": 1e9}
SHORTEST_UM = 0.1
LARGEST = 1e12
"""Of any time, energy or place, in the units of the file."""


def iter_clusters(
    path: str | Path,
    *,
    sensor: str | SensorConfig = "timepix3_500um",
    volume: str | None = None,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    seed: int = 0,
    unit_length: str = "mm",
    unit_energy: str = "MeV",
    unit_time: str = "ns",
    block: int = BLOCK,
) -> Iterator[Clusters]:
    """Yield the clusters, in keV, event by event.

    Args:
        path: file.
        sensor: preset or configuration of the simulation.
        volume: name of the volume whose deposits count; all by default.
        origin: centre of the sensor in the coordinates of the file, in its unit of length; its columns run along x, its
            rows along y, and the pixels are at the end of large z, as in Allpix Squared.
        seed: of noise and readout.
        unit_length: mm (the reader's default), um, cm or m.
        unit_energy: MeV (default), keV, eV or GeV.
        unit_time: ns (default), us, ps or s.
        block: bytes of text to read at a time.

    Yields:
        Clusters whose label is the particle of the event's first track without a parent; table columns event, pdg,
        deposited_kev, outside_kev (deposits outside the sensor, which make no charge).

    Raises:
        InputError: a row that cannot be read (names the line), or deposits that all miss the sensor.
    """
    from particle_zoo.simulation.sensor import preset

    path = Path(path)
    for name, value, known in (
        ("unit_length", unit_length, LENGTHS),
        ("unit_energy", unit_energy, ENERGIES),
        ("unit_time", unit_time, TIMES),
    ):
        if value not in known:
            raise InputError(f"{name} must be {', '.join(known)}; received {value!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed must be a whole number of 0 or more; received {seed!r}")
    place = origin if isinstance(origin, (tuple, list)) and len(origin) == 3 else (np.nan,)
    if not all(isinstance(value, (int, float)) and np.isfinite(value) for value in place):
        raise InputError(f"origin must be three numbers, x, y, z; received {origin!r}")
    config = preset(sensor)
    scale = (LENGTHS[unit_length], ENERGIES[unit_energy], TIMES[unit_time])
    inside, outside, volumes = 0.0, 0.0, set[str]()
    for line, text in records(path, block, EVENT, option=False):
        table = _table(path, COMMENT.sub(b"", text), line)
        volumes |= set(table["volume"].unique())
        table = table if volume is None else table[table["volume"] == volume]
        if len(table):
            part, within = _clusters(path, table, config, np.asarray(origin), scale, seed)
            inside += within
            outside += float(table["e"].sum() * scale[1] - within)
            if len(part):
                yield part
    if volume is not None and volume not in volumes:
        raise InputError(f"{path} has no volume {volume!r}; it has {', '.join(sorted(volumes)) or 'no deposits'}")
    if outside > 0 and not inside:
        raise InputError(
            f"{path}: all deposits lie outside the sensor; give its centre as origin=(x, y, z) in {unit_length}"
        )


def _table(path: Path, text: bytes, line: int) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv

    marks = list(EVENT.finditer(text))
    if text[: marks[0].start() if marks else len(text)].strip():
        raise InputError(
            f"{path}, line {line}: expected 'Event: N'; received {text.strip()[:40]!r}; copy the file again"
        )
    bodies = [text[a.end() : b] for a, b in zip(marks, [*(m.start() for m in marks[1:]), len(text)], strict=True)]
    sizes = [sum(map(bool, map(bytes.strip, body.split(b"\n")))) for body in bodies]
    joined = b"\n".join(bodies)
    if not joined.strip():
        return pd.DataFrame(columns=["event", *COLUMNS])
    kinds = {name: pa.float64() for name in COLUMNS} | {"volume": pa.string()}
    kinds |= {name: pa.int64() for name in ("pdg", "track", "parent")}
    try:
        read = csv.read_csv(
            io.BytesIO(re.sub(rb"[ \t\r]*,[ \t]*", b",", joined).replace(b"\r", b"")),
            read_options=csv.ReadOptions(column_names=list(COLUMNS), use_threads=False),
            parse_options=csv.ParseOptions(quote_char=False),
            convert_options=csv.ConvertOptions(column_types=kinds, strings_can_be_null=False),
        )
        table = read.to_pandas()
        values = table[["t", "e", "x", "y", "z"]].to_numpy(float)
        sound = (
            len(table) == sum(sizes)
            and np.isfinite(values).all()
            and (values[:, 1] >= 0).all()
            and (np.abs(values) < LARGEST).all()
        )
        if sound and not any(read.column(name).null_count for name in ("pdg", "track", "parent")):
            table.insert(0, "event", np.repeat([int(mark[1]) for mark in marks], sizes))
            return table
    except (ValueError, pa.ArrowException):
        pass
    for number, row in enumerate(text.split(b"\n"), line):
        if not row.strip() or EVENT.fullmatch(row):
            continue
        cells = [cell.strip() for cell in row.split(b",")]
        whole = len(cells) == 9 and all(re.fullmatch(rb"-?\d{1,12}", cells[i]) for i in (0, 7, 8))
        number_of = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
        if not whole or not all(number_of.fullmatch(cell) for cell in cells[1:6]) or cells[2].startswith(b"-"):
            raise InputError(
                f"{path}, line {number}: expected PDG, T, E, X, Y, Z, volume, track, parent; received {row[:40]!r}; copy the "
                "file again"
            )
    raise InputError(f"{path}, line {line}: the deposits after it cannot be read; copy the file again")


def _clusters(
    path: Path,
    table: pd.DataFrame,
    sensor: SensorConfig,
    origin: np.ndarray,
    scale: tuple[float, float, float],
    seed: int,
) -> tuple[Clusters, float]:
    from particle_zoo.simulation.charge import collect
    from particle_zoo.simulation.generate import to_clusters
    from particle_zoo.simulation.pdg import name
    from particle_zoo.simulation.readout import read_out
    from particle_zoo.simulation.tracks import Deposits

    length, energy_unit, time_unit = scale
    place = (table[["x", "y", "z"]].to_numpy() - origin) * length
    width, height = sensor.width_um
    # From the centre of the sensor to its lower left corner, and z from the pixels.
    position = np.stack([place[:, 0] + width / 2, place[:, 1] + height / 2, sensor.thickness_um / 2 - place[:, 2]])
    limits = np.array([width, height, sensor.thickness_um])[:, None]
    within = ((position >= 0) & (position <= limits)).all(0)
    energy = table["e"].to_numpy() * energy_unit
    numbers, event = np.unique(table["event"].to_numpy(), return_inverse=True)
    density = energy / _steps(event, table["track"].to_numpy(), position)
    deposits = Deposits(event[within], position[:, within], energy[within], density[within])
    arrival = np.full(len(numbers), np.inf)
    np.minimum.at(arrival, event, table["t"].to_numpy() * time_unit)
    rng = np.random.default_rng((seed, int(numbers[0])))
    found, own = to_clusters(read_out(collect(deposits, sensor), sensor, rng, arrival), sensor)
    # The particle that began it: the first track without a parent, or else the first row.
    order = np.lexsort((np.arange(len(table)), table["parent"].to_numpy() != 0, event))
    primary = table["pdg"].to_numpy()[order[np.searchsorted(event[order], np.arange(len(numbers)))]]
    names = np.array([name(int(code)) for code in primary], dtype=object)
    part = np.arange(len(own)) - np.searchsorted(own, own)
    said = pd.DataFrame(
        {
            "id": [f"{path.name}:{numbers[e]}:{p}" for e, p in zip(own, part, strict=True)],
            "label": names[own],
            "event": numbers[own],
            "pdg": primary[own],
            "deposited_kev": np.bincount(event, energy * within, len(numbers))[own],
            "outside_kev": np.bincount(event, energy * ~within, len(numbers))[own],
            "source": path.name,
        }
    )
    return Clusters(found.hits, found.columns, found.offsets, said, found.unit), float(energy[within].sum())


def _steps(event: np.ndarray, track: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(m,) distance (um) of each deposit to the one before it on its track; the first has that of the second."""
    gap = np.linalg.norm(np.diff(position, axis=1), axis=0)
    same = (np.diff(event) == 0) & (np.diff(track) == 0)
    before = np.concatenate([[np.nan], np.where(same, gap, np.nan)])
    after = np.concatenate([np.where(same, gap, np.nan), [np.nan]])
    steps = np.where(np.isnan(before), after, before)
    # A deposit of its own, as a photon leaves it, is the track of an electron of a micrometre.
    return np.maximum(np.where(np.isnan(steps), 1.0, steps), SHORTEST_UM)


def _recognise(start: bytes) -> bool:
    text = COMMENT.sub(b"", start).lstrip()
    return EVENT.match(text) is not None and re.search(rb"^-?\d+,[^\n]*,", text, re.MULTILINE) is not None


OPTIONS = ("sensor", "volume", "origin", "seed", "unit_length", "unit_energy", "unit_time", "block")
FORMAT = Format("energy deposits", ("_deposits.csv",), _recognise, iter_clusters, OPTIONS)
