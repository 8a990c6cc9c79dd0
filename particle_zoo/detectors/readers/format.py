"""What a reader tells about itself, so that a file finds it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import Hits
from particle_zoo.errors import InputError

HEAD = 4096
"""Bytes of content a format may look at."""

GENERIC = (".txt", ".csv", ".yml", ".yaml", ".yml.gz", ".yaml.gz", ".ini", ".raw")
"""Endings that say nothing about what wrote a file."""


@dataclass(frozen=True)
class Format:
    """One file format.

    Args:
        name: what it is called, for error sentences.
        suffixes: endings of its file names, lower case, with the dot.
        recognise: whether the first bytes of a file (unpacked, if it is gzipped) can only be this format.
        parts: the content of a file, in pieces that fit into memory.
        options: keyword arguments of `parts`.
        gives: what a file holds, for one that holds nothing.
        companion: whether such files only accompany others, so that a folder is read without them.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[bytes], bool]
    parts: Callable[..., Iterator[Any]]
    options: tuple[str, ...] = ()
    gives: type[Clusters] | type[Frames] | type[Hits] = Clusters
    companion: bool = False

    def named(self, path: Path) -> bool:
        """Whether the name of the file has one of the endings."""
        return path.name.lower().endswith(self.suffixes) or path.name.lower().removesuffix(".gz").endswith(
            self.suffixes
        )

    def generic(self, path: Path) -> bool:
        """Whether the name of the file has an ending of this format that others use too."""
        return path.name.lower().removesuffix(".gz").endswith(tuple(set(self.suffixes) & set(GENERIC)))


def head(path: Path) -> bytes:
    """The first bytes of a file, unpacked where it is gzipped.

    Raises:
        InputError: a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(HEAD)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error
    if start[:2] != b"\x1f\x8b":
        return start
    try:
        return zlib.decompressobj(wbits=31).decompress(start, HEAD)
    except zlib.error:
        return start


def unpacked(path: Path) -> IO[bytes]:
    """A file to read bytes from, unpacked where it is gzipped."""
    file = path.open("rb")
    if file.peek(2)[:2] != b"\x1f\x8b":
        return file
    file.close()
    return gzip.open(path, "rb")  # type: ignore[return-value]


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """`unpacked`, closed at the end of the block.

    Raises:
        InputError: a file that cannot be read or unpacked, also while it is read inside the block.
    """
    try:
        with unpacked(path) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is a damaged gzip file ({' '.join(str(error).split())[:80]}); copy it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); give a readable file") from error


def check_count(name: str, value: Any) -> None:
    """Check how many of something a reader takes at a time.

    Raises:
        InputError: no whole number of 1 or more.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} must be a whole number of 1 or more; received {value!r}")


def find(path: Path, formats: tuple[Format, ...]) -> Format:
    """The format of a file: by content, then by name.

    Raises:
        InputError: neither says anything.
    """
    start = head(path)
    found = _by_content(path, start, formats) or next((f for f in formats if f.named(path)), None)
    if found is None:
        endings = ", ".join(dict.fromkeys(suffix for f in formats for suffix in f.suffixes))
        raise InputError(
            f"{path} is of no format known here (it starts with {start[:20]!r}); expected one of {endings}"
        )
    return found


def find_among_others(path: Path, formats: tuple[Format, ...]) -> Format | None:
    """The format of a file of a folder; None for what no detector wrote, or what only accompanies other files."""
    named = next((f for f in formats if f.named(path)), None)
    if named is None:
        return None
    # Anything may be text or YAML: only content tells a detector's.
    found = _by_content(path, head(path), formats) or (None if named.generic(path) else named)
    return None if found is None or found.companion else found


def _by_content(path: Path, start: bytes, formats: tuple[Format, ...]) -> Format | None:
    # By name: what only accompanies a file can look like the data of another format.
    beside = next((f for f in formats if f.companion and f.named(path)), None)
    return beside or next((f for f in formats if f.recognise(start)), None)


def check_options(name: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse options a format does not have.

    Raises:
        InputError: an unknown option.
    """
    unknown = set(options) - set(known)
    if unknown:
        has = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InputError(f"{name} files have no option {min(unknown)}; {has}")
