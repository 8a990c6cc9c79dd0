"""Small camera files of every format, as the programs of the experiments write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from particle_zoo.detectors.camera.formats.his import HEADER

SHAPE = (5, 7)


def asymmetric(n: int = 3, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """(n, rows, cols) uint16 frames that no turn or mirror leaves as they are; both ends of the range occur."""
    rows, cols = shape
    images = 100 + 1000 * np.arange(n)[:, None, None] + 17 * np.arange(rows)[:, None] + 3 * np.arange(cols)
    images = (images % 60000).astype(np.uint16)
    images[0, 0, 0], images[-1, -1, 1] = 65535, 0
    return images


def his_section(
    image: np.ndarray, comment: bytes = b"", *, images: int = 1, time: float = 0.0, pixel: int = 2
) -> bytes:
    header = np.zeros(1, HEADER)
    header["magic"], header["comment"], header["pixel"], header["images"] = b"IM", len(comment), pixel, images
    header["height"], header["width"] = image.shape[-2:]
    header["time"] = time
    return header.tobytes() + comment + image.astype({1: "<u1", 2: "<u2", 3: "<u4"}[pixel]).tobytes()


def write_his(path: Path, images: np.ndarray, *, pixel: int = 2) -> Path:
    """One image a section, the comment only in the first, which also counts the images."""
    sections = [his_section(images[0], b"exposure 0.3 s;", images=len(images), pixel=pixel)]
    sections += [his_section(image, time=0.5 * i, pixel=pixel) for i, image in enumerate(images[1:], 1)]
    path.write_bytes(b"".join(sections))
    return path


def write_his_block(path: Path, images: np.ndarray) -> Path:
    """All images in one section."""
    path.write_bytes(his_section(images, b"run 1", images=len(images)))
    return path


def write_root(path: Path, images: np.ndarray, dtype: type = np.float64, name: str = "pic_run12_ev{}") -> Path:
    """[x, y] histograms, in an order of their own."""
    import uproot

    rows, cols = images.shape[1:]
    with uproot.recreate(path) as file:
        for number in reversed(range(len(images))):
            file[name.format(number)] = (images[number].T.astype(dtype), np.arange(cols + 1), np.arange(rows + 1))
    return path


def write_hdf5(path: Path, images: np.ndarray) -> Path:
    """One dataset a frame, as in the reconstruction's tier."""
    import h5py

    with h5py.File(path, "w") as file:
        for number, image in enumerate(images):
            file[f"pic_run12_ev{number}"] = image
    return path


def write_hdf5_stack(path: Path, images: np.ndarray) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, chunks=(1, *images.shape[1:]), compression="gzip")
    return path


def write_npy(path: Path, images: np.ndarray) -> Path:
    np.save(path, images)
    return path


def write_npz(path: Path, images: np.ndarray) -> Path:
    np.savez_compressed(path, frames=images)
    return path


def write_npz_each(path: Path, images: np.ndarray) -> Path:
    np.savez(path, **{f"f{i}": image for i, image in enumerate(images)})
    return path


def write_tiff(path: Path, images: np.ndarray) -> Path:
    import tifffile

    tifffile.imwrite(path, images, photometric="minisblack")
    return path


def write_tiff_pages(path: Path, images: np.ndarray) -> Path:
    """Separate pages, compressed, big-endian."""
    import tifffile

    with tifffile.TiffWriter(path, byteorder=">") as file:
        for image in images:
            file.write(image, contiguous=False, compression="zlib", photometric="minisblack")
    return path


def write_imagej(path: Path, images: np.ndarray) -> Path:
    import tifffile

    tifffile.imwrite(path, images, imagej=True)
    return path


def write_fits(path: Path, images: np.ndarray) -> Path:
    """A cube of unsigned 16 bits (BZERO 32768)."""
    from astropy.io import fits

    fits.PrimaryHDU(images).writeto(path)
    return path


def write_fits_each(path: Path, images: np.ndarray) -> Path:
    from astropy.io import fits

    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(image) for image in images)]
    for hdu in hdus[1:]:
        hdu.header["EXPTIME"], hdu.header["DATE-OBS"] = 0.3, "2026-01-02T03:04:05"
    fits.HDUList(hdus).writeto(path)
    return path


def write_fits_packed(path: Path, images: np.ndarray) -> Path:
    from astropy.io import fits

    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(images)]).writeto(path)
    return path


WRITERS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "sections.his": write_his,
    "block.his": write_his_block,
    "a.root": write_root,
    "events.h5": write_hdf5,
    "stack.hdf5": write_hdf5_stack,
    "a.npy": write_npy,
    "stack.npz": write_npz,
    "each.npz": write_npz_each,
    "stack.tif": write_tiff,
    "pages.tiff": write_tiff_pages,
    "imagej.tif": write_imagej,
    "cube.fits": write_fits,
    "each.fits": write_fits_each,
    "packed.fits.fz": write_fits_packed,
    "packed.fits.gz": write_fits,
}
