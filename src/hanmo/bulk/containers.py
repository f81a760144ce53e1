"""Files that hold many pictures: ``.gnt`` and Parquet.

Each has a function that counts its pictures and one that yields them. A file that is damaged in the middle gives its
pictures up to the damage, and then one item with the error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hanmo.bulk.addresses import filesystem, is_address, shown
from hanmo.bulk.arrow import require_pyarrow
from hanmo.bulk.items import Item, name_of
from hanmo.data.gnt import is_gnt as is_gnt
from hanmo.data.gnt import read_gnt
from hanmo.errors import DataError, HanmoError, ImageError, one_line, printable
from hanmo.files import open_file

PARQUET = ".parquet"

_SIZE = struct.Struct("<I")  # the first field of a .gnt record: its bytes, this field included
_HEADER = 10  # bytes of a record before its pixels
_REST = "the rest of this file is not read"
_ROWS_AT_ONCE = 64  # rows of Parquet that are decoded at a time
_LABEL = "label"


def is_parquet(path: str | Path) -> bool:
    """Whether the name of ``path`` ends like that of a Parquet file."""
    return str(path).lower().endswith(PARQUET)


def count_gnt(path: str | Path) -> int | None:
    """The records of a plain ``.gnt`` file, by the sizes in their headers; None where only reading it would tell.

    Raises :class:`DataError` for a file that cannot be opened.
    """
    if str(path).lower().endswith(".xz"):
        return None
    count = 0
    try:
        with open_file(Path(path)) as file:
            while len(head := file.read(_SIZE.size)) == _SIZE.size:
                (size,) = _SIZE.unpack(head)
                if size <= _HEADER:  # damaged: such a size would not lead on
                    return None
                file.seek(size - _SIZE.size, 1)
                count += 1
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    return count


def gnt_items(path: str) -> Iterator[Item]:
    """The samples of a ``.gnt`` file."""
    name, number = name_of(path), 0
    try:
        for number, sample in enumerate(read_gnt(path), start=1):
            yield Item(name, number, sample.label, sample.image)
    except DataError as error:
        yield Item(name, number + 1, None, ImageError(f"{_without_name(error, path)}; {_REST}"))


def count_parquet(path: str | Path, column: str | None) -> int:
    """The rows of a Parquet file whose pictures are in ``column``.

    Raises :class:`DataError` for a file that is no Parquet file or has no such column, :class:`InstallationError`
    without pyarrow.
    """
    with _open_parquet(path) as file:
        _picture_column(path, file.schema_arrow, column)
        return int(file.metadata.num_rows)


def parquet_items(path: str, column: str | None) -> Iterator[Item]:
    """The pictures of a Parquet file; the column ``label``, where it is text, gives their labels."""
    import pyarrow as pa

    name, number = name_of(path), 0
    try:
        with _open_parquet(path) as file:
            schema = file.schema_arrow
            wanted = _picture_column(path, schema, column)
            labelled = _LABEL in schema.names and pa.types.is_string(schema.field(_LABEL).type)
            columns = [wanted, _LABEL] if labelled else [wanted]
            for batch in _record_batches(file, columns):
                pictures = batch.column(wanted).to_pylist()
                labels = batch.column(_LABEL).to_pylist() if labelled else [None] * len(pictures)
                for picture, label in zip(pictures, labels, strict=True):
                    number += 1
                    yield Item(name, number, label if label is None else printable(label, 100), _bytes(picture))
    except (pa.ArrowException, OSError, DataError) as error:
        yield Item(name, number + 1, None, ImageError(f"{_without_name(error, path)}; {_REST}"))


def _record_batches(file: Any, columns: list[str]) -> Iterator[Any]:
    """Some rows at a time, but none of two row groups: damage of a group must not take rows of the one before along."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=columns)


def _open_parquet(path: str | Path) -> Any:
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Without pre-buffering: it would hold a whole row group of pictures, which may be gigabytes.
        return pq.ParquetFile(_opened(path), pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({one_line(error)}); check it") from error


def _opened(path: str | Path) -> Any:
    if not is_address(str(path)):
        return path
    fs, inside = filesystem(str(path))
    try:
        return fs.open(inside, "rb")
    except Exception as error:  # each store has errors of its own, without a common base
        raise DataError(f"{shown(str(path))}: cannot be read ({one_line(error)}); check it") from error


def _picture_column(path: str | Path, schema: Any, column: str | None) -> str:
    """The column ``column``, or else the only one that can hold pictures."""
    found = [field.name for field in schema if _holds_bytes(field.type)]
    if column is not None:
        if column not in found:
            raise DataError(
                f"{path}: no column {column!r} of bytes; columns of bytes: {', '.join(found) or 'none'}; see --column"
            )
        return column
    if len(found) != 1:
        raise DataError(
            f"{path}: {len(found)} columns of bytes ({', '.join(found) or 'none'}), one is needed for the pictures; "
            "name it by --column"
        )
    return str(found[0])


def _holds_bytes(kind: Any) -> bool:
    """Bytes, or a structure with a field ``bytes``, as the library datasets writes pictures."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _bytes(value: Any) -> bytes | ImageError:
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else ImageError("this row has no picture")


def _without_name(error: Exception, path: str) -> str:
    text = str(error) if isinstance(error, HanmoError) else one_line(error)
    return text.removeprefix(f"{path}: ")
