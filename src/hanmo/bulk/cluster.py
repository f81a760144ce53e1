"""Connecting to Ray, which spreads work over several machines."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hanmo.bulk.pool import usable_cores
from hanmo.errors import ArgumentError, InstallationError, WorkerError, one_line, printable

LOCAL, AUTO = "local", "auto"

SETTINGS = {
    # Ray shall neither report to its makers nor print to the terminal.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # The wait before a batch is sent again to an actor that cannot be reached; each further one is twice as long. Ray
    # notices within half a minute that a machine is lost. With its default, the few tries of a batch end before that.
    "RAY_task_actor_unavailable_retry_delay_base_ms": "4000",
}
"""Variables that Ray reads when it is started or connected. A program that connects itself has to set the last one."""

_ANSWER_SECONDS = 5.0
"""How long a cluster may take to answer. Ray itself waits two minutes, and then ends the process."""
_STORE_BYTES = 512 * 2**20
"""Shared memory of a Ray on this machine alone; Ray's own default, 30 % of the memory, is more than batches need."""
_HOST_PORT = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")
# HTTP/2, of which Ray's protocol gRPC makes use: what a client sends first, then a frame of no settings.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HEAD_BYTES = 9  # of a frame
_SETTINGS = 4  # the type of the first frame of a server; the fourth byte of a frame's head


def check_address(address: str) -> None:
    """Raise :class:`ArgumentError` for an address that cannot be one, :class:`InstallationError` without Ray."""
    if address not in (LOCAL, AUTO) and not _HOST_PORT.fullmatch(address):
        client = "; hanmo is started inside the cluster, by ray job submit" if address.startswith("ray:") else ""
        raise ArgumentError(
            f"--ray is {printable(address, 100)!r}; give local (this machine), auto (the cluster that this machine "
            f"belongs to), or host:port of the cluster's head, such as 10.0.0.1:6379{client}"
        )
    _require_ray()


def _require_ray() -> None:
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise InstallationError(
            "--ray needs Ray Data; pip install 'hanmo[ray]', or in the folder of the repository: pip install '.[ray]'"
        ) from error


@contextmanager
def connected(address: str, processes: int | None) -> Iterator[int]:
    """A connection to Ray at ``address``; gives the number of its cores, or ``processes``.

    ``local`` starts Ray on this machine with ``processes`` cores (None: all), and ends it. Where this process is
    connected already, that connection is used, and left open. Raises :class:`WorkerError` for a cluster that does not
    answer, and what :func:`check_address` raises.
    """
    check_address(address)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if address != LOCAL:
        # The variable is what Ray itself reads for "auto".
        _require_answer(os.environ.get("RAY_ADDRESS", address) if address == AUTO else address)
    import ray

    if ray.is_initialized():
        yield processes or _cores()
        return
    with _own_handlers(), _silent():
        _connect(address, processes)
    try:
        yield processes or _cores()
    finally:
        ray.shutdown()


def _connect(address: str, processes: int | None) -> None:
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == LOCAL:
            cores = processes or usable_cores()
            ray.init(address=LOCAL, num_cpus=cores, object_store_memory=_STORE_BYTES, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError and others, by what fails
        remedy = "" if address == LOCAL else "; give the command on a machine of the cluster, or by ray job submit"
        raise WorkerError(f"--ray {address}: no connection to Ray ({one_line(error)}){remedy}") from error


def _cores() -> int:
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _require_answer(address: str) -> None:
    """Raise :class:`WorkerError` if no server of gRPC answers at ``address`` within some seconds.

    With TLS only the connection is tried: the server expects a certificate, which is Ray's affair.
    """
    if not _HOST_PORT.fullmatch(address):  # "auto": Ray finds its own processes on this machine, at once
        return
    remedy = "check the address (ray status, on the cluster's head, shows it) and whether the cluster runs"
    try:
        head = _greeted(address, time.monotonic() + _ANSWER_SECONDS)
    # OverflowError: a port beyond 65,535; UnicodeError: a name that no host can have.
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise WorkerError(f"--ray {address}: does not answer ({reason}); {remedy}") from error
    if head is not None and (len(head) < _HEAD_BYTES or head[3] != _SETTINGS):
        raise WorkerError(f"--ray {address}: something else than Ray answers there; {remedy}")


def _greeted(address: str, end: float) -> bytes | None:
    """The first bytes of the server at ``address``, None where it speaks TLS. Raises :class:`OSError` after ``end``."""
    with _reached(address, end) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):  # as Ray reads it
            return None
        connection.sendall(_HELLO)
        head = b""
        # The answer may come in several parts; the flag MSG_WAITALL means nothing to a socket with a time limit.
        while len(head) < _HEAD_BYTES:
            connection.settimeout(_left(end))
            part = connection.recv(_HEAD_BYTES - len(head))
            if not part:
                break
            head += part
        return head


def _reached(address: str, end: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes one; all of them together have until ``end``."""
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    failed: OSError | None = None
    for number, (family, kind, protocol, _, place) in enumerate(found):
        try:
            # Where the system has no IPv6, this alone fails for an address of it; the host may have others.
            connection = socket.socket(family, kind, protocol)
        except OSError as error:
            failed = error
            continue
        try:
            connection.settimeout(_left(end) / (len(found) - number))
            connection.connect(place)
            return connection
        except OSError as error:
            connection.close()
            failed = error
    raise failed or OSError("no address")


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Put the handlers of signals back that Ray replaces by its own when it is connected."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(kind) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray's part in C++ prints, such as the level of its log, from the terminal; errors are raised."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  (a device, no path)
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
