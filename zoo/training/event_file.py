"""Figures for TensorBoard: one file of events for each time that a run is started or goes on.

TensorBoard's own writer works in a thread, whose errors (a full disk) come as a traceback; and it cannot say
that a run has gone back to a saved state, so that what was logged after it would be shown twice.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, DATA_CLASS_TENSOR, SummaryMetadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from zoo import files

SCALAR = SummaryMetadata(
    plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"), data_class=DATA_CLASS_SCALAR
)
TEXT = SummaryMetadata(
    plugin_data=SummaryMetadata.PluginData(plugin_name="text"), data_class=DATA_CLASS_TENSOR
)


class EventFile:
    """A new file of events.

    Args:
        folder: of the event files of the run.
        step: what earlier files say of later steps counts no more.
    """

    def __init__(self, folder: Path, step: int):
        with files.explained(folder):
            files.make_folder(folder)
        # In the order of their names TensorBoard reads them.
        name = f"events.out.tfevents.{time.time_ns() / 1e9:020.9f}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, step: int, **figures: float) -> None:
        """Figures of a step, by name."""
        event = Event(step=step)
        for name, value in figures.items():
            event.summary.value.add(
                tag=name, tensor=make_tensor_proto(float(value), "float32"), metadata=SCALAR
            )
        self._add(event)

    def text(self, step: int, name: str, lines: Sequence[str]) -> None:
        """Lines of a step, shown as they are."""
        event = Event(step=step)
        block = "\n".join(f"    {line}" for text in lines for line in text.split("\n"))  # Markdown's for code
        event.summary.value.add(tag=name, tensor=make_tensor_proto(block.encode(), np.object_), metadata=TEXT)
        self._add(event)

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        with files.explained(self.path), files.new_file(self.path, os.O_APPEND) as file:
            RecordWriter(file).write(event.SerializeToString())
