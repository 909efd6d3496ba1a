"""Files that come with a request: what kinds we keep, and where the bytes lie (under their SM3, each once)."""

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.core.files.uploadedfile import UploadedFile

from core.digests import sm3_hex
from dashboards.errors import FileRefused

MOST_BYTES = 10 * 1024 * 1024
_KINDS = (
    (b"%PDF-", "application/pdf", (".pdf",)),
    (b"\x89PNG\r\n\x1a\n", "image/png", (".png",)),
    (b"\xff\xd8\xff", "image/jpeg", (".jpg", ".jpeg")),
)


def attachment_storage() -> Storage:
    """Return the storage named `attachments` in STORAGES, or a folder in the state directory."""
    if "attachments" in settings.STORAGES:
        return storages["attachments"]
    return FileSystemStorage(location=settings.GUOKU_STATE_DIR / "attachments", file_permissions_mode=0o600)


def read_upload(file: UploadedFile | None) -> tuple[bytes, str, str]:
    """Return the bytes, media type and name of an upload; the type is what the first bytes say, not what the name says.

    :raises FileRefused: for no file, an empty or too large one, another kind, or a name that does not fit the kind.
    """
    if file is None or not file.name:
        raise FileRefused("请选择要上传的文件。", field="file")
    if not file.size:
        raise FileRefused("文件是空的。", field="file")
    if file.size > MOST_BYTES:
        raise FileRefused("文件超过 10 MB。", field="file", given=file.size)
    content = file.read()
    for magic, media_type, suffixes in _KINDS:
        if content.startswith(magic):
            if not file.name.lower().endswith(suffixes):
                raise FileRefused("文件扩展名与内容不符。", field="file")
            return content, media_type, file.name
    raise FileRefused("只接受 PDF、PNG、JPG 文件。", field="file")


def store(content: bytes) -> str:
    """Store bytes under their SM3 (hex) and return it; the same bytes are kept once."""
    digest = sm3_hex(content)
    storage = attachment_storage()
    if not storage.exists(digest):
        storage.save(digest, ContentFile(content))
    return digest
