"""Read millions of pictures into one file of results: many processes, constant memory, resumable.

:func:`read_in_bulk` does it all. Its parts can be used alone: :mod:`sources` lists pictures, :mod:`work` reads a
batch of them, :mod:`rows` turns answers into bytes, :mod:`results` stores these. :mod:`pipeline` reads by an engine,
such as that of :mod:`hanmo.gpu`.
"""

from __future__ import annotations

from hanmo.bulk.run import Totals as Totals
from hanmo.bulk.run import read_in_bulk as read_in_bulk
from hanmo.bulk.sources import Source as Source
from hanmo.bulk.work import Options as Options
