from __future__ import annotations

import builtins
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from particle_zoo import InputError, read
from particle_zoo.detectors.camera import open_frames
from tests.detectors.camera import camera_files as files
from tests.detectors.camera.camera_files import WRITERS, asymmetric, his_section


@pytest.mark.parametrize("shape", [(5, 7), (7, 5)])
@pytest.mark.parametrize("name", WRITERS)
def test_an_asymmetric_run_comes_back_bit_exact_and_unflipped(
    tmp_path: Path, name: str, shape: tuple[int, int]
) -> None:
    images = asymmetric(12, shape)
    frames = open_frames(WRITERS[name](tmp_path / name, images))
    assert (frames.shape, frames.dtype) == ((12, *shape), np.uint16)
    assert_array_equal(np.stack(list(frames)), images)
    assert_array_equal(frames[-1], images[-1])
    assert_array_equal(np.concatenate(list(frames[9:2:-3].chunks(2))), images[9:2:-3])
    assert frames[0].dtype == np.dtype(np.uint16)
    assert frames.table["frame"].tolist() == list(range(12))
    assert set(frames.table["source"]) == {name} == set(frames.source)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape"),
    [*((name, (2304, 4096)) for name in WRITERS), ("sections.his", (2048, 2048)), ("sections.his", (2304, 2304))],
)
def test_whole_sensors(tmp_path: Path, name: str, shape: tuple[int, int]) -> None:
    images = asymmetric(2, shape)
    # Noise takes ten times as long to pack, and as much time for every row.
    images[:, :256] = np.random.default_rng(1).poisson(100, (2, 256, shape[1]))
    assert_array_equal(np.stack(list(open_frames(WRITERS[name](tmp_path / name, images)))), images)


@pytest.mark.parametrize("name", ["a.npy", "stack.npz", "stack.tif", "events.h5", "stack.hdf5", "a.root"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i4", ">f4", "<f8"])
def test_whole_numbers_of_any_type_are_counts(tmp_path: Path, name: str, dtype: str) -> None:
    images = (asymmetric() % 251).astype(dtype)
    frames = open_frames(WRITERS[name](tmp_path / name, images))
    assert_array_equal(np.stack(list(frames)), images)
    assert all(frame.dtype == np.dtype(np.uint16) for frame in frames)


@pytest.mark.parametrize(
    ("value", "said"), [(-1, "-1"), (65536, "65536"), (100.5, "100.5"), (np.nan, "nan"), (np.inf, "inf")]
)
@pytest.mark.parametrize("name", ["a.npy", "a.root", "stack.hdf5"])
def test_what_is_no_count_is_named_with_frame_and_pixel(tmp_path: Path, name: str, value: float, said: str) -> None:
    images = asymmetric().astype(np.float64)
    images[1, 2, 3] = value
    frames = open_frames(WRITERS[name](tmp_path / name, images))
    assert_array_equal(frames[0], images[0])
    with pytest.raises(
        InputError, match=rf"{name}, frame 1: pixel \(row 2, col 3\) is {said}.*; camera frames hold whole counts"
    ):
        frames[1]


def test_complex_values_are_no_counts(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", asymmetric().astype(complex))
    with pytest.raises(InputError, match="type complex128"):
        open_frames(tmp_path / "a.npy")[0]


@pytest.mark.parametrize("pixel", [1, 2, 3])
def test_his_pixel_types(tmp_path: Path, pixel: int) -> None:
    images = asymmetric() % 256
    frames = open_frames(files.write_his(tmp_path / "a.his", images, pixel=pixel))
    assert_array_equal(np.stack(list(frames)), images)
    assert frames.table["timestamp"].tolist() == [0, 0.5, 1]


def test_his_sections_with_comments_and_counts_of_their_own(tmp_path: Path) -> None:
    images = asymmetric(4)
    sections = [his_section(image, b"c" * i, images=4 - i) for i, image in enumerate(images)]
    (tmp_path / "a.his").write_bytes(b"".join(sections))
    assert_array_equal(np.stack(list(open_frames(tmp_path / "a.his"))), images)


def test_his_in_colour_is_refused(tmp_path: Path) -> None:
    content = bytearray(his_section(asymmetric()[0]))
    content[12] = 11
    (tmp_path / "a.his").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.his, frame 0: pixel type 11"):
        open_frames(tmp_path / "a.his")


def test_a_stopped_his_acquisition_gives_its_complete_frames(tmp_path: Path) -> None:
    images = asymmetric()
    path = files.write_his(tmp_path / "a.his", images)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"a\.his is truncated: .* frame 2, .*partial_run"):
        open_frames(path)
    assert_array_equal(np.stack(list(open_frames(path, partial_run=True))), images[:2])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_root_histograms_of_every_type(tmp_path: Path, dtype: type) -> None:
    images = asymmetric() % 30000
    path = files.write_root(tmp_path / "histograms_Run00012.root", images, dtype)
    frames = open_frames(path)
    assert_array_equal(np.stack(list(frames)), images)
    assert set(frames.table["run"]) == {12}


def test_events_come_in_numeric_order(tmp_path: Path) -> None:
    images = asymmetric(12)
    for path in (files.write_root(tmp_path / "a.root", images), files.write_hdf5(tmp_path / "a.h5", images)):
        assert open_frames(path).table["frame"].tolist() == list(range(12))


def test_root_without_uproot_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write_root(tmp_path / "a.root", asymmetric())
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "uproot":
            raise ModuleNotFoundError("No module named 'uproot'", name="uproot")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'particle-zoo\[root\]'"):
        open_frames(path)


def test_root_files_without_frames(tmp_path: Path) -> None:
    import uproot

    with uproot.recreate(tmp_path / "pedmap_run1_rebin1.root") as file:
        file["pedmap"] = (np.ones((2, 3)), np.arange(3), np.arange(4))
    with pytest.raises(InputError, match=r"holds no frame; expected .* pic_runR_evE, found pedmap"):
        open_frames(tmp_path / "pedmap_run1_rebin1.root")
    with uproot.recreate(tmp_path / "b.root") as file:
        file["pic_run1_ev0"] = (np.ones(3), np.arange(4))
    with pytest.raises(InputError, match=r"pic_run1_ev0 is a TH1D; expected a two-dimensional"):
        open_frames(tmp_path / "b.root")


def hdf2root(folder: Path, images: np.ndarray) -> None:
    """One file a frame, turned as `his2h5.py` of hdf2root does it."""
    import h5py

    folder.mkdir()
    for number, image in enumerate(images):
        with h5py.File(folder / f"run00012-{number}.h5", "w") as file:
            file["Image"] = np.fliplr(np.transpose(image)).astype("i4")


def test_a_folder_of_one_file_a_frame_is_a_run_in_numeric_order(tmp_path: Path) -> None:
    images = asymmetric(11)
    hdf2root(tmp_path / "run", images)
    for name in ("notes.txt", ".hidden.h5", "log.csv"):
        (tmp_path / "run" / name).write_text("run 12, GEM 440 V\n")
    frames = open_frames(tmp_path / "run", rotate=1)
    assert_array_equal(np.stack(list(frames)), images)
    assert frames.source == tuple(f"run00012-{i}.h5" for i in range(11))
    assert_array_equal(frames[[10, 2]].table["source"], ["run00012-10.h5", "run00012-2.h5"])


def test_the_known_orientations(tmp_path: Path) -> None:
    """Frames of his2root (fliplr of the transposed image) and of the reconstruction (`values().T[::-1]`)."""
    images = asymmetric()
    flipped = np.stack([image[::-1] for image in images])
    assert_array_equal(np.stack(list(open_frames(files.write_root(tmp_path / "a.root", flipped)))), flipped)
    assert_array_equal(np.stack(list(open_frames(tmp_path / "a.root", transpose=True, rotate=1))), images)
    np.save(tmp_path / "a.npy", np.rot90(images, axes=(1, 2)))
    assert open_frames(tmp_path / "a.npy").shape == (3, 7, 5)
    assert_array_equal(np.stack(list(open_frames(tmp_path / "a.npy", rotate=-1))), images)
    np.save(tmp_path / "b.npy", images.transpose(0, 2, 1))
    assert_array_equal(np.stack(list(open_frames(tmp_path / "b.npy", transpose=True))), images)


@pytest.mark.parametrize("rotate", [1.0, True, "1"])
def test_turns_are_whole(tmp_path: Path, rotate: Any) -> None:
    np.save(tmp_path / "a.npy", asymmetric())
    with pytest.raises(InputError, match="quarter turns"):
        open_frames(tmp_path / "a.npy", rotate=rotate)


def test_a_named_dataset(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw/camera"] = asymmetric()
    with pytest.raises(InputError, match=r"holds no frame; .* found raw"):
        open_frames(tmp_path / "a.h5")
    with pytest.raises(InputError, match="has no dataset 'x'; there is raw"):
        open_frames(tmp_path / "a.h5", dataset="x")
    with pytest.raises(InputError, match="raw is no dataset"):
        open_frames(tmp_path / "a.h5", dataset="raw")
    assert_array_equal(np.stack(list(open_frames(tmp_path / "a.h5", dataset="raw/camera"))), asymmetric())
    np.save(tmp_path / "a.npy", asymmetric())
    with pytest.raises(InputError, match="NumPy files have no option dataset"):
        open_frames(tmp_path / "a.npy", dataset="x")


def test_content_decides_before_the_name(tmp_path: Path) -> None:
    for name, writer in WRITERS.items():
        path = writer(tmp_path / name, asymmetric())
        assert len(open_frames(path.rename(tmp_path / f"{path.name}.dat"))) == 3


def test_exposures_and_dates_of_fits(tmp_path: Path) -> None:
    table = open_frames(files.write_fits_each(tmp_path / "a.fits", asymmetric())).table
    assert table["exposure_s"].tolist() == [0.3] * 3
    assert set(table["date"]) == {"2026-01-02T03:04:05"}


def test_fortran_order(tmp_path: Path) -> None:
    images = asymmetric()
    np.save(tmp_path / "a.npy", np.asfortranarray(images))
    assert_array_equal(np.stack(list(open_frames(tmp_path / "a.npy"))), images)
    np.savez(tmp_path / "a.npz", *(np.asfortranarray(image) for image in images))
    assert_array_equal(np.stack(list(open_frames(tmp_path / "a.npz"))), images)
    np.savez(tmp_path / "b.npz", np.asfortranarray(images))
    with pytest.raises(InputError, match="Fortran order"):
        open_frames(tmp_path / "b.npz")


@pytest.mark.parametrize("name", ["each.npz", "a.root", "events.h5", "sections.his", "pages.tiff", "each.fits"])
def test_different_sizes_in_a_file(tmp_path: Path, name: str) -> None:
    class Odd(list[np.ndarray]):
        shape = (2, 5, 7)

    images: Any = Odd([asymmetric()[0], asymmetric(1, (5, 8))[0]])
    if name == "a.root":
        import uproot

        with uproot.recreate(tmp_path / name) as file:
            for i, image in enumerate(images):
                file[f"pic_run1_ev{i}"] = (image.T.astype(float), np.arange(image.shape[1] + 1), np.arange(6))
    else:
        WRITERS[name](tmp_path / name, images)
    with pytest.raises(InputError, match=r"5 x 8 px.*5 x 7"):
        list(open_frames(tmp_path / name))


def test_different_sizes_and_formats_in_a_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", asymmetric())
    np.save(tmp_path / "2.npy", asymmetric(2, (4, 7)))
    with pytest.raises(InputError, match=r"2\.npy has frames of 4 x 7 px, .*1\.npy of 5 x 7 px"):
        open_frames(tmp_path)
    (tmp_path / "2.npy").unlink()
    files.write_tiff(tmp_path / "3.tif", asymmetric())
    with pytest.raises(InputError, match=r"mixes NumPy \(1\.npy\) and TIFF \(3\.tif\)"):
        open_frames(tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_empty_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=name):
        open_frames(tmp_path / name)


def test_runs_without_frames(tmp_path: Path) -> None:
    import h5py
    from astropy.io import fits

    nothing = np.empty((0, 5, 7), np.uint16)
    np.save(tmp_path / "a.npy", nothing)
    np.savez(tmp_path / "a.npz", nothing)
    np.savez(tmp_path / "b.npz")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = nothing
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "a.fits")
    for name in ("a.npy", "a.npz", "b.npz", "a.h5", "a.fits"):
        with pytest.raises(InputError, match=rf"{name}.* (no (frame|array)|holds no)"):
            open_frames(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no camera frames"):
        open_frames(tmp_path / "empty")
    with pytest.raises(InputError, match="does not exist"):
        open_frames(tmp_path / "nothing.his")


def test_colour_is_refused(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 7, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="in one colour"):
        open_frames(tmp_path / "a.tif")


def test_gzipped_runs_are_to_be_unpacked(tmp_path: Path) -> None:
    content = files.write_his(tmp_path / "a.his", asymmetric()).read_bytes()
    (tmp_path / "b.his.gz").write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=r"b\.his\.gz is gzipped HIS.*unpack it first"):
        open_frames(tmp_path / "b.his.gz")


def test_ccd_frames_are_read_as_before(tmp_path: Path) -> None:
    image = np.zeros((20, 30), np.uint16)
    image[3:6, 4:7] = 5000
    clusters = read(files.write_fits(tmp_path / "a.fits", image[None][0]))
    assert clusters.sizes.tolist() == [9]
    assert_array_equal(open_frames(tmp_path / "a.fits")[0], image)


def test_opening_reads_no_pixels_and_imports_no_tensorflow(tmp_path: Path) -> None:
    """A run of 8 GB, nearly all of it a hole in the file, opens at once in a fresh process."""
    path = tmp_path / "a.npy"
    header = {"descr": "<u2", "fortran_order": False, "shape": (400, 2304, 4608)}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + 400 * 2304 * 4608 * 2)
    program = (
        "import sys, psutil\nfrom particle_zoo.detectors.camera import open_frames\n"
        f"frames = open_frames({str(path)!r})\n"
        "assert frames.shape == (400, 2304, 4608) and frames[399].max() == 0\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
        "assert psutil.Process().memory_info().rss < 1e9\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=120)
