"""Why a backend uses no NVIDIA card although there is one."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from particle_zoo.diagnosis import devices, libraries
from particle_zoo.diagnosis.child import ask
from particle_zoo.diagnosis.finding import Finding

if TYPE_CHECKING:
    from particle_zoo.diagnosis.examination import Examination

LIBRARIES = "particle_zoo.diagnosis.libraries"

BUILDS = {
    "tensorflow": "pip install 'tensorflow[and-cuda]'",
    "jax": "pip install 'jax[cuda12]', or 'jax[cuda13]' for a driver of CUDA 13",
    "torch": "install torch with CUDA as pytorch.org says",
}
"""How a backend with CUDA is installed."""

DRIVER = "install NVIDIA's driver" + (" in Windows, none inside WSL2" if devices.in_wsl() else " and start again")


def explain(found: Examination, driver: str, timeout: float) -> None:
    """Add findings about cards that the backend does not use, and the libraries that it cannot load.

    Args:
        found: what is known of cards and backend.
        driver: what the driver said if it does not work.
        timeout: seconds to load libraries in.
    """
    if not found.cards:
        return
    add, name = found.findings.append, found.choice.name
    if driver:
        add(Finding(f"there is an NVIDIA card, but its driver does not work ({driver})", DRIVER))
    elif "gpus" not in found.answer.facts or found.gpus:
        return
    elif os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        hidden = os.environ["CUDA_VISIBLE_DEVICES"]
        add(Finding(f"CUDA_VISIBLE_DEVICES={hidden!r} hides the NVIDIA card", "unset it to use the card"))
    elif platform.system() == "Windows" and name == "tensorflow":
        add(
            Finding(
                "TensorFlow 2.11 and later use no GPU on native Windows",
                "install particle-zoo inside WSL2, or torch with CUDA and set KERAS_BACKEND=torch",
            )
        )
    elif not found.answer.facts["build"].get("is_cuda_build", name == "jax"):
        add(Finding(f"this {name} is built without CUDA, so the NVIDIA card is not used", BUILDS[name]))
    elif name == "tensorflow" and platform.system() == "Linux":
        _tensorflow(found, timeout)
    else:
        add(Finding(f"{name} sees no GPU although there is an NVIDIA card", BUILDS[name]))


def _tensorflow(found: Examination, timeout: float) -> None:
    """Which library is missing, which TensorFlow itself does not say; or that the card is too old."""
    add, build = found.findings.append, found.answer.facts["build"]
    cuda, cudnn = str(build.get("cuda_version", "")), str(build.get("cudnn_version", ""))
    answer = ask(LIBRARIES, *libraries.names(cuda, cudnn), timeout=timeout)
    failed = dict(answer.facts.get("failed", {}))
    if answer.ended:
        failed[answer.facts.get("loading") or "a library"] = f"loading it {answer.ended}"
    found.libraries = dict(failed)
    oldest = _oldest(build.get("cuda_compute_capabilities", []))
    if libraries.DRIVER in failed:
        add(Finding(f"{libraries.DRIVER} of NVIDIA's driver cannot be loaded ({failed.pop(libraries.DRIVER)})", DRIVER))
    if failed:
        first, *others = failed
        wheels = sorted({libraries.package(name, cuda) for name in failed} - {""})
        add(
            Finding(
                f"TensorFlow sees no GPU: {first}{f' and {len(others)} other libraries' if others else ''} cannot be loaded "
                f"({failed[first]})",
                f"pip install {' '.join(wheels)}" if 0 < len(wheels) < 3 else BUILDS["tensorflow"],
            )
        )
    elif found.libraries:
        return
    elif oldest and all(card.capability and _number(card.capability) < oldest for card in found.cards):
        add(
            Finding(
                f"this TensorFlow is built for compute capability {oldest[0]}.{oldest[1]} and later, the card has "
                f"{found.cards[0].capability}",
                "take an older TensorFlow or a newer card",
            )
        )
    else:
        add(
            Finding(
                "TensorFlow sees no GPU although there is an NVIDIA card and all libraries can be loaded",
                "unset LD_LIBRARY_PATH, and look at what TF_CPP_MIN_LOG_LEVEL=0 TF_CPP_MAX_VLOG_LEVEL=3 makes it say",
            )
        )


def _number(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor or 0)


def _oldest(built: list[str]) -> tuple[int, int] | None:
    """The least of names such as sm_60 and compute_90."""
    numbers = [name.rpartition("_")[2] for name in built]
    return min(((int(n[:-1]), int(n[-1])) for n in numbers if n.isdigit()), default=None)
