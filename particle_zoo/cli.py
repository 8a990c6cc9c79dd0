"""What every command shares: options, error sentences and exit codes."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import math
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from particle_zoo.errors import InputError, ParticleZooError

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")

Command = Callable[..., Any]
Part = TypeVar("Part")


def run(command: click.Command, *, stopped: str = "stopped") -> NoReturn:
    """Run a click command as a process: 0 on success, 2 with one sentence on bad input, 1 when another process was lost, 130 on Ctrl-C.

    Args:
        command: the command.
        stopped: what to say on Ctrl-C, with how to go on where that is possible.
    """
    # TensorFlow announces its CPU features and missing GPUs; a user's one sentence would drown in it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        code = command.main(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        click.echo(stopped, err=True)
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"error: {sentence(error.format_message())}", err=True)
        sys.exit(2)
    except (ParticleZooError, OSError) as error:
        click.echo(f"error: {sentence(str(error))}", err=True)
        sys.exit(getattr(error, "exit_code", 2))
    except MemoryError as error:
        click.echo(
            f"error: out of memory ({sentence(str(error)) or 'no more said'}); use a smaller file or setting", err=True
        )
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def sentence(message: str) -> str:
    """Fold a message into one line."""
    return " ".join(message.split())


def dataset_options(command: Command) -> Command:
    """Options that say which clusters to work on."""
    for option in reversed(
        (
            click.option("--dataset", help="NAME[/CONFIG] of the data set.  [default: the model's simulated one]"),
            click.option(
                "--data-dir",
                type=click.Path(path_type=Path),
                help="Where prepared data sets are kept.  [default: TFDS's]",
            ),
            click.option("--manual-dir", type=click.Path(path_type=Path), help="Folder with your own source files."),
            click.option(
                "--classes", help="Comma-separated class names in order, or 'all'.  [default: xray,electron,muon]"
            ),
            click.option(
                "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random."
            ),
        )
    ):
        command = option(command)
    return command


def output_options(command: Command) -> Command:
    """Options that say where results go and how much is printed."""
    for option in reversed(
        (
            click.option(
                "--json",
                "json_path",
                type=click.Path(path_type=Path),
                callback=_will_be_written,
                help="Also write the numbers to this JSON file.",
            ),
            click.option("--quiet", is_flag=True, help="Print results only."),
        )
    ):
        command = option(command)
    return command


def _will_be_written(_: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path before hours of work that could not be written to afterwards."""
    if path is None:
        return None
    if path.is_dir():
        raise InputError(f"{option.opts[0]} {path} is a folder; name a file in it")
    there = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "may not be written to" if there.is_dir() else "is no folder"
        raise InputError(f"{option.opts[0]} {path} cannot be written: {there} {why}; give another path")
    return path


def clustering_options(command: Command) -> Command:
    """Options that say how files are read and clusters found; `chain_options` makes them settings."""
    for option in reversed(
        (
            click.option(
                "--threshold",
                type=float,
                help="Pixels of a frame at or above this belong to clusters, in its unit.  [default: CCD 4000 ADU, others 0]",
            ),
            click.option(
                "--min-size",
                type=click.IntRange(1),
                help="Smallest cluster, in pixels.  [default: CCD frames 5, others 1]",
            ),
            click.option("--connectivity", type=click.Choice(["4", "8"]), default="8", help="Neighbours of a pixel."),
            click.option(
                "--window-ns", type=float, default=200.0, help="Largest time between neighbouring hits of a cluster."
            ),
            click.option(
                "--edge",
                type=click.IntRange(0),
                nargs=4,
                metavar="TOP BOTTOM LEFT RIGHT",
                help="Pixels to ignore along the borders of a CCD frame (overscan); the seed's frames need 40 0 5 0.",
            ),
            click.option(
                "--calibration",
                type=click.Path(path_type=Path),
                help="Folder with a.txt, b.txt, c.txt, t.txt of the chip, from ToT to keV; 'typical' for typical values.",
            ),
            click.option(
                "--set",
                "reading",
                multiple=True,
                metavar="KEY=VALUE",
                help="Option of the file's format, e.g. unit=ToT.",
            ),
        )
    ):
        command = option(command)
    return command


def chain_options(settings: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `particle_zoo.detectors.chain.iter_clusters` from the values of `clustering_options`.

    Raises:
        InputError: a calibration that cannot be read, or a `--set` without "=" or of no format.
    """
    from particle_zoo.detectors.chain import SETTINGS
    from particle_zoo.detectors.readers import FORMATS

    options = {name: value for name, value in settings.items() if name not in ("reading", "calibration")}
    options["connectivity"] = int(options["connectivity"])
    calibration = settings["calibration"]
    if calibration is not None:
        from particle_zoo.detectors.pixel_calibration import read_calibration

        options["calibration"] = read_calibration(calibration)
    own = parse_settings(settings["reading"])
    known = sorted({*SETTINGS, *(option for found in FORMATS for option in found.options)})
    unknown = next((name for name in own if name not in known), None)
    if unknown is not None:
        raise InputError(f"--set {unknown}: no format has this option; there are {', '.join(known)}")
    return options | own


precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Dtype policy of the layers.",
)


def reuse_memory() -> None:
    """Have glibc keep freed memory for the next request; nothing happens under another C library.

    A training frees and requests the same large blocks in every step. By default each goes back to the system, which
    fills it with zeros page by page for the next request: up to half of the time of a small network. Call it before
    TensorFlow starts its threads.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    largest, one, none = 2**31 - 1, 1, 0
    libc = ctypes.CDLL(None)
    # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX. Arenas of threads are given back whatever the threshold says.
    for parameter, value in ((-1, largest), (-4, none), (-8, one)):
        libc.mallopt(parameter, value)


def load_keras(precision: str = "float32") -> None:
    """Import Keras and its backend without their greetings; `precision` is the policy of every layer built afterwards.

    TensorFlow's C++ part writes to the process's stderr before its log level counts, so Python cannot catch it.
    """
    reuse_memory()
    with hushed():
        import keras
    keras.config.set_dtype_policy(precision)


@contextlib.contextmanager
def hushed(*, told: bool = True) -> Iterator[None]:
    """Keep what libraries write to the process's stderr from the user; where they fail it is shown, unless `told` is false."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read() if told else b"")
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def parse_settings(pairs: tuple[str, ...], params: Path | None = None) -> dict[str, Any]:
    """Settings from `--params FILE` overlaid with `--set key=value`; values are JSON where they parse, else text.

    Raises:
        InputError: a pair without "=", or a file that holds no JSON object.
    """
    settings: dict[str, Any] = {}
    if params is not None:
        settings.update(read_json(params, what="--params"))
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set takes key=value; received {pair!r}")
        try:
            settings[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            settings[key.strip()] = value
    return settings


def read_json(path: Path, *, what: str = "file") -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: no such file, no JSON, or JSON that is not an object.
    """
    try:
        value = json.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{what} {path} cannot be read as JSON ({error}); give an existing JSON file") from error
    if not isinstance(value, dict):
        raise InputError(f"{what} {path} must hold a JSON object; received a {type(value).__name__}")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON through a temporary name, so that a reader never meets half a file; NaN and infinity become null."""
    with replacing(path) as temporary:
        text = json.dumps(_strict(json.loads(json.dumps(value, default=_plain))), indent=2, allow_nan=False)
        temporary.write_text(text + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_strict(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def progress(parts: Iterable[Part], unit: str, *, quiet: bool) -> Iterable[Part]:
    """The same parts, counted by a bar on a terminal; nothing in a log file, nor where `quiet`."""
    from tqdm import tqdm

    # disable=None asks whether there is a terminal.
    bar: Iterable[Part] = tqdm(parts, unit=f" {unit}", disable=True if quiet else None)
    return bar


def tell_averaged(count: int) -> None:
    """Say how many clusters a model sees coarser than they are, if any."""
    if count:
        click.echo(f"{count:,} clusters are larger than the image and were averaged over blocks of pixels")


class replacing:  # noqa: N801  (a context manager, named like contextlib's)
    """Give a temporary path beside `path`; on success it takes the place of `path`, on failure it is removed."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        # All suffixes stay: Keras and NumPy look at them.
        self.temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp{''.join(self.path.suffixes)}")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is None:
            self.temporary.replace(self.path)
            return
        self.temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # What a full disk raises does not say which file had no room.
            error.filename = str(self.path)


def table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table; numbers are right-aligned."""
    from rich.console import Console
    from rich.table import Table

    view = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        view.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        view.add_row(*(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row))
    # A fixed width where there is no terminal: piped tables must not wrap at 80 columns.
    Console(width=None if sys.stdout.isatty() else 140).print(view)
