"""Files that hold many pictures: ``.gnt``, zip archives of these, and Parquet.

Each has a function that counts its pictures and one that yields them. A file that is damaged in the middle gives its
pictures up to the damage, and then one item with the error.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hanmo.bulk.addresses import filesystem, is_address, shown
from hanmo.bulk.arrow import require_pyarrow
from hanmo.bulk.items import BATCH_BYTES, Item, name_of
from hanmo.data.archive import is_zip as is_zip
from hanmo.data.gnt import ends_of_records, read_gnt, read_zip
from hanmo.data.gnt import is_gnt as is_gnt
from hanmo.errors import DataError, HanmoError, ImageError, OperationError, one_line, printable
from hanmo.files import open_file
from hanmo.image import MAX_BYTES

PARQUET = ".parquet"

_SIZE = struct.Struct("<I")  # the first field of a .gnt record: its bytes, this field included
_HEADER = 10  # bytes of a record before its pixels
_REST = "the rest of this file is not read"
_ROWS_AT_ONCE = 64  # most rows of Parquet that are decoded at a time; more are no faster
_MAX_RATIO = 100  # how often its packed size a row group may have unpacked; files of pictures hardly shrink
_SMALL_GROUP = 64 * 2**20  # bytes up to which a row group may have any ratio: a few blank bitmaps are no bomb
_LABEL = "label"
_LONGEST_LABEL = 1 << 16  # bytes; a label is one character


def is_parquet(path: str | Path) -> bool:
    """Whether the name of ``path`` ends like that of a Parquet file."""
    return str(path).lower().endswith(PARQUET)


def count_gnt(path: str | Path) -> int | None:
    """The records of a plain ``.gnt`` file, by the sizes in their headers; None where only reading it would tell.

    A file that cannot be opened has None, too: :func:`gnt_items` gives a row with the reason.
    """
    if not str(path).lower().endswith(".gnt"):
        return None
    count = 0
    try:
        with open_file(Path(path)) as file:
            whole = end = os.fstat(file.fileno()).st_size
            for count, end in enumerate(ends_of_records(file, whole), start=1):  # noqa: B007
                pass
            if count and end == whole:
                return count
            count = 0  # damaged: only the sizes count, as they may promise more than there is
            file.seek(0)
            while len(head := file.read(_SIZE.size)) == _SIZE.size:
                (size,) = _SIZE.unpack(head)
                if size <= _HEADER:  # damaged: such a size would not lead on
                    return None
                file.seek(size - _SIZE.size, 1)
                count += 1
    except OSError:
        return None
    return count


def gnt_items(path: str, offset: int = 0, first: int = 1) -> Iterator[Item]:
    """The samples of a ``.gnt`` file, or of all those in a zip archive, numbered throughout.

    Of a plain ``.gnt`` file, those from byte ``offset`` on, where sample ``first`` begins.
    """
    name, number = name_of(path), first - 1
    samples = read_zip(path) if is_zip(Path(path)) else read_gnt(path, offset=offset)
    try:
        for number, sample in enumerate(samples, start=first):
            yield Item(name, number, sample.label, sample.image)
    except DataError as error:
        yield unread_rest(path, number + 1, error)


def unread_rest(path: str, number: int, error: DataError) -> Item:
    """What stands for the pictures of a file from ``number`` on, which ``error`` makes unreadable."""
    return Item(name_of(path), number, None, ImageError(f"{_without_name(error, path)}; {_REST}"))


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
    name = name_of(path)
    for first, part in parquet_batches(path, column):
        if isinstance(part, ImageError):
            yield Item(name, first, None, part)
        else:
            yield from items_of_batch(name, first, part)


def items_of_batch(name: str, first: int, batch: Any) -> Iterator[Item]:
    """The pictures of a record batch that :func:`parquet_batches` gave; the number of its first row is ``first``."""
    import pyarrow as pa

    pictures = batch.column(0)
    labels = batch.column(1) if batch.num_columns > 1 else None
    for row in range(batch.num_rows):
        label = None if labels is None else _label(labels[row])
        try:
            picture = _picture(pictures[row])
        except (pa.ArrowException, ValueError, KeyError) as error:
            picture = ImageError(f"this row cannot be read ({one_line(error)})")
        yield Item(name, first + row, label, picture)


def parquet_batches(path: str, column: str | None) -> Iterator[tuple[int, Any]]:
    """Rows of a Parquet file as Arrow record batches, each with the number of its first row, from 1.

    A batch has the column of the pictures and perhaps that of the labels. In place of a row group that must not be
    unpacked, and of what follows damage, there is an :class:`ImageError`: one row with the reason.
    """
    import pyarrow as pa

    number = 1
    try:
        with _open_parquet(path) as file:
            wanted = _picture_column(path, file.schema_arrow, column)
            columns = [wanted, _LABEL] if _has_labels(file.schema_arrow) else [wanted]
            for group in range(file.num_row_groups):
                facts = file.metadata.row_group(group)
                at_once, reason = _rows_at_once(facts, columns)
                if reason:
                    yield number, ImageError(f"{reason}; {facts.num_rows:,} rows from here on are not read")
                    number += facts.num_rows
                    continue
                # None of two row groups: damage of a group must not take rows of the one before along.
                for batch in file.iter_batches(at_once, row_groups=[group], columns=columns):
                    yield number, batch.select(columns)
                    number += batch.num_rows
    except (MemoryError, OperationError):  # not the file's fault; one error of pyarrow is a MemoryError, too
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        yield number, ImageError(f"{_without_name(error, path)}; {_REST}")


def _rows_at_once(group: Any, columns: list[str]) -> tuple[int, str]:
    """How many rows of a row group are decoded at a time, and why none may be, or "".

    A row group of some kilobytes can unpack to gigabytes, and a page of it is unpacked as a whole.
    """
    # The parts of a structure are columns of their own, such as "picture.bytes".
    beginnings = tuple(f"{name}." for name in columns)
    parts = [group.column(number) for number in range(group.num_columns)]
    parts = [part for part in parts if f"{part.path_in_schema}.".startswith(beginnings)]
    size = sum(part.total_uncompressed_size for part in parts)
    packed = sum(part.total_compressed_size for part in parts)
    if size > MAX_BYTES * max(1, group.num_rows):
        return 0, f"rows of {size / max(1, group.num_rows) / 2**20:,.0f} MiB; at most {MAX_BYTES >> 20} are read"
    if size > max(_SMALL_GROUP, _MAX_RATIO * packed):
        return 0, f"{packed:,} bytes that unpack to {size / 2**20:,.0f} MiB"
    by_mean = BATCH_BYTES * group.num_rows // max(1, size)
    by_dictionary = BATCH_BYTES // max([1, *map(_largest_dictionary, parts)])
    return max(1, min(_ROWS_AT_ONCE, by_mean, by_dictionary)), ""


def _largest_dictionary(part: Any) -> int:
    """Most bytes that the dictionary of a column in a row group can have; every row may be a copy of it."""
    if not any("DICTIONARY" in encoding for encoding in part.encodings):
        return 0
    packed = part.total_compressed_size
    if part.has_dictionary_page and part.dictionary_page_offset is not None:
        packed = part.data_page_offset - part.dictionary_page_offset
    # The other pages have at least as many bytes unpacked as packed.
    return int(part.total_uncompressed_size - part.total_compressed_size + packed)


def _open_parquet(path: str | Path) -> Any:
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = _opened(path)
    try:
        # Without pre-buffering: it would hold a whole row group of pictures, which may be gigabytes.
        file = pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
        file.schema_arrow.names  # noqa: B018  (a name that is not UTF-8 raises a ValueError)
        return file
    except (MemoryError, HanmoError):  # not the fault of the file, or one line already
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
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
    elif len(found) != 1:
        raise DataError(
            f"{path}: {len(found)} columns of bytes ({', '.join(found) or 'none'}), one is needed for the pictures; "
            "name it by --column"
        )
    else:
        column = str(found[0])
    for name in (column, _LABEL):
        if schema.names.count(name) > 1:
            raise DataError(f"{path}: several columns are called {name!r}; rename or remove all but one of them")
    return column


def _has_labels(schema: Any) -> bool:
    """Whether there is a column of labels that is text, perhaps as a dictionary."""
    import pyarrow as pa

    if _LABEL not in schema.names:
        return False
    kind = schema.field(_LABEL).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _holds_bytes(kind: Any) -> bool:
    """Bytes, or a structure with a field ``bytes``, as the library datasets writes pictures."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _picture(value: Any) -> bytes | ImageError:
    """The bytes of a value of the pictures' column; none are copied of a picture that is too large."""
    import pyarrow as pa

    if value.is_valid and isinstance(value, pa.StructScalar):
        value = value["bytes"]
    if not (value.is_valid and isinstance(value, pa.BinaryScalar)):
        return ImageError("this row has no picture")
    if value.as_buffer().size > MAX_BYTES:
        return ImageError(f"the picture is larger than {MAX_BYTES >> 20} MiB; save a smaller one")
    return bytes(value.as_py())


def _label(value: Any) -> str | None:
    """The label of a row; none where it is no readable text: the picture may be good all the same."""
    import pyarrow as pa

    if value.is_valid and isinstance(value, pa.DictionaryScalar):
        value = value.value
    if not value.is_valid or value.as_buffer().size > _LONGEST_LABEL:
        return None
    try:
        return printable(value.as_py(), 100)
    except UnicodeDecodeError:
        return None


def _without_name(error: Exception, path: str) -> str:
    text = str(error) if isinstance(error, HanmoError) else one_line(error)
    # Of a zip archive the name of the member stays.
    return text.removeprefix(f"{path}: ").removeprefix(f"{path}/")
