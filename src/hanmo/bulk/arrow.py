"""pyarrow, which only Parquet needs."""

from __future__ import annotations

from hanmo.errors import InstallationError


def require_pyarrow() -> None:
    """Raise :class:`InstallationError` where pyarrow is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise InstallationError(
            "Parquet needs pyarrow; pip install 'hanmo[parquet]', or in the folder of the repository: "
            "pip install '.[parquet]'. CSV and JSON lines need nothing more"
        ) from error
