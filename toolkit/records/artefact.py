"""What every file hmrtk writes has in common: an atomic write, a kind and version, provenance, and readable errors.

A writer gets a temporary name beside the target; when it returns, the bytes are synced and renamed into place, so a
killed process leaves either the old file or the new one, never half of one. Every path may be a URL (``remote``): the
temporary file is then a local one, and putting it into the object store is the atomic step.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records.remote import Place, RemotePath, located

METADATA_KEY = b"hmrtk"


def package_version() -> str:
    """The installed version of hmrtk."""
    return importlib.metadata.version("hmrtk")


def provenance(command: str, config: Mapping[str, Any], body: str, inputs: Mapping[str, str], seed: int | None) -> dict:
    """The provenance block of an artefact.

    Args:
        command: what made it, e.g. ``"build-prototypes"``.
        config: the stage's configuration as plain JSON values.
        body: fingerprint of the body it was made with.
        inputs: name → fingerprint of everything that was read.
        seed: the seed, or None where nothing is random.
    """
    return {
        "command": command,
        "config": dict(config),
        "package": package_version(),
        "body": body,
        "inputs": dict(inputs),
        "seed": seed,
    }


def file_fingerprint(path: str | Place) -> str:
    """sha256 of a file's bytes, hex."""
    digest = hashlib.sha256()
    with open_input(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def open_input(path: str | Place) -> Iterator[Any]:
    """Open a file for reading bytes; a missing or unreadable one becomes an ``InputError``."""
    path = located(path)
    try:
        stream = path.open() if isinstance(path, RemotePath) else open(path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except IsADirectoryError:
        raise InputError(path, "is a directory, expected a file") from None
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    with stream:
        yield stream


@contextlib.contextmanager
def atomic_path(target: str | Place) -> Iterator[Path]:
    """A temporary path beside ``target``, synced and renamed onto it when the block ends without an error.

    Raises:
        OutputError: when the place cannot be written or the disk is full; ``target`` is then untouched.
    """
    target = located(target)
    if isinstance(target, RemotePath):
        with _uploaded(target) as path:
            yield path
        return
    temporary: Path | None = None
    try:
        if target.exists() and not target.is_file():
            raise OutputError(
                f"{target}: cannot be written: it is a {_kind(target)}, expected a file (choose another --out)"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        _sync_directory(target.parent)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def require_writable(target: str | Place) -> None:
    """Refuse a place where ``target`` could not be written, before the work that leads to it.

    Raises:
        OutputError: naming ``target``. Object stores are not asked.
    """
    target = located(target)
    if isinstance(target, RemotePath):
        return
    with contextlib.suppress(_Tried), atomic_path(target):
        raise _Tried


class _Tried(Exception):
    """Leaves ``atomic_path`` without a file."""


@contextlib.contextmanager
def _uploaded(target: RemotePath) -> Iterator[Path]:
    """A local temporary path, put into the object store when the block ends without an error."""
    try:
        with tempfile.TemporaryDirectory(prefix="hmrtk-upload-") as folder:
            path = Path(folder) / target.name
            yield path
            try:
                target.upload(path)
            except InputError as error:
                raise OutputError(f"{target}: cannot be written: {error.problem} ({error.remedy})") from None
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def local_copy(path: str | Place) -> Iterator[Path]:
    """A readable file as a local path: itself, or a temporary copy of what a URL names; errors as in ``open_input``."""
    path = located(path)
    with open_input(path) as stream:
        if isinstance(path, Path):
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="hmrtk-download-") as folder:
            copy = Path(folder) / path.name
            with open(copy, "wb") as out:
                shutil.copyfileobj(stream, out)
            yield copy


def write_bytes(target: str | Place, data: bytes) -> None:
    """Write ``data`` atomically."""
    with atomic_path(target) as path:
        path.write_bytes(data)


def json_bytes(value: Any) -> bytes:
    """JSON as every artefact writes it: sorted keys, two spaces, a final newline."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_json(target: str | Place, value: Any) -> None:
    """Write ``value`` atomically as ``json_bytes``."""
    write_bytes(target, json_bytes(value))


def read_json(path: str | Place) -> Any:
    """Read a JSON file.

    Raises:
        InputError: missing, unreadable or not JSON, with the line where it breaks.
    """
    with open_input(path) as stream:
        data = stream.read()
    try:
        return json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", 1)
        raise InputError(f"{path} line {line}", "is not valid JSON", "the file may be truncated") from None


def schema_metadata(kind: str, version: int, metadata: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Arrow schema metadata that marks an artefact: ``{"kind", "schema_version", **metadata}`` as JSON."""
    value = {**metadata, "kind": kind, "schema_version": version}
    return {METADATA_KEY: json.dumps(value, sort_keys=True, ensure_ascii=False).encode()}


def write_parquet(
    target: str | Place,
    table: pa.Table,
    kind: str,
    version: int,
    metadata: Mapping[str, Any],
    rows_per_group: int | None = None,
) -> None:
    """Write a table atomically with its kind, version and metadata; zstd, every page with a checksum.

    Long arrays (fixed-size lists) get no dictionary and no statistics: both cost more time than they are worth.
    """
    plain = [field.name for field in table.schema if not pa.types.is_fixed_size_list(field.type)]
    kept = table.schema.metadata or {}
    table = table.replace_schema_metadata({**kept, **schema_metadata(kind, version, metadata)})
    with atomic_path(target) as path:
        pq.write_table(
            table,
            path,
            row_group_size=rows_per_group,
            compression="zstd",
            use_dictionary=plain,
            write_statistics=plain,
            write_page_checksum=True,
        )


def open_parquet(path: str | Place, kind: str, version: int) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Open a Parquet artefact of a given kind.

    Raises:
        InputError: missing, truncated, not Parquet, of another kind, or of a newer schema version.
    """
    path = located(path)
    with open_input(path):
        pass
    try:
        if isinstance(path, RemotePath):
            file = pq.ParquetFile(path.open(buffered=False), page_checksum_verification=True, pre_buffer=True)
        else:
            file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            path, "is not a readable Parquet file", f"truncated or corrupt: {_first_line(error)}"
        ) from None
    try:
        metadata = _own_metadata(file.schema_arrow.metadata or {})
    except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError):
        raise InputError(path, "has damaged metadata", "make the file again") from None
    if metadata["kind"] != kind:
        raise InputError(path, f"expected {kind}, got {metadata['kind'] or 'a Parquet file that hmrtk did not write'}")
    if metadata["schema_version"] > version:
        found = metadata["schema_version"]
        raise InputError(path, f"has schema version {found}, this hmrtk reads up to {version}", "upgrade hmrtk")
    return file, metadata


def _own_metadata(raw: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The JSON under our key, with a kind (empty for a stranger's file) and a whole-numbered version."""
    if METADATA_KEY not in raw:
        return {"kind": "", "schema_version": 0}
    metadata = json.loads(raw[METADATA_KEY])
    return {**metadata, "kind": str(metadata["kind"]), "schema_version": int(metadata["schema_version"])}


def read_parquet(
    path: str | Place, kind: str, version: int, columns: Sequence[str] | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """Read a Parquet artefact (all or some columns) and its metadata; errors as in ``open_parquet``."""
    file, metadata = open_parquet(path, kind, version)
    with file:
        missing = sorted(set(columns or ()) - set(file.schema_arrow.names))
        if missing:
            raise InputError(path, f"has no column {', '.join(missing)}")
        try:
            return file.read(columns=list(columns) if columns is not None else None), metadata
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(path, "is damaged", _first_line(error)) from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "device or pipe"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
