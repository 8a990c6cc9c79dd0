"""Which of NVIDIA's libraries TensorFlow could load; run by `child.ask`, since loading a broken one may crash."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

from particle_zoo.diagnosis.child import say

CUDA = {
    "12": ("libnvJitLink.so.12", "libcudart.so.12", "libcublasLt.so.12", "libcublas.so.12", "libcusparse.so.12",
           "libcusolver.so.11", "libcufft.so.11", "libcupti.so.12"),
    "13": ("libnvJitLink.so.13", "libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcusparse.so.12",
           "libcusolver.so.12", "libcufft.so.12", "libcupti.so.13"),
}  # fmt: skip
"""File names by major version of CUDA, each after those that it needs."""

PACKAGES = {
    "nvJitLink": "nvjitlink",
    "cudart": "cuda-runtime",
    "cublasLt": "cublas",
    "cublas": "cublas",
    "cusparse": "cusparse",
    "cusolver": "cusolver",
    "cufft": "cufft",
    "cupti": "cuda-cupti",
    "cudnn": "cudnn",
    "nccl": "nccl",
}
"""What the wheel of a library is called, between nvidia- and -cu12."""

DRIVER = "libcuda.so.1"
"""Comes with the driver, in no wheel."""


def names(cuda: str, cudnn: str) -> tuple[str, ...]:
    """File names of the libraries, in an order in which they can be loaded.

    Args:
        cuda: version that the backend was built for, such as "12.5.1".
        cudnn: the same of cuDNN, such as "9".
    """
    listed = CUDA.get(cuda.partition(".")[0], CUDA["12"])
    return (DRIVER, *listed, f"libcudnn.so.{cudnn.partition('.')[0] or 9}", "libnccl.so.2")


def package(name: str, cuda: str) -> str:
    """The wheel with a library; "" for the driver."""
    wheel = PACKAGES.get(name.removeprefix("lib").partition(".")[0])
    return f"nvidia-{wheel}-cu{cuda.partition('.')[0] or 12}" if wheel else ""


def load(name: str, folders: Sequence[Path]) -> str:
    """Load a library from the system or from a wheel, the wheel first, as TensorFlow does; "" if it went well, else why not."""
    places = [str(folder / name) for folder in folders if (folder / name).exists()]
    said = ""
    for place in (*places, name):
        try:
            # Others that depend on it find it by its name.
            ctypes.CDLL(place, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            # What a wheel's own file said tells more than that the system has none.
            said = said or str(error)
        else:
            return ""
    return said


def main() -> None:
    """Load what the arguments name; say which failed and why."""
    folders = sorted({lib for entry in sys.path for lib in Path(entry or ".").glob("nvidia/*/lib")})
    failed: dict[str, str] = {}
    for name in sys.argv[1:]:
        say(loading=name)
        if problem := load(name, folders):
            failed[name] = problem
            say(failed=failed)
    say(loading="")


if __name__ == "__main__":
    main()
