"""Files on their way in: kept on disk under names of our own until they are imported or nobody comes back for them.

A browser sends a file in chunks of ``CHUNK`` bytes. The row of the upload says how far the file is safe; a chunk counts
only as a whole and only where the last one ended, so one that comes twice, late or in two tabs changes nothing. The
bytes are written before the row says so: whatever is killed in between is sent again.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from datasets_app.core.records import clean_text
from rft_project.connections.models import Workspace
from rft_project.jobs.services import HasPk
from rft_project.web.text import size as sized

from .models import Dataset, ImportBatch, Upload
from .services import Refused, create_dataset

CHUNK = 4 << 20
EDGE = 64 << 10  # bytes at either end of a file that tell it from another of the same name, size and time
PIECE = 256 << 10  # read at once from a request
SPARE = 512 << 20  # left free on the disk for the database and everybody else
FORGOTTEN = timedelta(days=3)  # after so long without a chunk nobody is coming back


class NotHere(Exception):
    """A chunk does not start where the last one ended; the browser goes on from ``offset``."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(f"The next byte to send is {upload.received}.")
        self.upload = upload


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Offered:
    """What a browser says of a file before it sends it; ``head`` and ``tail`` are its first and last ``EDGE`` bytes."""

    filename: str
    size: int
    modified: int
    head: bytes
    tail: bytes

    def fingerprint(self, dataset: Dataset | None) -> str:
        named = f"{dataset.pk if dataset else ''}:{self.size}:{self.modified}:{self.filename}:"
        return blake2b(named.encode() + _edges(self.head, self.tail), digest_size=16).hexdigest()


def _edges(head: bytes, tail: bytes) -> bytes:
    return blake2b(head, digest_size=16).digest() + blake2b(tail, digest_size=16).digest()


def chained(digest: str, chunk: bytes) -> str:
    """Digest of a file that grew by one chunk: that of the old digest and the chunk. '' is the one of an empty file."""
    return blake2b(bytes.fromhex(digest) + chunk, digest_size=16).hexdigest()


# --- in chunks -------------------------------------------------------------------------------------------------------


def begin(workspace: Workspace, dataset: Dataset | None, name: str, offered: Offered, *, by: HasPk) -> Upload:
    """The upload of this file into ``dataset`` (or a new one called ``name``): a new one, or the one to go on with.

    Raises Refused when the name is taken or there is no room.
    """
    forget_stale()
    if dataset is None and workspace.datasets.filter(name=name).exists():
        raise Refused(f"There is already a dataset called {name}; choose another name.", "name")
    fingerprint = offered.fingerprint(dataset)
    unfinished = Upload.objects.filter(created_by_id=by.pk, fingerprint=fingerprint, batch=None)
    unfinished.update(new_name=name)
    found = unfinished.first()
    if found is None or not Path(found.path).exists():  # a folder that was emptied by hand is no reason to be stuck
        unfinished.delete()
        require_room(workspace, offered.size)
        path = _new_path(offered.filename)
        with contextlib.suppress(IntegrityError), transaction.atomic():  # another tab may be faster by a moment
            Upload.objects.create(
                workspace=workspace,
                dataset=dataset,
                new_name=name,
                created_by_id=by.pk,
                filename=offered.filename,
                size=offered.size,
                modified=offered.modified,
                fingerprint=fingerprint,
                path=str(path),
            )
            _write_at(path, 0, b"")
        found = unfinished.get()
    return found


def receive(upload: Upload, offset: int, length: int, body: Readable) -> Upload:
    """One chunk: ``length`` bytes that belong at ``offset``. Raises NotHere, Refused; a torn chunk counts for nothing.

    With the last byte the file is staged and ``upload.batch`` is set.
    """
    if upload.batch_id is not None or offset != upload.received:
        raise NotHere(upload)
    if length != min(CHUNK, upload.size - offset):
        raise Refused(f"A part of {length:,} bytes was sent at byte {offset:,}, which cannot be right; try again.")
    if _free(Path(upload.path).parent) < SPARE + length:
        raise Refused(
            "The disk of the server is nearly full. Free some space, then press Resume; nothing sent so far is lost.",
            "disk",
        )
    chunk = b"".join(_pieces(body, length))
    if len(chunk) != length:
        raise Refused("The connection was lost in the middle of a part; it is sent again.", "torn")
    _write_at(Path(upload.path), offset, chunk)
    end = offset + length
    digest = chained(upload.digest, chunk)
    if end == upload.size:
        _require_whole(upload)
    with transaction.atomic():
        here = Upload.objects.filter(pk=upload.pk, received=offset, batch=None)
        if not here.update(received=end, digest=digest, updated_at=timezone.now()):
            raise NotHere(Upload.objects.get(pk=upload.pk))
        upload.received, upload.digest = end, digest
        if end == upload.size:
            upload.batch = _staged(upload)
            upload.save(update_fields=["batch"])
    return upload


def _pieces(body: Readable, length: int) -> Iterator[bytes]:
    """At most ``length`` bytes of the request, piece by piece, so that no more than a chunk is ever in memory."""
    left = length
    try:
        while left and (piece := body.read(min(PIECE, left))):
            left -= len(piece)
            yield piece
    except OSError:  # the browser went away
        return


def _write_at(path: Path, offset: int, chunk: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(offset)
            file.write(chunk)
    except OSError as error:
        raise _not_kept(error) from error


def _not_kept(error: OSError) -> Refused:
    return Refused(f"The file could not be kept: {error.strerror}. Free some space, then press Resume.", "disk")


def _free(folder: Path) -> int:
    """Bytes that are free where the folder is, which is made. Raises Refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise _not_kept(error) from error


def _require_whole(upload: Upload) -> None:
    """Size and both ends of what lies on disk are those of the file that was offered. Raises Refused."""
    path = Path(upload.path)
    with path.open("rb") as file:
        offered = Offered(upload.filename, upload.size, upload.modified, file.read(EDGE), _tail(file, upload.size))
    if path.stat().st_size != upload.size or offered.fingerprint(upload.dataset) != upload.fingerprint:
        discard(upload)
        raise Refused("The file changed while it was being sent. Choose it again; it is sent from its beginning.")


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - EDGE))
    return file.read(EDGE)


def _staged(upload: Upload) -> ImportBatch:
    """The import of a file that is here as a whole, in its dataset or in a new one."""
    dataset = upload.dataset or _new_dataset(upload)
    return ImportBatch.objects.create(
        dataset=dataset,
        filename=upload.filename,
        path=upload.path,
        size=upload.size,
        file_digest=upload.digest,
        created_by_id=upload.created_by_id,
    )


def _new_dataset(upload: Upload) -> Dataset:
    """Under the name that was given, or the next one that is free: a long upload must not fail for a name."""
    taken = set(upload.workspace.datasets.values_list("name", flat=True))
    names = (upload.new_name if n == 1 else f"{upload.new_name[:110]} {n}" for n in range(1, len(taken) + 2))
    name = next(name for name in names if name not in taken)
    return create_dataset(upload.workspace, name, by=upload.created_by)


def unfinished(user: Any, dataset: Dataset | None) -> QuerySet[Upload]:
    """Uploads of this person that stopped on the way, or are on it in another tab; None: those for a new dataset."""
    return Upload.objects.filter(created_by=user, dataset=dataset, batch=None)


def discard(upload: Upload) -> None:
    """Forget an upload and what came of its file; one that was staged keeps its file."""
    if upload.batch_id is None:
        with contextlib.suppress(OSError):
            Path(upload.path).unlink(missing_ok=True)
    Upload.objects.filter(pk=upload.pk).delete()


def forget_stale() -> None:
    """Uploads that nobody has gone on with for days, and rows of those that arrived long ago."""
    for upload in Upload.objects.filter(updated_at__lt=timezone.now() - FORGOTTEN):
        discard(upload)


def require_room(workspace: Workspace, size: int) -> None:
    """Raises Refused where the file would fill the disk, or the share of it that one workspace may use."""
    free = max(0, _free(settings.UPLOAD_DIR) - SPARE - _on_its_way(Upload.objects.all()))
    if size > free:
        raise Refused(
            f"The disk of the server has room for {sized(free)}; this file needs {sized(size)}. "
            "Free some space, or read it from where it lies with the command import_traces.",
            "file",
        )
    waiting = ImportBatch.objects.filter(dataset__workspace=workspace, finished_at=None, owned=True)
    used = (waiting.aggregate(n=Sum("size"))["n"] or 0) + sum(
        workspace.uploads.filter(batch=None).values_list("size", flat=True)
    )
    if used + size > settings.UPLOAD_LIMIT:
        raise Refused(
            f"Files of this workspace that wait to be imported may take {sized(settings.UPLOAD_LIMIT)}; "
            f"{sized(used)} are taken. Import or discard some of them first.",
            "file",
        )


def _on_its_way(uploads: QuerySet[Upload]) -> int:
    """Bytes that have been promised room and have not arrived."""
    return uploads.filter(batch=None).aggregate(n=Sum(F("size") - F("received")))["n"] or 0


# --- in one piece ----------------------------------------------------------------------------------------------------


def create_with_file(
    workspace: Workspace, name: str, file: UploadedFile | None, pasted: str, *, by: HasPk | None
) -> ImportBatch:
    """A dataset and its first file; where the file cannot be kept there is no dataset either. Raises Refused."""
    dataset = create_dataset(workspace, name, by=by)
    try:
        return stage(dataset, file, pasted, by=by)
    except Refused:
        dataset.delete()
        raise


def stage(dataset: Dataset, file: UploadedFile | None, pasted: str, *, by: HasPk | None) -> ImportBatch:
    """Keep an upload that came as a whole, or pasted lines, until it is imported. Raises Refused."""
    name = safe_name(file.name or "") if file is not None else "pasted.jsonl"
    pieces: Iterable[bytes] = [pasted.encode("utf-8", "surrogatepass")] if file is None else file.chunks()
    path, size, digest = _new_path(name), 0, ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as target:
            for chunk in _chunks(pieces):
                target.write(chunk)
                size, digest = size + len(chunk), chained(digest, chunk)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise Refused(
            f"The file could not be kept: {error.strerror}. Free some space and try again.", "file"
        ) from error
    return ImportBatch.objects.create(
        dataset=dataset,
        filename=name,
        path=str(path),
        size=size,
        file_digest=digest,
        created_by_id=by.pk if by else None,
    )


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of ``CHUNK``, so that a file has one digest however it came."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= CHUNK:
            yield bytes(held[:CHUNK])
            del held[:CHUNK]
    if held:
        yield bytes(held)


def safe_name(name: str) -> str:
    """The file's own name as a person knows it: no folders, nothing that a database cannot hold."""
    return clean_text(Path(name.replace("\\", "/")).name)[:255] or "upload"


def _new_path(filename: str) -> Path:
    """A place of our own; only the endings are kept, which readers look at."""
    return settings.UPLOAD_DIR / f"{uuid.uuid4().hex}{''.join(Path(filename).suffixes[-2:])[:20]}"


def waiting(dataset: Dataset) -> QuerySet[ImportBatch]:
    """Files that are staged and that nobody has said anything about yet, the oldest first."""
    return dataset.batches.filter(job=None, finished_at=None).order_by("pk")


def discard_batch(batch: ImportBatch) -> None:
    """A staged file that shall not be imported goes. Raises Refused once its import has begun."""
    if not ImportBatch.objects.filter(pk=batch.pk, job=None, finished_at=None).delete()[0]:
        raise Refused("This file is being imported or was imported already; it cannot be discarded.")
    if batch.owned:
        with contextlib.suppress(OSError):
            Path(batch.path).unlink(missing_ok=True)
