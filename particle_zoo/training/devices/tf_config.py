"""TF_CONFIG: which hosts train together under TensorFlow, and which of them this process is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, NoReturn

from particle_zoo.errors import InputError

EXAMPLE = '{"cluster": {"worker": ["host1:5000", "host2:5000"]}, "task": {"type": "worker", "index": 0}}'

KINDS = ("chief", "worker")
"""Of tasks, in the order of their processes: without a chief the first worker is one."""


@dataclass(frozen=True)
class Cluster:
    """Processes that train together.

    Args:
        addresses: HOST:PORT of every process, the chief's first.
        process: place of this one among them.
    """

    addresses: tuple[str, ...]
    process: int

    @property
    def own(self) -> str:
        """Address of this process."""
        return self.addresses[self.process]

    @property
    def chief(self) -> str:
        """Address of the chief."""
        return self.addresses[0]


def read_cluster(text: str | None = None) -> Cluster | None:
    """The processes that TF_CONFIG names.

    Args:
        text: content of the variable; that of the environment by default.

    Returns:
        None where there is nothing to train together with: the variable is not set, empty, or names one address.

    Raises:
        InputError: it is malformed.
    """
    text = os.environ.get("TF_CONFIG", "") if text is None else text
    if not text.strip():
        return None
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"TF_CONFIG is no JSON ({error}); it looks like {EXAMPLE}, or unset it") from error
    if not isinstance(config, dict):
        _refuse(f"TF_CONFIG holds a {type(config).__name__} in the place of an object")
    cluster = config.get("cluster") or {}
    if not isinstance(cluster, dict) or not all(_addresses(group) for group in cluster.values()):
        _refuse("the cluster of TF_CONFIG is no object of lists of HOST:PORT")
    unknown = [kind for kind in cluster if kind not in KINDS]
    if unknown:
        _refuse(f"TF_CONFIG names tasks {unknown[0]!r}, and only {' and '.join(KINDS)} take part in a training")
    found = [(kind, index, address) for kind in KINDS for index, address in enumerate(cluster.get(kind, ()))]
    addresses = tuple(address for _, _, address in found)
    if len(found) < 2:
        return None
    if len(set(addresses)) < len(addresses):
        _refuse(f"TF_CONFIG names an address twice: {', '.join(addresses)}")
    task = config.get("task")
    if not isinstance(task, dict) or "type" not in task or "index" not in task:
        _refuse(f"TF_CONFIG has no task with a type and an index; received {task!r}")
    places = [(kind, index) for kind, index, _ in found]
    if (task["type"], task["index"]) not in places:
        there = ", ".join(f"{kind} {index}" for kind, index in places)
        _refuse(f"the task of TF_CONFIG is {task['type']} {task['index']}, which is none of its cluster ({there})")
    return Cluster(addresses, places.index((task["type"], task["index"])))


def split(address: str) -> tuple[str, int]:
    """Host and port of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _addresses(group: Any) -> bool:
    if not isinstance(group, list):
        return False
    ports = [str(address).rpartition(":") for address in group]
    return all(host and port.isdigit() and 0 < int(port) < 65_536 for host, _, port in ports)


def _refuse(what: str) -> NoReturn:
    raise InputError(f"{what}; it looks like {EXAMPLE}, or unset it")
