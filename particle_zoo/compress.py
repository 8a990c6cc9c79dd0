"""`python -m particle_zoo.compress FILE... --model RUN --output jets.z`: jets as the latent numbers of an autoencoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from particle_zoo.cli import load_keras, output_options, parse_settings, progress, replacing, run, table, write_json
from particle_zoo.errors import InputError
from particle_zoo.jet_file import SUFFIX, JetFileHead, check_output, open_model
from particle_zoo.jet_file_writer import storing
from particle_zoo.jets import Jets

if TYPE_CHECKING:
    import pandas as pd

    from particle_zoo.data.jet_values import JetCounts
    from particle_zoo.evaluation.jets.storage import Way

SAMPLE, NUMBERS = 200_000, 2_000_000
"""Most jets that the ways to store them are measured on, the first ones, and most numbers of them: zstd -19 is slow."""


@click.command("compress", context_settings={"show_default": True})
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", required=True, metavar="NAME_OR_RUN", help="Run folder or published name of a jet autoencoder."
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help=f"File to write, {SUFFIX}.")
@click.option("--dtype", type=click.Choice(("float32", "float16")), default="float32", help="Of the latent numbers.")
@click.option("--keep", metavar="COLUMN,...", help="Columns of the files to store as they are, e.g. event numbers.")
@click.option(
    "--set",
    "reading",
    multiple=True,
    metavar="KEY=VALUE",
    help="How the files are read: unit=MeV, tree=NAME, event=COLUMN, trust_unit=true, skip_bad=true, or the column of a variable, pt=Jet_pt.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@output_options
def command(
    files: tuple[Path, ...],
    model: str,
    output: Path,
    dtype: str,
    keep: str | None,
    reading: tuple[str, ...],
    force: bool,
    json_path: Path | None,
    quiet: bool,
) -> None:
    """Compress jets into one file with the latent numbers of a trained autoencoder, and say what that costs and loses.

    Several files are put one behind the other. `python -m particle_zoo.decompress` gives the jets back, with the same model. The
    table beside it holds other ways to store the same jets; ratios are to their variables as float32 numbers.
    """
    check_output(output, (SUFFIX,), force=force)
    load_keras()
    kept = tuple(name.strip() for name in keep.split(",") if name.strip()) if keep else ()
    result = compress(files, model, output, dtype=dtype, keep=kept, reading=reading, force=force, quiet=quiet)
    if json_path:
        write_json(json_path, result)


def compress(
    files: Sequence[Path],
    source: str | Path,
    output: Path,
    *,
    dtype: str = "float32",
    keep: Sequence[str] = (),
    reading: Sequence[str] = (),
    force: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Compress jets and print what it costs; a part of a file in memory at a time, and the first `SAMPLE` jets.

    Args:
        files: with jets, see `particle_zoo.data.jet_files`.
        source: run folder or published name of a model of task "compression".
        output: file to write.
        dtype: float32 or float16, of the latent numbers.
        keep: columns to store as they are.
        reading: KEY=VALUE of `JetFileSettings.from_pairs`.
        force: replace a file that exists.
        quiet: no progress bar.

    Returns:
        The numbers that are printed, JSON-ready.

    Raises:
        InputError: a model that compresses nothing, jets that cannot be read or normalised, latent numbers that the dtype
            cannot hold, columns that cannot be kept, or output that exists.
    """
    from particle_zoo.data.jet_values import JetCounts
    from particle_zoo.evaluation.jets.storage import payback, ways

    files, output = [Path(file) for file in files], check_output(Path(output), (SUFFIX,), force=force)
    model, identity = open_model(source)
    head = JetFileHead(
        **identity,
        variables=model.preprocessor.columns,
        latent=model.zoo_config.latent,
        dtype=dtype,
        kept=tuple(keep),
        sources=tuple(file.name for file in files),
    )
    _check_kept(head)
    sample: list[Jets] = []
    counts = JetCounts()
    jets, missing = 0, min(SAMPLE, NUMBERS // len(head.variables))
    with replacing(output) as temporary, storing(temporary, head) as write:
        for part, kept, latent in progress(_encoded(files, model, head, reading, counts), "chunks", quiet=quiet):
            write(latent, kept)
            jets += len(part)
            if missing:
                sample.append(_copied(part[:missing]))
                missing -= len(sample[-1])
        if not jets:
            raise InputError(f"no jets in {', '.join(map(str, files))}; give files that have some")
    found = ways(Jets.concat(sample), model, head, files, jets)
    ours = next(way for way in found if way.group == "model" and dtype in way.name)
    size, raw = output.stat().st_size, 4 * len(head.variables)
    decoder = 4 * model.decoder.count_params()
    result = {
        "model": head.model,
        "jets": jets,
        "skipped": counts.skipped,
        "below_momentum": counts.below,
        "bytes": size,
        "bytes_per_jet": size / jets,
        "ratio": raw * jets / size,
        "dtype": dtype,
        "kept": list(keep),
        "sample": sum(map(len, sample)),
        "ways": [way.to_dict() for way in found],
        "decoder_bytes": decoder,
        "paid_back": payback(found, ours, decoder),
        "output": str(output),
    }
    for line in counts.lines():
        click.echo(line)
    _show(result, found)
    return result


def _check_kept(head: JetFileHead) -> None:
    """Check that what is kept has names of its own.

    Raises:
        InputError: it has not.
    """
    for name in head.kept:
        if head.kept.count(name) > 1:
            raise InputError(f"--keep takes every column once; received {name} {head.kept.count(name)} times")
        if name in head.variables or name in head.columns:
            what = "the model gives it back" if name in head.variables else "latent numbers have such names"
            raise InputError(f"--keep {name}: {what}, and a file has one column of a name; leave it out or rename it")


def _encoded(
    files: Sequence[Path], model: Any, head: JetFileHead, reading: Sequence[str], counts: JetCounts
) -> Iterator[tuple[Jets, pd.DataFrame, np.ndarray]]:
    """Jets, the columns to keep, and latent numbers, a part of a file at a time."""
    from particle_zoo.data.jet_files import JetFileSettings, iter_jets

    settings = JetFileSettings.from_pairs(parse_settings(tuple(reading)))
    for file in files:
        start = 0
        for jets, kept in iter_jets(file, head.variables, settings, keep=head.kept, counts=counts):
            try:
                inputs = model.preprocess(jets)
            except InputError as error:
                raise InputError(f"{file}, jets from {start} on: {error}") from error
            yield jets, kept, model.encode(inputs)
            start += len(jets)


def _copied(jets: Jets) -> Jets:
    """Jets that keep no larger array alive."""
    return Jets(jets.values.copy(), jets.columns)


def _show(result: dict[str, Any], found: Sequence[Way]) -> None:
    n = result["sample"]
    which = f"{n:,} jets" if n == result["jets"] else f"the first {n:,} of {result['jets']:,} jets"
    table(
        f"ways to store {which}",
        ("way", "bytes a jet", "ratio", "mean square error", "largest residual", "jets/s", "jets/s back"),
        [
            (
                way.name,
                *map(_number, (way.bytes_per_jet, way.ratio)),
                *map(_error, (way.mse, way.residual)),
                *map(_number, (way.jets_per_s, way.jets_per_s_back)),
            )
            for way in found
        ],
    )
    click.echo(
        "residual: of the worst variable the median of |relative residual|, of eta and phi the difference; an input has all its columns"
    )
    click.echo(f"the decoder needs {result['decoder_bytes']:,} bytes")
    for key, what in (("lossless", "loses nothing"), ("equal_error", "has no larger error")):
        paid = result["paid_back"][key]
        when = f"paid back after {paid['jets']:,} jets" if paid["jets"] else "never paid back"
        click.echo(f"{when} against the smallest that {what}: {paid['name']}, {paid['bytes_per_jet']:.2f} bytes a jet")
    beside = f", {', '.join(result['kept'])} beside the latent numbers" if result["kept"] else ""
    click.echo(
        f"written: {result['output']}, {result['jets']:,} jets, {result['bytes']:,} bytes, {result['bytes_per_jet']:.2f} a jet, "
        f"ratio {result['ratio']:.3f}{beside}"
    )


def _number(value: float) -> str:
    if value != value:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3f}"


def _error(value: float) -> str:
    if value == float("inf"):
        return "overflow"
    return f"{value:.2e}" if value else "0"


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
