"""Which dtype policy suits a device."""

from __future__ import annotations


def advice(name: str, capability: str) -> tuple[str, str]:
    """The value of `--precision` for a device, and why.

    Args:
        name: of the device, "CPU" for the processor.
        capability: CUDA compute capability, such as "8.0"; "" if it has none.

    References:
        NVIDIA's CUDA programming guide, table of arithmetic by compute capability.
    """
    if name == "CPU":
        return "float32", "processors compute in it; most only emulate the shorter formats"
    major = capability.partition(".")[0]
    if not major.isdigit():
        return "float32", "what its shorter formats gain here is not known; compare with benchmark network"
    if int(major) >= 8:
        return "mixed_bfloat16", "tensor cores take it, and its range is that of float32; float32 if a loss becomes NaN"
    if int(major) == 7:
        return "mixed_float16", "tensor cores take float16 and not bfloat16; the loss is scaled against underflow"
    return "float32", f"compute capability {capability} has no tensor cores"
