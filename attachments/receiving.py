"""Taking an upload in: counted before it is read, streamed to a file outside the web root, never whole in memory."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

from attachments.errors import FileRefused, UploadTooLarge
from attachments.limits import LONGEST_NAME, MIB, most_file_bytes, most_request_bytes
from attachments.store import FileStore, Received, file_store
from core.digests import Sm3

FORM_ROOM = 64 * 1024  # what the other fields of a form may add to its files


class ArrivedFile(UploadedFile):
    """One file of a form that lies under `incoming/`."""

    def __init__(self, received: Received, content_type: str) -> None:
        super().__init__(received.path.open("rb"), received.name, content_type, received.size)
        self.received = received


class IncomingHandler(FileUploadHandler):
    """Streams the files of a form into the store's `incoming/`, and stops reading one that grows too large."""

    def __init__(self, request: HttpRequest, store: FileStore) -> None:
        super().__init__(request)
        self.store = store
        self.arrived: list[ArrivedFile] = []
        self.refused: list[FileRefused] = []
        self._descriptor = -1

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._descriptor, self._path = self.store.incoming()
        self._sm3, self._size = Sm3(), 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._size += len(raw_data)
        if self._size > most_file_bytes():
            name = clean_name(self.file_name or "")
            self._give_up()
            self.refused.append(
                FileRefused(f"「{name}」超过 {most_file_bytes() // MIB} MB，未保存。", field="file", given=name)
            )
            raise SkipFile
        self._sm3.update(raw_data)
        os.write(self._descriptor, raw_data)

    def file_complete(self, file_size: int) -> ArrivedFile:
        os.close(self._descriptor)
        self._descriptor = -1
        name = clean_name(self.file_name or "")
        received = Received(self._path, name, self._size, self._sm3.hexdigest())
        self.arrived.append(ArrivedFile(received, self.content_type or ""))
        return self.arrived[-1]

    def upload_interrupted(self) -> None:
        self._give_up()

    def close(self) -> None:
        """Throw away whatever is still under the name it came in with."""
        self._give_up()
        for file in self.arrived:
            file.close()
            file.received.path.unlink(missing_ok=True)

    def _give_up(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._path.unlink(missing_ok=True)


def check_length(request: HttpRequest) -> None:
    """:raises UploadTooLarge: by what the request says of itself, before one byte of its body was read."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = most_request_bytes() + FORM_ROOM + 1
    if length > most_request_bytes() + FORM_ROOM:
        raise UploadTooLarge(
            f"一次最多 {most_request_bytes() // MIB} MB，单个文件 {most_file_bytes() // MIB} MB；都没有保存。",
            field="file",
            given=length,
        )


@contextlib.contextmanager
def incoming(request: HttpRequest) -> Iterator[IncomingHandler]:
    """Let the files of this request stream into the store; what nobody has taken over by the end is thrown away.

    To be entered before anything reads the form. :raises UploadTooLarge: see `check_length`.
    """
    check_length(request)
    handler = IncomingHandler(request, file_store())
    request.upload_handlers = [handler]
    try:
        yield handler
    finally:
        handler.close()


def clean_name(name: str) -> str:
    """Return a file name without a path or control characters, of at most 120 characters, its ending kept."""
    clean = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable()).strip()
    if len(clean) <= LONGEST_NAME:
        return clean or "未命名"
    stem, dot, suffix = clean.rpartition(".")
    if not dot or len(suffix) > 10:
        return clean[:LONGEST_NAME]
    return f"{stem[: LONGEST_NAME - 1 - len(suffix)]}.{suffix}"
