"""Where the requests of a Redis client end, in the stream of bytes that it sends."""

from __future__ import annotations

from collections.abc import Iterator


class Requests:
    """One connection's requests, as they are completed."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The requests that ``data`` completes, each with the place in ``data`` where it ends."""
        place = -len(self._begun)
        self._begun += data
        while self._begun and (length := request_length(self._begun)) is not None:
            place += length
            request = bytes(self._begun[:length])
            del self._begun[:length]
            yield place, request


def request_length(data: bytes | bytearray) -> int | None:
    """The length of the first request in ``data``; ``None`` if its end is not there yet.

    What does not begin as a list of strings, which is how clients send them, is one request.
    """
    if not data.startswith(b"*"):
        return len(data)
    end = data.find(b"\r\n")
    if end < 0:
        return None
    place = end + 2
    for _ in range(int(data[1:end])):
        end = data.find(b"\r\n", place)
        if end < 0:
            return None
        place = end + 2 + int(data[place + 1 : end]) + 2
    return place if place <= len(data) else None
