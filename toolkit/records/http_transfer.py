"""The bytes of one file from an HTTP server into ``<file>.part``, in as many attempts as it takes.

In: a ``Download`` and the place it is to have; out: a whole ``.part`` and a ``Receipt`` that says which version of the
file it is. Called by ``download``. A broken connection, a busy server, a full disk and a killed process leave what has
arrived, and the next attempt asks for the rest (RFC 9110, 14): with ``If-Range``, so that a file that was changed
meanwhile comes whole, and a server that knows no ranges starts again.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.progress import Progress
from hmrtk.toolkit.records.artefact import package_version
from hmrtk.toolkit.records.manifest import Download
from hmrtk.toolkit.records.receipt import Receipt, part_path, read_receipt
from hmrtk.toolkit.wording import counted, sized

BLOCK = 1 << 18
"""Bytes read from the network at most at a time."""
MEGABYTE = 1_000_000
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses that another attempt may not meet."""
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SPACE = "what has arrived is kept: free some space and run again to go on"


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        attempts: in a row that bring nothing new, before it is given up.
        first_wait, longest_wait: seconds before another attempt, doubled each time; a server's ``Retry-After`` is
            obeyed up to the longest.
        timeout: seconds without a byte after which a connection counts as broken.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 30.0


class _Broken(Exception):
    """An attempt ended too early; another one may go further. ``wait``: seconds that the server asks for."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        self.problem, self.wait = problem, wait
        super().__init__(problem)


def receive(download: Download, file: Path, progress: Progress, patience: Patience) -> None:
    """Attempt after attempt until the part is whole. Those that bring something new do not count.

    Raises:
        InputError: the server does not have the file, has another size, or stays away.
        OutputError: the disk is full or the place cannot be written. Either way what has arrived stays.
    """
    longest, failures = _size(part_path(file)), 0
    while True:
        try:
            return _attempt(download, file, progress, patience.timeout)
        except _Broken as broken:
            size = _size(part_path(file))
            failures = 0 if size > longest else failures + 1
            longest = max(longest, size)
            if failures >= patience.attempts:
                remedy = "what has arrived is kept: run again to go on" if size else "run again later"
                raise InputError(
                    download.url, f"{broken.problem}; given up after {counted(failures, 'attempt')}", remedy
                ) from None
            wait = min(max(broken.wait, patience.first_wait * 2**failures), patience.longest_wait)
            here = size // MEGABYTE
            progress(f"download {file.name}", here, here + 1, f"MB; {broken.problem}; again in {wait:.0f} s")
            time.sleep(wait)


def _attempt(download: Download, file: Path, progress: Progress, timeout: float) -> None:
    """Ask for what is missing and store it."""
    part, known = part_path(file), read_receipt(file)
    start = _size(part)
    trusted = known is not None and known.url == download.url
    if known is not None and trusted and start and start == known.bytes:
        return
    if not trusted or known is None or not (known.validator or download.sha256 or download.md5):
        start = 0  # nobody could tell whether the rest belongs to what is here
    elif known.bytes is not None and start > known.bytes:
        start = 0
    headers = {"User-Agent": f"hmrtk/{package_version()}", "Accept-Encoding": "identity"}
    if known is not None and start:
        headers["Range"] = f"bytes={start}-"
        if known.validator:
            headers["If-Range"] = known.validator
    with _answer(download, headers, part, timeout) as response:
        start, receipt = _placed(download, response, part, start, known)
        receipt.save(file)
        _require_space(part, (receipt.bytes or 0) - start)
        _store(
            response, part, start, receipt.bytes, MegabyteBar(progress, f"download {file.name}", receipt.bytes, start)
        )


def _require_space(part: Path, needed: int) -> None:
    """Refuse what cannot fit as soon as the server says how much it is."""
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        remedy = "free some space, or pass another --out; what has arrived is kept"
        raise OutputError(f"{part}: {sized(needed)} more are needed, {sized(free)} are free ({remedy})")


def _answer(download: Download, headers: dict[str, str], part: Path, timeout: float) -> Any:
    """The server's answer, 200 or 206."""
    request = urllib.request.Request(download.url, headers=headers)  # http or https, says the manifest
    try:
        return _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            said = f"the server says {error.code} {error.reason}"
            if error.code == 416:  # there is no such rest
                part.unlink(missing_ok=True)
                raise _Broken(said) from None
            if error.code in PASSING:
                raise _Broken(said, _seconds(error.headers.get("Retry-After"))) from None
        raise InputError(download.url, said, "the file may have moved: see the homepage") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise _Broken(f"cannot be reached: {reason or type(reason).__name__}") from None


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS, proxies and redirects of the usual kind; no local files and no FTP, wherever a server leads."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _placed(download: Download, response: Any, part: Path, start: int, known: Receipt | None) -> tuple[int, Receipt]:
    """Where the answer's first byte belongs, and what the file will be."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    if response.status == 206:
        ranged = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        total = int(ranged[2]) if ranged and ranged[2] != "*" else None
        if not ranged or int(ranged[1]) != start or (known and known.bytes and total and known.bytes != total):
            part.unlink(missing_ok=True)
            raise _Broken("the server has another file now")
        total = total or (known.bytes if known else None)
    else:
        start = 0
    if download.bytes and total is not None and total != download.bytes:
        raise InputError(
            download.url,
            f"the server has a file of {total} bytes, the manifest says {download.bytes}",
            "it is another version: see the homepage",
        )
    etag, date = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
    if known is not None and start:
        etag, date = etag or known.etag, date or known.last_modified
    return start, Receipt(download.url, total, etag, date)


def _store(response: Any, part: Path, start: int, total: int | None, bar: MegabyteBar) -> None:
    """Write the answer's body behind the first ``start`` bytes, each block at once."""
    done = start
    with _part_opened(part, start) as stream:
        while block := _block(response):
            view = memoryview(block)
            while view:
                view = view[_written(stream, view, part) :]
            done += len(block)
            bar.add(len(block))
        with contextlib.suppress(OSError):
            os.fsync(stream.fileno())
    if total is not None and done < total:
        raise _Broken(f"the connection ended after {done} of {total} bytes")
    bar.end()


def _block(response: Any) -> bytes:
    try:
        return bytes(response.read1(BLOCK))
    except (http.client.HTTPException, OSError) as error:
        raise _Broken(f"the connection broke: {error or type(error).__name__}") from None


def _part_opened(part: Path, start: int) -> IO[bytes]:
    """The part, cut to ``start`` bytes, unbuffered: what was received is in it whatever happens next."""
    try:
        stream = open(part, "r+b" if start else "wb", buffering=0)  # noqa: SIM115 - closed by the caller
        stream.truncate(start)
        stream.seek(start)
        return stream
    except OSError as error:
        raise OutputError(f"{part}: cannot be written: {error.strerror}") from None


def _written(stream: IO[bytes], view: memoryview, part: Path) -> int:
    try:
        return stream.write(view)
    except OSError as error:
        raise OutputError(f"{part}: cannot be written: {error.strerror} ({_SPACE})") from None


class MegabyteBar:
    """Progress in megabytes, told when their number changes."""

    def __init__(self, progress: Progress, stage: str, total: int | None, done: int = 0) -> None:
        self._progress, self._stage, self._total, self._done, self._told = progress, stage, total, done, -1

    def add(self, count: int) -> None:
        self._done += count
        told = self._done // MEGABYTE
        if told != self._told:
            self._told = told
            self._progress(self._stage, told, max(told + 1, math.ceil((self._total or 0) / MEGABYTE)), "MB")

    def end(self) -> None:
        total = max(1, math.ceil(self._done / MEGABYTE))
        self._progress(self._stage, total, total, "MB")


def _seconds(text: str | None) -> float:
    return float(text) if text and text.strip().isdigit() else 0.0


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
