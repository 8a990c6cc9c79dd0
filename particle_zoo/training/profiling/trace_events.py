"""From what TensorFlow's profiler writes to the format that Perfetto and browsers read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_trace_events(xplane: Path, path: Path) -> None:
    """Write the events of an XPlane file as trace events (JSON, compressed).

    A plane (the host, a device) becomes a process and a line of it (a thread, a stream) a thread. Times are in
    microseconds from the first event.

    Args:
        xplane: file that `tf.profiler` has written.
        path: file to write.

    References:
        https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event Format)
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(xplane.read_bytes())
    starts = [line.timestamp_ns for plane in space.planes for line in plane.lines if line.events]
    events = [
        event for number, plane in enumerate(space.planes) for event in _plane(number, plane, min(starts, default=0))
    ]
    with gzip.open(path, "wt") as file:
        json.dump({"displayTimeUnit": "ms", "traceEvents": events}, file)


def _plane(process: int, plane: Any, origin_ns: int) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": plane.name}}
    for thread, line in enumerate(plane.lines):
        place = {"pid": process, "tid": thread}
        yield {"ph": "M", **place, "name": "thread_name", "args": {"name": line.display_name or line.name}}
        for event in line.events:
            kind = plane.event_metadata[event.metadata_id]
            yield {
                "ph": "X",
                **place,
                "ts": (line.timestamp_ns - origin_ns) / 1e3 + event.offset_ps / 1e6,
                "dur": event.duration_ps / 1e6,
                "name": kind.display_name or kind.name,
                "args": {plane.stat_metadata[stat.metadata_id].name: _value(plane, stat) for stat in event.stats},
            }


def _value(plane: Any, stat: Any) -> Any:
    kind = stat.WhichOneof("value")
    value = getattr(stat, kind) if kind else None
    if kind == "ref_value":
        return plane.stat_metadata[value].name
    return value.hex() if isinstance(value, bytes) else value
