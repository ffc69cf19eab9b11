"""Server-sent events as the gateway reads and writes them: only `data`, bounded."""

import re

MAX_EVENT_BYTES = 1024 * 1024
"""Largest event read from a worker; a larger one is the worker's fault."""

HOLD = b": hold\n"
"""Keeps a waiting stream alive. One newline: with a blank line behind it some clients crash."""

DONE = b"data: [DONE]\n\n"
"""The last event of a complete stream."""

_LINE_END = re.compile(rb"\r\n|\r|\n")


class EventTooLargeError(ValueError):
    """An event, or a line of one, is larger than the parser's bound."""


class EventParser:
    """Incremental parser of `text/event-stream`; yields the data of complete events only.

    What is left at the end of a connection without its blank line was never an event.
    """

    __slots__ = ("_data", "_max_bytes", "_size", "_skip_newline", "_tail")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_event_bytes
        self._tail = b""
        self._data: list[bytes] = []
        self._size = 0
        self._skip_newline = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events completed by this piece; EventTooLargeError above the bound."""
        if not piece:
            return []
        if self._skip_newline and piece.startswith(b"\n"):
            piece = piece[1:]  # the second half of a CR LF that was cut in two
        buffer = self._tail + piece
        self._skip_newline = buffer.endswith(b"\r")
        *lines, self._tail = _LINE_END.split(buffer)
        events = [event for line in lines if (event := self._line(line)) is not None]
        if self._size + len(self._tail) > self._max_bytes:
            raise EventTooLargeError(f"event larger than {self._max_bytes} bytes")
        return events

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            data, self._data, self._size = self._data, [], 0
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > self._max_bytes:
                raise EventTooLargeError(f"event larger than {self._max_bytes} bytes")
        return None


def event(data: bytes) -> bytes:
    """One event; `data` must not contain a line end."""
    return b"data: " + data + b"\n\n"
