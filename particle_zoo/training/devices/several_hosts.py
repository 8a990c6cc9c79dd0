"""Several hosts under TensorFlow: `tf.distribute.MultiWorkerMirroredStrategy`, from TF_CONFIG."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from particle_zoo.errors import InputError, PeerLostError
from particle_zoo.training.devices.base import check
from particle_zoo.training.devices.meeting import meet
from particle_zoo.training.devices.tensorflow_devices import MirroredDevices
from particle_zoo.training.devices.tf_config import Cluster

_OF_PEERS = re.compile(r"collective|/job:|connection|socket|peer|heartbeat|grpc|incarnation", re.IGNORECASE)


class SeveralHosts(MirroredDevices):
    """The devices of all processes that TF_CONFIG names.

    Args:
        strategy: a `tf.distribute.MultiWorkerMirroredStrategy`.
        cluster: its processes.
    """

    def __init__(self, strategy: Any, cluster: Cluster) -> None:
        super().__init__(strategy)
        self.process, self.processes = cluster.process, len(cluster.addresses)
        self._agreed: Any = None

    @classmethod
    def start(cls, cluster: Cluster, n: int | None) -> Self:
        """Wait for the other processes and connect to them.

        Args:
            cluster: all processes.
            n: devices of this one; None: all of its GPUs, or its processor.

        Raises:
            InputError: there are fewer devices, or the port is in use.
            PeerLostError: the others did not come.
        """
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            check(n or 1, len(gpus), "GPU")
            tf.config.set_visible_devices(gpus[: n or len(gpus)], "GPU")
        elif n not in (None, 1):
            raise InputError(
                f"--devices {n}: with several hosts a process has one device on a processor; leave it out, or name one "
                "more address a device in TF_CONFIG"
            )
        meet(cluster)
        with _peers(len(cluster.addresses)):
            return cls(tf.distribute.MultiWorkerMirroredStrategy(), cluster)

    def fit(self, *args: Any, **kwargs: Any) -> dict[str, list[float]]:
        with _peers(self.processes):
            return super().fit(*args, **kwargs)

    def agree(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        import tensorflow as tf

        # Numbers of devices sum up to one number and zeros; whole numbers below 2**53 keep their value.
        flat = np.concatenate([np.ravel(v).astype(np.float64) for v in values])
        if self._agreed is None:

            def of_the_chief(part: Any) -> Any:
                context = tf.distribute.get_replica_context()
                first = tf.equal(context.replica_id_in_sync_group, 0)
                return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, part, tf.zeros_like(part)))

            def everywhere(part: Any) -> Any:
                return self.strategy.experimental_local_results(self.strategy.run(of_the_chief, args=(part,)))[0]

            self._agreed = tf.function(everywhere, [tf.TensorSpec([None], tf.float64)], autograph=False)
        with _peers(self.processes):
            found = self._agreed(tf.constant(flat)).numpy()
        parts = np.split(found, np.cumsum([v.size for v in values])[:-1])
        return [part.reshape(v.shape).astype(v.dtype) for part, v in zip(parts, values, strict=True)]


@contextmanager
def _peers(processes: int) -> Iterator[None]:
    """What TensorFlow says when another process has gone becomes one sentence."""
    import tensorflow as tf

    gone = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    # These may be anything.
    perhaps = (tf.errors.InternalError, tf.errors.FailedPreconditionError, tf.errors.UnknownError)
    try:
        yield
    except (*gone, *perhaps) as error:
        if isinstance(error, perhaps) and not _OF_PEERS.search(str(error)):
            raise
        raise PeerLostError(
            f"another of the {processes} processes has ended: {_reason(error)}; start all of them again with --resume"
        ) from error


def _reason(error: Exception) -> str:
    """The few words of TensorFlow's pages that say what happened."""
    found = re.search(r"aborted by: *(?:[a-z]+: *)?([^\n]+)", str(error))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = found[1] if found else (lines or [type(error).__name__])[-1]
    return said.strip(" .")[:200]
