"""`python -m particle_zoo.decompress jets.z --model RUN --output jets.parquet`: jets from the latent numbers of an autoencoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from particle_zoo.cli import load_keras, output_options, progress, replacing, run, write_json
from particle_zoo.data.jet_tables.table import ORIGIN, UNIT
from particle_zoo.errors import InputError
from particle_zoo.jet_file import JetFileHead, check_model, check_output, open_model, read_head, stored
from particle_zoo.jets import below_momentum
from particle_zoo.table_file import appending

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".csv", ".h5")


@click.command("decompress", context_settings={"show_default": True})
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--model", required=True, metavar="NAME_OR_RUN", help="The one that the jets were compressed with.")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Table to write, .parquet, .csv or .h5; one row a jet.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@output_options
def command(file: Path, model: str, output: Path, force: bool, json_path: Path | None, quiet: bool) -> None:
    """Give back the jets of a file that `python -m particle_zoo.compress` wrote: variables in GeV, and the columns that were kept.

    Variables are float32 numbers, close to what they were; the table of `compress` says how close.
    """
    check_output(output, SUFFIXES, force=force)
    load_keras()
    result = decompress(file, model, output, force=force, quiet=quiet)
    if json_path:
        write_json(json_path, result)


def decompress(
    file: Path, source: str | Path, output: Path, *, force: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Write the jets of a compressed file as a table and print how many there are; one part in memory at a time.

    Args:
        file: of `particle_zoo.compress`.
        source: run folder or published name of the model that compressed it.
        output: table to write, one row a jet: the variables of the model, in GeV where they have a unit, and what was kept.
        force: replace a file that exists.
        quiet: no progress bar.

    Returns:
        The numbers that are printed, JSON-ready.

    Raises:
        InputError: a file that is damaged or holds no compressed jets, another model than the one it was compressed with, or
            output that exists or has another ending.
    """
    file, output = Path(file), check_output(Path(output), SUFFIXES, force=force)
    head = read_head(file)
    model, identity = open_model(source)
    check_model(file, head, source, identity)
    jets, odd = 0, 0
    with replacing(output) as temporary, _writing(temporary, head) as write:
        for latent, kept in progress(stored(file), "chunks", quiet=quiet):
            # Damaged weights would have been refused; a latent number that is far out is still decoded to something.
            with np.errstate(over="ignore"):
                values = np.asarray(model.preprocessor.inverse(model.decode(latent)).values, np.float32)
            write(values, kept)
            jets += len(values)
            odd += int(impossible(head, values).sum())
    result = {
        "model": head.model, "jets": jets, "impossible": odd, "variables": list(head.variables), "unit": head.unit,
        "kept": list(head.kept), "bytes": output.stat().st_size, "output": str(output),
    }  # fmt: skip
    click.echo(f"{jets:,} jets: {', '.join([*head.variables, *head.kept])}; energies in {head.unit}")
    if odd:
        click.echo(
            f"{odd:,} of them came back with E below the momentum, or pt or m below 0: such is the error of the model"
        )
    click.echo(f"table: {output}")
    return result


def impossible(head: JetFileHead, values: np.ndarray) -> np.ndarray:
    """(n,) which of (n, variables) decoded jets cannot be: negative pt or m, E below the momentum, or values that are not finite."""
    columns = dict(zip(head.variables, values.T.astype(np.float64), strict=True))
    with np.errstate(over="ignore", invalid="ignore"):
        sound = np.isfinite(values).all(1)
        for name in ("pt", "m"):
            sound &= columns.get(name, np.ones(len(values))) >= 0
        if "E" in columns:
            sound &= ~below_momentum(columns["pt"], columns["eta"], columns["E"])
    return ~sound


Write = Callable[[np.ndarray, "pa.Table"], None]


@contextmanager
def _writing(path: Path, head: JetFileHead) -> Iterator[Write]:
    """A function that appends the variables of some jets and their kept columns to a table."""
    import pyarrow as pa

    about = {
        UNIT: head.unit,
        ORIGIN: json.dumps({"model": head.model, "weights_sha256": head.weights_sha256, "sources": head.sources}),
    }

    def block(values: np.ndarray, kept: pa.Table) -> pa.Table:
        columns = {name: pa.array(np.ascontiguousarray(values[:, i])) for i, name in enumerate(head.variables)}
        return pa.table(columns | {name: kept[name] for name in head.kept})

    if path.suffix == ".csv":
        with appending(path, "a jet") as append:
            yield lambda values, kept: append(block(values, kept).to_pandas())
    else:
        with (_parquet if path.suffix == ".parquet" else _hdf5)(path, about) as append:
            yield lambda values, kept: append(block(values, kept))


@contextmanager
def _parquet(path: Path, about: dict[str, str]) -> Iterator[Callable[[pa.Table], None]]:
    import pyarrow.parquet as pq

    writer: Any = None

    def append(block: pa.Table) -> None:
        nonlocal writer
        if writer is None:
            writer = pq.ParquetWriter(path, block.schema.with_metadata(about))
        writer.write_table(block.replace_schema_metadata(about))

    try:
        yield append
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _hdf5(path: Path, about: dict[str, str]) -> Iterator[Callable[[pa.Table], None]]:
    """One data set a column."""
    import h5py
    import pyarrow as pa

    with h5py.File(path, "w") as file:
        file.attrs.update(about)

        def append(block: pa.Table) -> None:
            for name, column in zip(block.column_names, block.columns, strict=True):
                text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
                values = column.to_pandas().to_numpy(object if text else None)
                if not text and (
                    values.dtype.kind not in "biuf" or (column.null_count and not pa.types.is_floating(column.type))
                ):
                    what = f"{column.type}, with gaps" if column.null_count else column.type
                    raise InputError(f"HDF5 cannot hold the column {name} ({what}); give --output .parquet")
                if text and column.null_count:
                    raise InputError(f"HDF5 cannot hold the column {name} (text with gaps); give --output .parquet")
                if name not in file:
                    dtype = h5py.string_dtype() if text else values.dtype
                    file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=True)
                end = len(file[name])
                file[name].resize(end + len(values), axis=0)
                file[name][end:] = values

        yield append


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
