"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hanmo.errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Bundle, threads and limits of a server; sizes in bytes, times in seconds. Raises :class:`ArgumentError`."""

    bundle: str | Path | None = None
    """As :class:`hanmo.recognizer.Recognizer` takes it."""
    threads: int = 1
    """Batches the net reads at once, each on one core; as many threads decode pictures."""
    batch: int = 8
    """Pictures in one run of the net. Larger batches hardly save time, and each picture waits for its whole batch."""
    window: float = 0.002
    """How long a picture waits for others to fill its batch."""
    max_body: int = 8 * 2**20
    max_json: int = 2 * 2**20
    """Stroke lists take twenty times their text's size in memory, so less of it is taken than of pictures."""
    max_pictures: int = 64
    """Pictures in one call."""
    queue: int = 256
    """Pictures of all clients in progress; a call that would exceed this gets 503 and may come back."""
    explanations: int = 4
    """Explanations in progress. Each reads some hundred squares, so they are made one after the other."""
    sheets: int = 4
    """Sheets in progress. Each holds hundreds of characters, so they are read one after the other."""
    max_held: int = 128 * 2**20
    """Bytes of all bodies held at once."""
    timeout: float = 5.0
    """From a request's head to the head of its answer."""
    sheet_timeout: float = 60.0
    """The same for a sheet: a photograph with hundreds of characters takes several seconds on one core, and it may have
    to wait for others."""
    connections: int = 1000
    """Connections at once. A further one takes the place of the one that has been silent for longest."""
    head_timeout: float = 10.0
    """For a request's head, from the opening of its connection or the first byte."""
    hosts: tuple[str, ...] = ()
    """Names by which clients may reach the server, besides IP addresses and localhost."""
    token: str | None = field(default=None, repr=False)  # not in logs
    """What every request but those for health must show; None: nothing."""
    keep: str | Path | None = None
    """Folder for the corrections that the page sends; None: the server keeps nothing."""
    keep_pictures: int = 10_000
    keep_bytes: int = 2**30
    """What the folder may hold; a drawing takes about 2 kB, a photo of 4 megapixels some 3 MB."""

    def __post_init__(self) -> None:
        counts = "threads batch max_body max_json max_pictures explanations sheets connections keep_pictures"
        for name in counts.split():
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        # Header fields hold ASCII only, and a blank would end the token there.
        if self.token is not None and not (
            self.token.isascii() and self.token.isprintable() and self.token.split() == [self.token]
        ):
            raise ArgumentError("the token must be one or more ASCII characters without blanks")
        # Otherwise a call within its own limits could never be served.
        if self.queue < self.max_pictures or self.max_held < self.max_body:
            raise ArgumentError("the queue must hold the pictures of one call, and max_held the bytes of one body")
        # A picture that waits longer for its batch than its client waits for an answer would always be late.
        if not 0 <= self.window < self.timeout:
            raise ArgumentError(f"window is {self.window} s; it must be shorter than the timeout, {self.timeout} s")
        if self.sheet_timeout <= 0:
            raise ArgumentError(f"sheet_timeout is {self.sheet_timeout} s; it must be above 0")
