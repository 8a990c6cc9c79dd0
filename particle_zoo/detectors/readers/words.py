"""Blocks of binary files made of words of a fixed size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from particle_zoo.detectors.readers.format import check_count, opened
from particle_zoo.errors import InputError


def blocks(path: Path, word: int, chunk: int, *, partial: bool) -> Iterator[tuple[int, bytes]]:
    """Yield (byte it starts at, whole words) of a file.

    Args:
        path: file.
        word: bytes of a word.
        chunk: words to read at a time.
        partial: leave out a last word that is not complete, instead of refusing the file.

    Raises:
        InputError: a file that cannot be read or that ends inside a word; names the byte.
    """
    check_count("chunk", chunk)
    at = 0
    with opened(path) as file:
        while content := file.read(word * chunk):
            odd = len(content) % word
            if odd and not partial:
                raise InputError(
                    f"{path}, byte {at + len(content) - odd}: the file ends inside a word of {word} bytes; copy it again, or "
                    "read what is there with partial=True"
                )
            yield at, content[: len(content) - odd]
            at += len(content)
