"""Data sets prepared by TFDS: one root a state of the source files."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.data.source import Source, check_fingerprint
from particle_zoo.errors import InputError, ParticleZooError


def read(
    source: Source, name: str, config: str, splits: Sequence[str], data_dir: str | Path | None, manual_dir: Path | None
) -> list[Clusters]:
    """Prepare the set if this state of its source is new, then read the splits; empty splits are left out.

    Raises:
        InputError: as `ready`, or damaged files.
    """
    from particle_zoo.data.cluster_stream import ClusterStream

    builder = ready(source, name, config, data_dir, manual_dir)
    # Not through TFDS, which decodes one example at a time: it takes twenty times as long.
    return [ClusterStream(builder, [split]).load() for split in present(builder, splits)]


def ready(source: Source, name: str, config: str, data_dir: str | Path | None, manual_dir: Path | None) -> Any:
    """The builder of a data set that is prepared; it is prepared now if this state of its source is new.

    Raises:
        InputError: unusable source files, or a folder with data of another source.
    """
    fingerprint = source.fingerprint(config, manual_dir)
    builder = open_builder(name, config, data_dir, fingerprint, manual_dir=manual_dir)
    if not builder.is_prepared():
        prepare(builder)
    check_fingerprint(builder.data_dir, builder.fingerprint, fingerprint)
    return builder


def present(builder: Any, splits: Sequence[str]) -> list[str]:
    """Those of the splits that a prepared data set has clusters of."""
    return [split for split in splits if split in builder.info.splits and builder.info.splits[split].num_examples]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep TFDS and its libraries from talking."""
    # TFDS prints to stdout, which belongs to results; it, tf.data and protobuf warn about themselves.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def open_builder(name: str, config: str, data_dir: str | Path | None, fingerprint: str, **options: Any) -> Any:
    """The builder of a data set, in the folder of one state of its source.

    Args:
        name: of the data set.
        config: of its configurations.
        data_dir: where prepared data are kept; TFDS's default without it.
        fingerprint: of the source.
        options: further arguments of the builder.

    Raises:
        InputError: the folder holds a data set whose description is damaged.
    """
    with quiet():
        import tensorflow_datasets as tfds

        tfds.disable_progress_bar()
        module = importlib.import_module(f"particle_zoo.datasets.{name}.{name}_dataset_builder")
        root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR)
        folder = root / f"source-{fingerprint}"
        try:
            return module.Builder(config=config, data_dir=str(folder), **options)
        except (ParticleZooError, OSError):
            raise
        # TFDS reads what is prepared at once, and a damaged description raises whatever it leads it to.
        except Exception as error:
            if not list(folder.rglob("dataset_info.json")):
                raise
            raise InputError(
                f"the description of the data set in {folder} is damaged ({str(error) or type(error).__name__}); remove this "
                "folder to have the data set prepared anew"
            ) from error


def prepare(builder: Any) -> None:
    """Prepare a data set.

    Raises:
        InputError: what its source raised, or a file could not be read or written.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    with quiet():
        try:
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(compute_stats="skip"))
        except ParticleZooError:
            raise
        # TFDS wraps what a reader raises into an exception of its own.
        except Exception as error:
            causes = list(_causes(error))
            for cause in causes:
                if isinstance(cause, ParticleZooError):
                    raise cause from error
            for cause in causes:
                if isinstance(cause, (OSError, tf.errors.OpError)):
                    raise InputError(
                        f"the data set cannot be prepared in {builder.data_dir} ({cause}); make room there, or give another --data-dir"
                    ) from error
            raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
