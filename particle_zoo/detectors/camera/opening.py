"""Open the frames of a camera run; the format is recognised by content first, by name second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from particle_zoo.detectors.camera.formats import fits, hdf5, his, numpy_files, root, tiff
from particle_zoo.detectors.camera.formats.numpy_files import natural
from particle_zoo.detectors.camera.frames import CameraFrames
from particle_zoo.detectors.camera.source import Source
from particle_zoo.detectors.readers.format import Format, check_options, find, find_among_others
from particle_zoo.errors import InputError

FORMATS: tuple[Format, ...] = (
    fits.FORMAT,
    hdf5.FORMAT,
    root.FORMAT,
    tiff.FORMAT,
    numpy_files.NPY,
    numpy_files.NPZ,
    his.FORMAT,
)
"""Asked in this order, the shortest mark last; a new reader adds its own."""


def open_frames(path: str | Path, *, transpose: bool = False, rotate: int = 0, **options: Any) -> CameraFrames:
    """Open a camera run; its frames are read when they are asked for.

    HIS (Hamamatsu), ROOT histograms `pic_runR_evE` (needs uproot), HDF5 (`Image`, `images`, or one dataset a frame with
    `pic` in its name), .npy, .npz, TIFF and FITS. The frames of a folder are those of all its files, in numeric order of
    their names (2 before 10); they must be of one format. As where hits are read, hidden files and files of other kinds in it
    are skipped.

    Row is y, column is x, and the first row is the first that the file stores. ROOT histograms are [x, y] and are
    transposed, so that the first y bin is row 0. Programs of the CYGNO experiment turn frames in ways a file does not
    tell; `transpose`, done first, and `rotate` bring them to each other:

    - the frames that the reconstruction works on are ROOT files upside down: `transpose=True, rotate=1`;
    - hdf2root's `Image` in HDF5, [x, y] with y upwards, back to the camera's HIS: `rotate=1`; its ROOT files, which
      are upside down: `transpose=True, rotate=1`;
    - a frame that was numpy.rot90 (MIDAS) and is to be turned back: `rotate=-1`.

    Args:
        path: file, or folder of files.
        transpose: exchange rows and columns.
        rotate: quarter turns counterclockwise, as numpy.rot90.
        options: of the format: `partial_run` of HIS, `dataset` of HDF5.

    Returns:
        The frames, at least one, uint16.

    Raises:
        InputError: missing, unknown, damaged or empty, frames of different sizes or formats; named with file and place.
            Values that are no whole counts 0..65535 are found when a frame is read.
    """
    path = Path(path)
    if isinstance(rotate, bool) or not isinstance(rotate, int):
        raise InputError(f"rotate must be a whole number of quarter turns; received {rotate!r}")
    if not path.exists():
        raise InputError(f"{path} does not exist; give a file of camera frames or a folder of them")
    files = _files(path) if path.is_dir() else [(path, find(path, FORMATS))]
    sources: list[Source] = []
    for file, found in files:
        check_options(f"{file}: {found.name}", options, found.options)
        _check_packing(file, found)
        sources += found.parts(file, **options)
    return CameraFrames(tuple(replace(s, transpose=bool(transpose), rotate=rotate % 4) for s in sources))


def _files(folder: Path) -> list[tuple[Path, Format]]:
    listed = (f for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))
    found = [(f, kind) for f in listed if (kind := find_among_others(f, FORMATS)) is not None]
    if not found:
        endings = ", ".join(dict.fromkeys(suffix for f in FORMATS for suffix in f.suffixes))
        raise InputError(f"{folder} holds no camera frames; expected files ending in {endings}")
    found.sort(key=lambda pair: natural(pair[0].name))
    other = next((pair for pair in found if pair[1] is not found[0][1]), None)
    if other is not None:
        raise InputError(
            f"{folder} mixes {found[0][1].name} ({found[0][0].name}) and {other[1].name} ({other[0].name}); keep runs in "
            f"separate folders"
        )
    return found


def _check_packing(path: Path, found: Format) -> None:
    if found is fits.FORMAT:
        return
    with path.open("rb") as stream:
        if stream.read(2) == b"\x1f\x8b":
            raise InputError(
                f"{path} is gzipped {found.name}, whose frames cannot be reached one by one; unpack it first"
            )
