"""Files of compressed jets: the latent numbers of each, and which model gives the jets back.

Such a file is a parquet file with one column a latent number, `z0`, `z1`, ..., and beside them those columns of the input that
were kept, as they were. Its metadata hold a `JetFileHead` as JSON under the key `particle_zoo.jets`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pydantic

import particle_zoo
from particle_zoo.cli import sentence
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".z"
KEY = b"particle_zoo.jets"
VERSION = 1

ROWS = 65_536
"""Jets of a row group: what reading and writing hold."""


class JetFileHead(pydantic.BaseModel, frozen=True):
    """What a file of compressed jets says of itself.

    Args:
        version: of the format.
        model: registered name.
        weights_sha256: of the weights.
        settings_sha256: of the model's configuration and preprocessing.
        variables: that the model gives back, in its order.
        unit: of energies and momenta among them.
        latent: numbers a jet.
        dtype: of these.
        kept: names of the columns that were stored as they are.
        types: of these, as pyarrow names them.
        sources: names of the files that were compressed.
        package: version of particle_zoo that wrote the file.
        jets: number of them.
    """

    version: int = VERSION
    model: str
    weights_sha256: str
    settings_sha256: str
    variables: tuple[str, ...]
    unit: Literal["GeV"] = "GeV"
    latent: int = pydantic.Field(ge=1)
    dtype: Literal["float32", "float16"] = "float32"
    kept: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    package: str = particle_zoo.__version__
    jets: int = pydantic.Field(0, ge=0)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of latent numbers."""
        return tuple(f"z{i}" for i in range(self.latent))


def check_output(path: Path, suffixes: Sequence[str], *, force: bool) -> Path:
    """The path of a file that may be written.

    Raises:
        InputError: another ending, or a file that exists and is not to be replaced.
    """
    if path.suffix not in suffixes:
        raise InputError(f"--output must end in {', '.join(suffixes)}; received {path}")
    if path.exists() and not force:
        raise InputError(f"{path} exists; replace it with --force or choose another --output")
    return path


def open_model(source: str | Path) -> tuple[Any, dict[str, str]]:
    """A trained model of jets, and the fields of a head that tell it from others.

    Args:
        source: run folder or published name.

    Returns:
        The model; `model`, `weights_sha256` and `settings_sha256`.

    Raises:
        InputError: no such run, or one of a model that compresses nothing.
    """
    from particle_zoo.weights import WEIGHTS, load_run, locate, sha256, task_of

    folder = locate(source)
    task = task_of(folder)
    if task and task != "compression":
        raise InputError(f"{source} holds a model of task {task}; give one that compresses jets, such as ae_3d_200")
    model, config = load_run(folder)
    settings = json.dumps([config["config"], config["preprocessing"]], sort_keys=True)
    return model, {
        "model": config["model"],
        "weights_sha256": sha256(folder / WEIGHTS),
        "settings_sha256": hashlib.sha256(settings.encode()).hexdigest(),
    }


def check_model(path: Path, head: JetFileHead, source: str | Path, identity: dict[str, str]) -> None:
    """Compare a model with the one that a file was compressed with.

    Args:
        path: of the file, for the error.
        head: of the file.
        source: of the model, for the error.
        identity: of `open_model`.

    Raises:
        InputError: another model, other weights, or another configuration or preprocessing.
    """
    for key, what in (("weights_sha256", "weights"), ("settings_sha256", "settings and normalisation")):
        expected, found = getattr(head, key), identity[key]
        if expected != found:
            raise InputError(
                f"{path} was compressed by {head.model} with {what} {expected[:12]}..., and {source} holds {identity['model']} with "
                f"{found[:12]}...; give --model the run that compressed it"
            )


def read_head(path: Path) -> JetFileHead:
    """What a file says of itself.

    Raises:
        InputError: no file, one that is damaged or holds no compressed jets, or another version of the format.
    """
    with _parquet(path) as file:
        return _head(path, file)


def stored(path: Any) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """(n, latent) float32 latent numbers and the columns that were kept, a part at a time.

    Args:
        path: a file, or anything pyarrow reads from.

    Raises:
        InputError: as `read_head`, or a file that is damaged further on.
    """
    with _parquet(path) as file:
        head = _head(path, file)
        jets = 0
        for batch in file.iter_batches(batch_size=ROWS):
            numbers = [batch.column(name) for name in head.columns]
            if any(column.null_count for column in numbers):
                raise _damaged(path, "latent numbers are missing")
            jets += len(batch)
            latent = np.stack([column.to_numpy(zero_copy_only=False) for column in numbers], axis=1).astype(np.float32)
            yield latent, _kept(batch, head.kept)
        if jets != head.jets:
            raise _damaged(path, f"{jets} of {head.jets} jets are there")


def _kept(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch]).select(list(names))


@contextlib.contextmanager
def _parquet(source: Any) -> Iterator[Any]:
    """An open parquet file; whatever pyarrow says of a damaged one, now or while it is read, is one sentence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    of_file = isinstance(source, Path)
    if of_file and not source.is_file():
        raise InputError(f"there is no file {source}; give one that particle_zoo.compress wrote")
    try:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            yield file
    except InputError:
        raise
    # pyarrow raises many types on damaged files: OSError and its own, of which some are ValueErrors.
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, OverflowError) as error:
        if of_file and not _begun(source):
            raise _foreign(source) from error
        raise _damaged(source, sentence(str(error))[:100]) from error


def _begun(path: Path) -> bool:
    """Whether the first bytes are those of a parquet file."""
    with path.open("rb") as raw:
        return raw.read(4) == b"PAR1"


def _foreign(path: Any) -> InputError:
    return InputError(f"{path} holds no compressed jets; give a file that particle_zoo.compress wrote")


def _damaged(path: Any, why: str) -> InputError:
    return InputError(f"{path} is damaged or was cut short ({why}); copy it again or compress the jets again")


def _head(path: Any, file: Any) -> JetFileHead:
    text = (file.metadata.metadata or {}).get(KEY)
    if text is None:
        raise _foreign(path)
    try:
        values = json.loads(text)
        version = values["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "its metadata are no JSON object") from error
    if version != VERSION:
        raise InputError(
            f"{path} has version {version} of the format, and this package reads {VERSION}; use the one that wrote it"
        )
    try:
        head = JetFileHead(**values)
    except pydantic.ValidationError as error:
        raise _damaged(path, sentence(str(error))[:100]) from error
    schema = file.schema_arrow
    numbers = ("float" if head.dtype == "float32" else "halffloat",) * head.latent
    expected = [*zip(head.columns, numbers, strict=True), *zip(head.kept, head.types, strict=False)]
    if expected != [(field.name, str(field.type)) for field in schema]:
        raise _damaged(path, "its columns are not those of its metadata")
    if file.metadata.num_rows != head.jets:
        raise _damaged(path, f"{file.metadata.num_rows} of {head.jets} jets are there")
    return head
