"""`python -m particle_zoo.export NAME_OR_RUN --format onnx|litert|saved_model`: a model with its preprocessing for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import load_keras, output_options, run, table, write_json
from particle_zoo.errors import InputError


@click.command(context_settings={"show_default": True})
@click.argument("model", metavar="NAME_OR_RUN")
@click.option(
    "--format", "kind", type=click.Choice(("onnx", "litert", "saved_model")), required=True, help="Of the file."
)
@click.option("--int8", is_flag=True, help="LiteRT: kernels as int8, with the loss of accuracy that costs.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write.  [default: export/ of the run]")
@click.option("--examples", type=click.IntRange(1), default=100, help="How many examples to try the file on.")
@click.option("--dataset", help="NAME[/CONFIG] of their data set.  [default: simulated like the model's]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where prepared data sets are kept.  [default: TFDS's]"
)
@click.option("--manual-dir", type=click.Path(path_type=Path), help="Folder with your own source files.")
@click.option("--split", default="test", help="Of the data set; of camera frames signal instead of test.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of simulated examples.")
@click.option("--force", is_flag=True, help="Replace an existing export.")
@output_options
def export(
    model: str,
    kind: str,
    int8: bool,
    output: Path | None,
    examples: int,
    seed: int,
    force: bool,
    json_path: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Write a trained model with its preprocessing as one file, run it in its own runtime, and compare with Keras.

    What goes in, any number of examples at a time: of CCD clusters pixels on a raster of any size (energies, or 1 for a
    hit; sides of the cluster up to 4,096 px) and, if the model wants it, the energy sum; of Timepix clusters energies in
    keV on such a raster and, if the model has learned them, times in ns; camera frames in counts, of the camera whose
    pedestal the run holds, or patches in counts above the pedestal; of jets variables in GeV and rad.

    Everything behind that is in the graph: centring, shrinking, enlarging, thresholds, logarithms, standardisation, common
    mode, the average over symmetries that predict makes, and for jets the way back to GeV. Readers, calibration, clustering
    and the search for regions are not. Shapes, units, sizes, milliseconds and differences are printed and written to
    NAME.export.json. A file that differs from Keras by more than 1e-4 of the largest output is not written; with --int8 it
    is, unless it gives NaN or infinity: look at the difference that is printed.

    Needs pip install 'particle-zoo[export]' for ONNX and LiteRT.
    """
    if int8 and kind != "litert":
        raise InputError(f"--int8 is for --format litert; received --format {kind}")
    if options["manual_dir"] is not None and not options["dataset"]:
        raise InputError("--manual-dir holds the files of a data set; name it with --dataset")
    load_keras()
    from particle_zoo.exporting.write import export as write
    from particle_zoo.weights import locate, results_dir

    output = output or results_dir(model, locate(model)) / "export"
    kind += "_int8" if int8 else ""
    found = write(model, kind, output, examples=examples, seed=seed, force=force, options=options)
    _print(found, quiet=quiet)
    if json_path:
        write_json(json_path, found)
    click.echo(f"file: {found['file']}\nabout: {found['about']}")


def _print(found: dict[str, Any], *, quiet: bool) -> None:
    tried = found["examples"]
    rows = [(name, f"{value:.1e}", f"{found['rms'][name]:.1e}") for name, value in found["difference"].items()]
    table(
        f"{found['model']} as {found['format']}, {found['bytes'] / 1e6:.2f} MB, beside Keras on {tried['n']} examples ({tried['data']})",
        ("output", "largest difference / largest value", "rms difference / standard deviation"),
        rows,
    )
    if "agreement" in found:
        known = "accuracy" in found
        text = f", accuracy {found['accuracy']:.3f}, in Keras {found['accuracy_keras']:.3f}" if known else ""
        click.echo(f"same class as in Keras: {100 * found['agreement']:.1f} %{text}")
    if "quantisation" in found and not quiet:
        click.echo(found["quantisation"])
    if quiet:
        return
    speed = found["latency"]
    for n, ms in speed["ms"].items():
        click.echo(f"batch of {n}: {ms:g} ms, in Keras with preprocessing {speed['keras_ms'][n]:g} ms")


def main() -> None:
    """Entry point."""
    run(export)


if __name__ == "__main__":
    main()
