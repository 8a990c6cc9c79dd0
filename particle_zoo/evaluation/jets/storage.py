"""Ways to store jets, what they cost and what they lose: a model beside what needs none."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.errors import InputError
from particle_zoo.evaluation.jets.rivals import mass_share
from particle_zoo.evaluation.jets.scores import mean_square, residuals
from particle_zoo.jet_file import JetFileHead, stored
from particle_zoo.jet_file_writer import ENCODING, storing
from particle_zoo.jets import FOUR_MOMENTUM, MASS_MODE, Jets, energy

READ = 1 << 24
"""Bytes of the input files that gzip and zstd are tried on."""

MANTISSA = 10
"""Bits of a float16, and what experiments keep of quantities that are measured to a per mille."""

GROUPS = ("reference", "input", "rival", "model")

Pack = Callable[[], Any]
Unpack = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Way:
    """What one way to store jets costs.

    Args:
        name: of the way.
        group: one of `GROUPS`: float32 numbers as they are, the input files with all that is in them, what needs no model,
            and models.
        bytes_per_jet: stored; NaN where the way cannot store these jets.
        ratio: bytes of the float32 numbers over these.
        mse: mean square error of the normalised variables against the float32 numbers; 0 where nothing is lost.
        residual: largest of the variables' medians of |residual|, relative, or a difference of eta and phi; variables that
            are around 0 and have a unit are left out.
        jets_per_s: when storing, NaN where that is not measured.
        jets_per_s_back: when reading.
    """

    name: str
    group: str
    bytes_per_jet: float
    ratio: float
    mse: float = 0.0
    residual: float = 0.0
    jets_per_s: float = math.nan
    jets_per_s_back: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)


def ways(jets: Jets, model: Any, head: JetFileHead, files: Sequence[Path], total: int) -> list[Way]:
    """Store jets in every way.

    Args:
        jets: n jets with the variables of the model.
        model: trained model of task "compression".
        head: of its files; both dtypes are tried.
        files: that the jets are from.
        total: jets in all of these.

    Returns:
        The float32 numbers first, then the input files, ways without a model, and the model.
    """
    bench = _Bench(jets, model.preprocessor)
    raw = bench.raw
    found = [Way("float32 variables", "reference", 4.0 * raw.shape[1], 1.0)]
    found += _of_files(files, total, found[0].bytes_per_jet)
    for name, level in (("gzip", 6), ("zstd", 3), ("zstd", 19)):
        found.append(bench.measure(f"float32 variables, {name} -{level}", "rival", *_codec(raw, name, level)))
    found.append(bench.measure("float32 variables, parquet", "rival", *_columns(raw)))
    ours = {
        dtype: bench.measure(f"{head.model}, {dtype} latent numbers", "model", *_latents(raw, model, head, dtype))
        for dtype in ("float32", "float16")
    }
    with np.errstate(over="ignore"):
        found.append(bench.measure("float16 variables, parquet", "rival", *_columns(raw, np.float16)))
    for bits in sorted({MANTISSA, _equal_bits(bench, ours[head.dtype].mse)}, reverse=True):
        packed = _columns(raw, transform=functools.partial(cut, bits=bits))
        found.append(bench.measure(f"float32 with mantissas of {bits} bits, parquet", "rival", *packed))
    if (dropped := _dropped(raw, model.preprocessor)) is not None:
        found.append(bench.measure(dropped[0], "rival", *dropped[1:]))
    return [*found, *ours.values()]


def payback(found: Sequence[Way], ours: Way, decoder_bytes: int) -> dict[str, Any]:
    """After how many jets the decoder, without which nothing can be read, is paid back.

    Args:
        found: of `ways`.
        ours: the one of the model.
        decoder_bytes: of its weights.

    Returns:
        By `lossless` and `equal_error`: name and bytes a jet of the smallest way without a model that loses nothing, or whose error
        is not above that of the model; and the number of jets, null where the model's files are not smaller.
    """
    result = {}
    for key, most in (("lossless", 0.0), ("equal_error", ours.mse)):
        others = [way for way in found if way.group == "rival" and way.mse <= most and way.bytes_per_jet > 0]
        best = min(others, key=lambda way: way.bytes_per_jet)
        saved = best.bytes_per_jet - ours.bytes_per_jet
        jets = math.ceil(decoder_bytes / saved) if saved > 0 else None
        result[key] = {"name": best.name, "bytes_per_jet": best.bytes_per_jet, "jets": jets}
    return result


def cut(values: np.ndarray, bits: int) -> np.ndarray:
    """float32 values rounded to a mantissa of so many bits, 0 to 23."""
    drop = 23 - bits
    if drop == 0:
        return values
    pattern = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (drop - 1))
    return ((pattern + half) & ~np.uint32((1 << drop) - 1)).view(np.float32)


class _Bench:
    """Measure ways to store the same (n, k) float32 variables."""

    def __init__(self, jets: Jets, preprocessor: Any) -> None:
        self.raw = jets.values.astype(np.float32)
        self.preprocessor = preprocessor
        self.true = Jets(self.raw, jets.columns)
        self.normalised = preprocessor.normalise(self.true.values)

    def measure(self, name: str, group: str, pack: Pack, unpack: Unpack) -> Way:
        """Store and read the jets once, against the clock; NaN bytes where they cannot be stored that way."""
        n, k = self.raw.shape
        start = time.perf_counter()
        try:
            data = pack()
        except InputError:
            return Way(name, group, math.nan, math.nan, math.inf, math.inf)
        middle = time.perf_counter()
        found = unpack(data)
        end = time.perf_counter()
        size = len(data) / n
        speeds = {"jets_per_s": n / (middle - start), "jets_per_s_back": n / (end - middle)}
        if np.array_equal(found, self.raw):
            return Way(name, group, size, 4 * k / size, **speeds)
        return Way(name, group, size, 4 * k / size, self.mse(found), self.residual(found), **speeds)

    def mse(self, found: np.ndarray) -> float:
        """Mean square error of the normalised variables; infinite where values overflow or leave the domain of a logarithm."""
        try:
            return mean_square(self.normalised, self.preprocessor.normalise(found.astype(np.float64)))
        except InputError:
            return math.inf

    def residual(self, found: np.ndarray) -> float:
        """See `Way`."""
        with np.errstate(invalid="ignore"):
            table = residuals(self.true, Jets(found, self.true.columns)).abs()
        # The names of differences say so in brackets.
        chosen = [name for name in table if "(" not in str(name) or str(name).split(" ")[0] in ("eta", "phi")]
        return float(table[chosen].median().max())


def _of_files(files: Sequence[Path], total: int, reference: float) -> list[Way]:
    import pyarrow as pa

    size = sum(file.stat().st_size for file in files) / total
    found = [Way("input as it is", "input", size, reference / size)]
    parts, left = [], READ
    for file in files:
        with file.open("rb") as raw:
            parts.append(raw.read(left))
        left -= len(parts[-1])
    data = b"".join(parts)
    for name, level in (("gzip", 6), ("zstd", 3)):
        codec = pa.Codec(name, compression_level=level)
        start = time.perf_counter()
        packed = codec.compress(data, asbytes=True)
        middle = time.perf_counter()
        codec.decompress(packed, decompressed_size=len(data))
        end = time.perf_counter()
        smaller, jets = size * len(packed) / len(data), len(data) / size
        speeds = {"jets_per_s": jets / (middle - start), "jets_per_s_back": jets / (end - middle)}
        found.append(Way(f"input, {name} -{level}", "input", smaller, reference / smaller, **speeds))
    return found


def _codec(raw: np.ndarray, name: str, level: int) -> tuple[Pack, Unpack]:
    """A general codec on variable after variable."""
    import pyarrow as pa

    codec = pa.Codec(name, compression_level=level)

    def unpack(data: bytes) -> np.ndarray:
        numbers = codec.decompress(data, decompressed_size=raw.nbytes)
        return np.frombuffer(numbers, np.float32).reshape(raw.shape[::-1]).T

    return lambda: codec.compress(np.ascontiguousarray(raw.T), asbytes=True), unpack


def _columns(
    raw: np.ndarray, dtype: Any = np.float32, transform: Callable[[np.ndarray], np.ndarray] = lambda x: x
) -> tuple[Pack, Unpack]:
    """Parquet, encoded as latent numbers are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def pack() -> Any:
        sink = pa.BufferOutputStream()
        values = transform(raw).astype(dtype)
        block = pa.table({str(i): np.ascontiguousarray(column) for i, column in enumerate(values.T)})
        pq.write_table(block, sink, **ENCODING)
        return sink.getvalue()

    def unpack(data: Any) -> np.ndarray:
        block = pq.read_table(pa.BufferReader(data))
        return np.stack([column.to_numpy() for column in block.columns], axis=1).astype(np.float32)

    return pack, unpack


def _dropped(raw: np.ndarray, preprocessor: Any) -> tuple[str, Pack, Unpack] | None:
    """Leave out the one of four variables that says least, and make it up from one number that all jets share."""
    columns = preprocessor.columns
    if columns not in (FOUR_MOMENTUM, MASS_MODE):
        return None
    gone = columns.index("E" if columns == FOUR_MOMENTUM else "m")
    pack, read = _columns(np.delete(raw, gone, axis=1))
    if columns == MASS_MODE:
        normalised = preprocessor.normalise(raw.astype(np.float64)).mean(0)
        mean = preprocessor.unnormalise(normalised[None])[0, gone]
        return "drop m (its mean instead), parquet", pack, lambda data: np.insert(read(data), gone, mean, axis=1)
    jets = Jets(raw, columns)
    share = mass_share(jets)

    def unpack(data: Any) -> np.ndarray:
        kept = read(data)
        pt, eta = (kept[:, columns.index(name)] for name in ("pt", "eta"))
        return np.insert(kept, gone, energy(pt, eta, share * pt), axis=1)

    return "drop E (one m / pt instead), parquet", pack, unpack


def _latents(raw: np.ndarray, model: Any, head: JetFileHead, dtype: Any) -> tuple[Pack, Unpack]:
    """What `particle_zoo.compress` and `decompress` do, without what is kept beside the latent numbers."""
    import pyarrow as pa

    head = head.model_copy(update={"dtype": dtype, "kept": ()})
    jets, nothing = Jets(raw, model.preprocessor.columns), pd.DataFrame(index=range(len(raw)))
    # The first call of a network compiles it, which is no part of its speed.
    model.decode(model.encode(model.preprocess(jets[:1])))

    def pack() -> Any:
        sink = pa.BufferOutputStream()
        with storing(sink, head) as write:
            write(model.encode(model.preprocess(jets)), nothing)
        return sink.getvalue()

    def unpack(data: Any) -> np.ndarray:
        latent = np.concatenate([part for part, _ in stored(pa.BufferReader(data))])
        with np.errstate(over="ignore"):
            return np.asarray(model.preprocessor.inverse(model.decode(latent)).values, np.float32)

    return pack, unpack


def _equal_bits(bench: _Bench, mse: float) -> int:
    """The fewest bits of a mantissa whose error is not above that of the model."""
    low, high = 0, 23
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if bench.mse(cut(bench.raw, middle)) <= mse else (middle + 1, high)
    return low
