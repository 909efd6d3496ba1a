"""How much may be sent and kept. What differs between places comes from the settings; the rest is what files can do."""

from django.conf import settings

MIB = 1024 * 1024
MOST_UNPACKED = 50 * MIB  # of a zip container
MOST_RATIO = 100  # unpacked to packed, of the whole container
MOST_ENTRIES = 1000
MOST_PIXELS = 50_000_000  # a page scanned at 600 dpi has 35 million
MOST_PAGES = 200
LONGEST_NAME = 120


def most_file_bytes() -> int:
    return int(getattr(settings, "GUOKU_UPLOAD_FILE_BYTES", 20 * MIB))


def most_request_bytes() -> int:
    return int(getattr(settings, "GUOKU_UPLOAD_REQUEST_BYTES", 60 * MIB))


def most_files() -> int:
    """How many files one document may have."""
    return int(getattr(settings, "GUOKU_UPLOAD_FILES", 50))
