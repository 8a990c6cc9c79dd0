"""From a hit stream to clusters: neighbours in space that arrive within a time window, transitively.

Celko et al., arXiv:2412.11809, cluster Timepix3 streams the same way: 8 neighbours, 200 ns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.clustering.ids import numbered, repeated
from particle_zoo.detectors.clustering.union_find import by_component, components
from particle_zoo.detectors.hits import STEP_NS, Hits
from particle_zoo.errors import InputError

COLUMNS = ("row", "col", "energy", "toa")

WINDOW_NS = 200.0

DISORDER_NS = 1e7
"""How late a hit may come in a stream: ten times what busy readouts do, and still few hits to keep."""


LONGEST_NS = 1e15
"""Of a setting; eleven days are meant as no limit."""


@dataclass(frozen=True)
class _Sorted:
    """Hits group by group (run and chip), each in time order."""

    hits: Hits
    starts: np.ndarray


def cluster_hits(
    hits: Hits, *, window_ns: float = WINDOW_NS, min_size: int = 1, connectivity: int = 8, source: str = "hits"
) -> Clusters:
    """Find the clusters of a whole stream, in time order or not.

    Two hits are neighbours if they lie on one chip of one run, touch (or share a pixel), and their times differ by
    `window_ns` at most; a cluster is everything that hangs together.

    Args:
        hits: n hits.
        window_ns: largest time between neighbours, ns; itself included.
        min_size: smallest cluster, hits.
        connectivity: 8 or 4 neighbours.
        source: name of the stream; cluster i gets the id `source:i`.

    Returns:
        Clusters by run, chip and time of the first hit, their hits in time order; `toa` in ns. Table columns id, label,
        run, chip, first_toa_ns, source.

    Raises:
        InputError: settings that cannot be.
    """
    window = check(window_ns, min_size, connectivity)
    ordered = _in_order(hits)
    component, count = _components(ordered, window, connectivity)
    order, offsets = by_component(component, count, min_size)
    return _clusters(ordered.hits, order, offsets, source, 0)


def cluster_stream(
    parts: Iterable[Hits],
    *,
    window_ns: float = WINDOW_NS,
    min_size: int = 1,
    connectivity: int = 8,
    disorder_ns: float = DISORDER_NS,
    source: str = "hits",
) -> Iterator[Clusters]:
    """`cluster_hits` of a stream that comes in parts; holds a part and the clusters still open.

    Every cluster is given once, when nothing can join it any more; the clusters are those of `cluster_hits` of the
    whole, part by part.

    Args:
        parts: hits in about the order of their times.
        window_ns: as in `cluster_hits`.
        min_size: as in `cluster_hits`.
        connectivity: as in `cluster_hits`.
        disorder_ns: how much earlier than the latest hit of its chip a hit of a later part may be.
        source: as in `cluster_hits`.

    Raises:
        InputError: settings that cannot be, or a hit that comes too late to be sure of its cluster.
    """
    window = check(window_ns, min_size, connectivity)
    if not (isinstance(disorder_ns, (int, float, np.number)) and 0 <= disorder_ns < LONGEST_NS):
        raise InputError(f"disorder_ns must be a time of 0 ns or more; received {disorder_ns!r}")
    disorder = int(disorder_ns / STEP_NS)
    pending: Hits | None = None
    latest: dict[tuple[int, int], int] = {}
    number = 0
    for part in parts:
        if not len(part):
            continue
        ordered = _in_order(part)
        _refuse_late(ordered, latest, disorder, source)
        if pending is not None and len(pending):
            ordered = _in_order(Hits.concat([pending, part]))
        component, count = _components(ordered, window, connectivity)
        settled = _settled(ordered, component, count, latest, window + disorder)
        order, offsets = by_component(component, count, 1)
        sizes = np.diff(offsets)
        found = settled & (sizes >= min_size)
        take = order[np.repeat(found, sizes)]
        pending = ordered.hits[np.sort(order[np.repeat(~settled, sizes)])]
        if found.any():
            closed = np.concatenate([[0], np.cumsum(sizes[found])])
            yield _clusters(ordered.hits, take, closed, source, number)
            number += len(closed) - 1
    if pending is not None and len(pending):
        last = cluster_hits(pending, window_ns=window_ns, min_size=min_size, connectivity=connectivity, source=source)
        if len(last):
            yield last.with_table(id=numbered(source, np.arange(number, number + len(last))))


def check(window_ns: float, min_size: int, connectivity: int) -> int:
    """The window in steps of `Hits.toa`.

    Raises:
        InputError: settings that cannot be.
    """
    if not (isinstance(window_ns, (int, float, np.number)) and 0 <= window_ns < LONGEST_NS):
        raise InputError(f"window_ns must be a time of 0 ns or more; received {window_ns!r}")
    if not isinstance(min_size, (int, np.integer)) or min_size < 1:
        raise InputError(f"min_size must be 1 or more hits; received {min_size!r}")
    if connectivity not in (4, 8):
        raise InputError(f"connectivity must be 4 or 8; received {connectivity}")
    return int(window_ns / STEP_NS)


def _in_order(hits: Hits) -> _Sorted:
    assert hits.run is not None
    assert hits.chip is not None
    n = len(hits)
    if not n or ((hits.run[0] == hits.run).all() and (hits.chip[0] == hits.chip).all()):
        return _Sorted(hits.sorted(), np.array([0, n]))
    group = (hits.run.astype(np.int64) << 16) + hits.chip
    order = np.lexsort((hits.toa, group))
    group = group[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1, [n]])
    return _Sorted(hits[order], starts)


def _components(ordered: _Sorted, window: int, connectivity: int) -> tuple[np.ndarray, int]:
    hits = ordered.hits
    if not len(hits):
        return np.empty(0, np.int64), 0
    if min(hits.row.min(), hits.col.min()) < 0:
        raise InputError(f"pixels are counted from 0; received a hit at row {hits.row.min()}, col {hits.col.min()}")
    rows, cols = int(hits.row.max()) + 1, int(hits.col.max()) + 1
    found: tuple[np.ndarray, int] = components(
        hits.row, hits.col, hits.toa, ordered.starts, window, rows, cols, connectivity == 8
    )
    return found


def _refuse_late(ordered: _Sorted, latest: dict[tuple[int, int], int], disorder: int, source: str) -> None:
    for key, part in _groups(ordered):
        behind = latest.get(key, int(part[0])) - int(part[0])
        if behind > disorder:
            raise InputError(
                f"{source}: a hit of chip {key[1]} at {part[0] * STEP_NS:.0f} ns comes {behind * STEP_NS / 1e3:,.0f} us "
                f"after later ones, more than the {disorder * STEP_NS / 1e3:,.0f} us allowed; raise disorder_ns"
            )
        latest[key] = max(latest.get(key, int(part[-1])), int(part[-1]))
    # A new run begins when the one before has ended.
    newest = max((run for run, _ in latest), default=0)
    for key in [key for key in latest if key[0] < newest]:
        del latest[key]


def _settled(
    ordered: _Sorted, component: np.ndarray, count: int, latest: dict[tuple[int, int], int], reach: int
) -> np.ndarray:
    """(count,) whether no later hit can join a component."""
    last = np.full(count, np.iinfo(np.int64).min)
    end = np.empty(count, np.int64)
    np.maximum.at(last, component, ordered.hits.toa)
    for i, (key, _) in enumerate(_groups(ordered)):
        part = slice(ordered.starts[i], ordered.starts[i + 1])
        end[component[part]] = latest.get(key, np.iinfo(np.int64).max)
    settled: np.ndarray = last < end - reach
    return settled


def _groups(ordered: _Sorted) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    hits = ordered.hits
    assert hits.run is not None
    assert hits.chip is not None
    for start, stop in zip(ordered.starts[:-1], ordered.starts[1:], strict=True):
        if stop > start:
            yield (int(hits.run[start]), int(hits.chip[start])), hits.toa[start:stop]


def _clusters(hits: Hits, order: np.ndarray, offsets: np.ndarray, source: str, first: int) -> Clusters:
    assert hits.run is not None
    assert hits.chip is not None
    n = len(offsets) - 1
    values = np.empty((len(order), 4))
    _gather(order, hits.row, hits.col, hits.energy, hits.toa, STEP_NS, values)
    # Handed over for good: `Clusters` copies what could still be written.
    values.flags.writeable = False
    starts = order[offsets[:-1]]
    table = pd.DataFrame(
        {
            "id": numbered(source, np.arange(first, first + n)),
            "label": repeated("", n),
            "run": hits.run[starts],
            "chip": hits.chip[starts],
            "first_toa_ns": hits.toa[starts] * STEP_NS,
            "source": repeated(source, n),
        }
    )
    return Clusters(values, COLUMNS, offsets, table, hits.unit)


@numba.njit(cache=True)
def _gather(
    order: np.ndarray,
    row: np.ndarray,
    col: np.ndarray,
    energy: np.ndarray,
    toa: np.ndarray,
    step: float,
    values: np.ndarray,
) -> None:
    for place in range(len(order)):
        i = order[place]
        values[place, 0] = row[i]
        values[place, 1] = col[i]
        values[place, 2] = energy[i]
        values[place, 3] = toa[i] * step
