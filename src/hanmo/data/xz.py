"""The uncompressed bytes of an .xz file, in bounded memory.

``lzma.LZMAFile`` ends without a word at the first stream whose beginning is damaged: it takes what follows for padding
of another kind. Samples would be lost unnoticed. Here, only what the format allows may follow a stream: zero bytes in
fours, and further streams.
"""

from __future__ import annotations

import io
import lzma
from typing import Any, BinaryIO

_MEMORY = 256 * 2**20
"""Most memory for one stream, in bytes. ``xz -9`` needs 65 MiB;
the format allows gigabytes, and a forged head could ask for them."""
_PART = 1 << 16  # compressed bytes that are read at a time


class Unpacked(io.RawIOBase):
    """A stream for reading. Raises :class:`lzma.LZMAError` for damage, :class:`EOFError` for a file that is cut off."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = self._next_stream()
        self._ended = False
        self._ahead = b""  # read already: the beginning of a stream that follows another

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` as far as one step of the decoder does; 0 at the end of the file."""
        data = b""
        while not data and not self._ended:
            if self._stream.eof:
                self._skip_padding()
                continue
            part = b""
            if self._stream.needs_input:
                part, self._ahead = self._ahead or self._file.read(_PART), b""
                if not part:
                    raise EOFError("it ends within a stream")
            data = self._stream.decompress(part, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _skip_padding(self) -> None:
        """Go on to the next stream, or to the end of the file."""
        rest = self._stream.unused_data
        zeros = 0
        while True:
            part = rest.lstrip(b"\0")
            zeros += len(rest) - len(part)
            if part or not (rest := self._file.read(_PART)):
                break
        if zeros % 4:
            raise lzma.LZMAError(f"{zeros} zero bytes after a stream, which is no multiple of 4")
        self._stream, self._ahead, self._ended = self._next_stream(), part, not part

    @staticmethod
    def _next_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
