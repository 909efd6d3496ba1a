"""F: the container. A bundle that is not exactly the files it lists is refused, and the refusal names the entry.

Archives are written here byte by byte, because no library writes most of them. Source: docs/attacks.md.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.verifier import bundles
from tests.verifier.bundles import FIRST, LOG, Answer, ask, honest, manifest_of

VOUCHER = f"{FIRST}/voucher.txt"
REGULAR, LINK, FOLDER, DEVICE = 0o100600 << 16, 0o120777 << 16, 0o040755 << 16, 0o060600 << 16
ENCRYPTED, STREAMED, UTF8 = 1, 8, 0x800


@dataclass(frozen=True)
class Entry:
    """One file of an archive, every field of which may lie. None means what it truly is."""

    name: bytes
    content: bytes
    flags: int = 0
    method: int = 8
    attributes: int = REGULAR
    crc: int | None = None
    packed: bytes | None = None
    size: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    note: bytes = b""
    local_name: bytes | None = None
    local_size: int | None = None
    before: bytes = b""  # bytes in front of its local header
    listed: bool = True  # in the directory
    at: int | None = None  # where the directory says it is

    @property
    def data(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if self.method != 8:
            return self.content
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflate.compress(self.content) + deflate.flush()


def archive(
    entries: list[Entry], *, comment: bytes = b"", stated_comment: int | None = None, count: int | None = None
) -> bytes:
    body, directory, listed = b"", b"", 0
    for entry in entries:
        body += entry.before
        where, data = len(body), entry.data
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        size = len(entry.content) if entry.size is None else entry.size
        local_name = entry.local_name or entry.name
        local = (crc, len(data), size if entry.local_size is None else entry.local_size)
        sizes = (0, 0, 0) if entry.flags & STREAMED else local
        body += struct.pack(
            "<4s5H3L2H",
            b"PK\3\4",
            20,
            entry.flags,
            entry.method,
            0,
            0x5CCF,
            *sizes,
            len(local_name),
            len(entry.local_extra),
        )
        body += local_name + entry.local_extra + data
        if entry.flags & STREAMED:
            body += b"PK\7\10" + struct.pack("<3L", crc, len(data), size)
        if entry.listed:
            listed += 1
            directory += struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", 0x031E, 20, entry.flags, entry.method, 0, 0x5CCF, crc, len(data), size,
                len(entry.name), len(entry.extra), len(entry.note), 0, 0, entry.attributes,
                where if entry.at is None else entry.at,
            )  # fmt: skip
            directory += entry.name + entry.extra + entry.note
    number = listed if count is None else count
    length = len(comment) if stated_comment is None else stated_comment
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(directory), len(body), length)
    return body + directory + end + comment


def entries(files: dict[str, bytes] | None = None, manifest: bytes | None = None) -> list[Entry]:
    """An honest bundle as entries, its manifest first."""
    files = honest() if files is None else files
    first = Entry(b"manifest.json", manifest or manifest_of(files))
    return [first, *(Entry(path.encode(), content) for path, content in files.items() if path != "manifest.json")]


def changed(name: str, **fields: object) -> list[Entry]:
    return [replace(e, **fields) if e.name == name.encode() else e for e in entries()]  # type: ignore[arg-type]


def with_file(name: str | bytes, content: bytes = b"x", **fields: object) -> list[Entry]:
    """One more file, listed in the manifest, so that nothing but its name or kind is wrong."""
    raw = name if isinstance(name, bytes) else name.encode()
    files = honest() | {raw.decode("utf-8", "replace"): content}
    return [*entries(honest(), manifest_of(files)), Entry(raw, content, **fields)]  # type: ignore[arg-type]


def doubled(name: str, content: bytes) -> list[Entry]:
    return [*entries(), Entry(name.encode(), content)]


def test_the_archives_of_this_page_are_genuine_when_nothing_is_wrong(tmp_path: Path) -> None:
    assert ask(tmp_path, archive(entries())).code == 0
    stored = [replace(e, method=0, flags=STREAMED | UTF8) for e in entries()]
    assert ask(tmp_path, archive(stored)).code == 0


def refused(tmp_path: Path, data: bytes, name: str, because: str = "") -> Answer:
    answer = ask(tmp_path, data)
    assert answer.code == 1, answer
    told = answer.reasons + "".join(answer.failed_files)
    assert name in told and because in answer.reasons, told
    return answer


WHOLE = "压缩包"
ARCHIVES: dict[str, tuple[Callable[[], bytes], str, str]] = {  # what is done, the name told, the reason
    "a voucher twice, the second forged": (lambda: archive(doubled(VOUCHER, b"forged")), VOUCHER, "重名"),
    "the same file twice": (lambda: archive(doubled(VOUCHER, honest()[VOUCHER])), VOUCHER, "重名"),
    "the manifest twice": (lambda: archive(doubled("manifest.json", b"{}")), "manifest.json", "重名"),
    "a name in another case": (lambda: archive(doubled(VOUCHER.upper(), b"x")), VOUCHER.upper(), "大小写"),
    "the manifest in another case": (lambda: archive(doubled("Manifest.JSON", b"{}")), "Manifest.JSON", "大小写"),
    "two Unicode spellings of one name": (
        lambda: archive(
            [*with_file("certificates/\u00e9.pem", flags=UTF8), Entry("certificates/e\u0301.pem".encode(), b"x", UTF8)]
        ),
        "e\u0301",
        "大小写",
    ),
    "a path to the folder above": (lambda: archive(with_file("../evil.txt")), "../evil.txt", "路径不允许"),
    "a path above from within": (lambda: archive(with_file("vouchers/../../evil")), "vouchers/../../evil", "路径"),
    "an absolute path": (lambda: archive(with_file("/etc/passwd")), "/etc/passwd", "路径不允许"),
    "a drive of Windows": (lambda: archive(with_file("C:/evil.txt")), "C:/evil.txt", "路径不允许"),
    "backslashes": (lambda: archive(with_file("..\\evil.txt")), "..\\evil.txt", "路径不允许"),
    "a folder entry": (lambda: archive(with_file("vouchers/", b"")), "vouchers/", "路径不允许"),
    "an empty part in a path": (lambda: archive(with_file("vouchers//x")), "vouchers//x", "路径不允许"),
    "a dot in a path": (lambda: archive(with_file("./parties2.json")), "./parties2.json", "路径不允许"),
    "a line break in a name": (lambda: archive(with_file("a\nb")), "a\nb", "路径不允许"),
    "a zero byte in a name": (lambda: archive(with_file("a\0.txt")), "a\0.txt", "路径不允许"),
    "a direction mark in a name": (lambda: archive(with_file("a\u202etxt.pem", flags=UTF8)), "a\u202e", "路径不允许"),
    "an empty name": (lambda: archive(with_file("")), "路径不允许", ""),
    "a name that is no UTF-8": (lambda: archive(with_file(b"\xff\xfe.txt", flags=UTF8)), "xff", "编码"),
    "a name beyond ASCII without the mark": (lambda: archive(with_file("凭证.txt")), "xe5", "编码"),
    "a symbolic link": (
        lambda: archive(with_file("trust/a.pem", b"/etc/passwd", attributes=LINK)),
        "trust/a.pem",
        "链接",
    ),
    "a folder by its attributes": (
        lambda: archive(with_file("trust/a.pem", attributes=FOLDER)),
        "trust/a.pem",
        "特殊文件",
    ),
    "a device": (lambda: archive(with_file("trust/a.pem", attributes=DEVICE)), "trust/a.pem", "特殊文件"),
    "an encrypted entry": (lambda: archive(changed(VOUCHER, flags=ENCRYPTED)), VOUCHER, "加密"),
    "strong encryption": (lambda: archive(changed(VOUCHER, flags=0x40 | ENCRYPTED)), VOUCHER, "加密"),
    "a masked directory": (lambda: archive(changed(VOUCHER, flags=0x2000)), VOUCHER, "标志"),
    "an unknown method": (lambda: archive(changed(VOUCHER, method=12)), VOUCHER, "压缩方法"),
    "an extra field in the directory": (lambda: archive(changed(VOUCHER, extra=b"XX\0\0")), VOUCHER, "附加数据"),
    "an extra field in the file": (lambda: archive(changed(VOUCHER, local_extra=b"XX\0\0")), VOUCHER, "文件头"),
    "a note on an entry": (lambda: archive(changed(VOUCHER, note=b"read me")), VOUCHER, "附加数据"),
    "another name in the file": (
        lambda: archive(changed(VOUCHER, local_name=VOUCHER.replace("1/", "2/").encode())),
        VOUCHER,
        "文件头",
    ),
    "another size in the file": (lambda: archive(changed(VOUCHER, local_size=7)), VOUCHER, "大小"),
    "a wrong checksum": (lambda: archive(changed(VOUCHER, crc=1)), VOUCHER, "校验和"),
    "less than stated": (lambda: archive(changed(VOUCHER, size=5000)), VOUCHER, "大小"),
    "more than stated": (lambda: archive(changed(VOUCHER, size=5)), VOUCHER, "大"),
    "broken compressed data": (lambda: archive(changed(VOUCHER, packed=b"\7\7\7")), VOUCHER, "损坏"),
    "something behind the compressed data": (
        lambda: archive(changed(VOUCHER, packed=Entry(b"", honest()[VOUCHER]).data + b"more")),
        VOUCHER,
        "损坏",
    ),
    "compressed data cut short": (
        lambda: archive(changed(VOUCHER, packed=Entry(b"", honest()[VOUCHER]).data[:-9])),
        VOUCHER,
        "损坏",
    ),
    "a bomb": (lambda: archive(with_file("README.txt2", bytes(40 << 20))), "README.txt2", "过大"),
    "a bomb that states a small size": (
        lambda: archive([*entries(), Entry(b"trust/b.pem", bytes(40 << 20), size=100)]),
        "trust/b.pem",
        "比声明的大",
    ),
    "a bomb by its stated size": (lambda: archive(changed(VOUCHER, size=3 << 30)), VOUCHER, "过大"),
    "a file of this archive as another": (lambda: archive(changed(VOUCHER, at=0)), VOUCHER, "位置"),
    "a place beyond the archive": (lambda: archive(changed(VOUCHER, at=1 << 30)), VOUCHER, "位置"),
    "bytes between files": (lambda: archive(changed(VOUCHER, before=b"hidden")), VOUCHER, "夹有多余数据"),
    "a file that is not in the directory": (
        lambda: archive([*entries(), Entry(b"hidden.txt", b"x", listed=False)]),
        WHOLE,
        "夹有多余数据",
    ),
    "bytes in front": (lambda: b"#!/bin/sh\n" + archive(entries()), WHOLE, "多余数据"),
    "bytes behind": (lambda: archive(entries()) + b"more", WHOLE, "末尾有多余数据"),
    "a comment": (lambda: archive(entries(), comment=b"by the bank"), WHOLE, "注释"),
    "a second archive behind": (
        lambda: archive(entries()) + archive([Entry(b"manifest.json", b"{}")]),
        WHOLE,
        "多余数据",
    ),
    "a directory that states too few": (lambda: archive(entries(), count=3), WHOLE, "多余数据"),
    "a directory that states too many": (lambda: archive(entries(), count=99), WHOLE, "目录损坏"),
    "an archive cut short": (lambda: archive(entries())[:-300], WHOLE, "目录"),
    "an empty archive": (lambda: archive([]), "manifest.json", "缺少文件"),
}


@pytest.mark.parametrize("attack", ARCHIVES)
def test_an_archive_that_is_not_plainly_its_files_is_refused(tmp_path: Path, attack: str) -> None:
    make, name, because = ARCHIVES[attack]
    refused(tmp_path, make(), name, because)


CONTENTS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "a file the manifest does not list": (
        lambda: archive([*entries(), Entry(b"trust/mine.pem", honest()["trust/sm2-sm3.pem"])]),
        "trust/mine.pem",
        "没有列出",
    ),
    "a file the manifest lists and nobody brings": (
        lambda: archive(entries({k: v for k, v in honest().items() if k != VOUCHER}, manifest_of(honest()))),
        VOUCHER,
        "包里没有",
    ),
    "a file of a kind that does not belong": (
        lambda: archive(with_file("vouchers/5201-ZF0001/pay.exe")),
        "pay.exe",
        "不属于",
    ),
    "a folder that does not belong": (lambda: archive(with_file("extra/a.txt")), "extra/a.txt", "不属于"),
    "a manifest with another digest": (
        lambda: archive(entries(honest() | {VOUCHER: b"x"}, manifest_of(honest()))),
        VOUCHER,
        "被改动",
    ),
    "a manifest with another size": (
        lambda: archive(entries(manifest=manifest_of(honest()).replace(b'"size":', b'"size":1', 1))),
        "README.txt",
        "大小不符",
    ),
    "a manifest that lists a file twice": (
        lambda: archive(
            entries(
                manifest=manifest_of(honest()).replace(
                    b'{"files":[', b'{"files":[{"path":"README.txt","sm3":"","size":0},'
                )
            )
        ),
        "README.txt",
        "重复列出",
    ),
    "a manifest that lists itself": (
        lambda: archive(entries(manifest=manifest_of(honest()).replace(b'"README.txt"', b'"manifest.json"'))),
        "manifest.json",
        "重复列出",
    ),
    "a manifest with a name twice": (
        lambda: archive(entries(manifest=manifest_of(honest())[:-1] + b',"format":"guoku-bundle/1"}')),
        "manifest.json",
        "规范",
    ),
    "a manifest of a format to come": (
        lambda: archive(entries(manifest=manifest_of(honest()).replace(b"bundle/1", b"bundle/9"))),
        "guoku-bundle/9",
        "不认识",
    ),
    "a manifest made tomorrow": (
        lambda: archive(entries(manifest=manifest_of(honest()).replace(b"2026-06-16T", b"2099-06-16T"))),
        "晚于验证时间",
        "",
    ),
    "a manifest that is no JSON": (lambda: archive(entries(manifest=b"\xff")), "manifest.json", "规范"),
    "a manifest that is deep": (lambda: archive(entries(manifest=b"[" * 100_000)), "manifest.json", "规范"),
    "no manifest": (lambda: archive(entries()[1:]), "manifest.json", "缺少文件"),
    "the texts of two vouchers exchanged": (
        lambda: archive(
            entries(
                honest()
                | {
                    VOUCHER: honest()["vouchers/5201-ZF0002/voucher.txt"],
                    "vouchers/5201-ZF0002/voucher.txt": honest()[VOUCHER],
                }
            )
        ),
        VOUCHER,
        "被改动",
    ),
    "a voucher in another folder": (
        lambda: archive(entries({k.replace("5201-ZF0001", "5201-ZF0009"): v for k, v in honest().items()})),
        "文件夹名",
        "不符",
    ),
    "the log of one region under another": (
        lambda: archive(entries({k.replace(LOG, "log/990200000-2026"): v for k, v in honest().items()})),
        "另一条日志",
        "",
    ),
    "a number where text belongs": (
        lambda: archive(entries(bundles.edited(honest(), f"{FIRST}/voucher.json", lambda v: v.update(sender=1)))),
        "sender",
        "类型",
    ),
    "a fraction where a number belongs": (
        lambda: archive(
            entries(
                honest() | {f"{FIRST}/voucher.json": honest()[f"{FIRST}/voucher.json"].replace(b"2026,", b"2026.0,", 1)}
            )
        ),
        f"{FIRST}/voucher.json",
        "规范",
    ),
    "a field more": (
        lambda: archive(entries(bundles.edited(honest(), f"{FIRST}/voucher.json", lambda v: v.update(paid="yes")))),
        "paid",
        "字段不符",
    ),
    "a line without its end": (
        lambda: archive(entries(honest() | {f"{LOG}/roots.jsonl": honest()[f"{LOG}/roots.jsonl"][:-1]})),
        f"{LOG}/roots.jsonl",
        "不完整",
    ),
    "two certificates in one file": (
        lambda: archive(entries(honest() | {"certificates/tsa.pem": honest()["certificates/tsa.pem"] * 2})),
        "certificates/tsa.pem",
        "",
    ),
    "a certificate with something in front": (
        lambda: archive(entries(honest() | {"certificates/tsa.pem": b"hello\n" + honest()["certificates/tsa.pem"]})),
        "certificates/tsa.pem",
        "PEM",
    ),
}


@pytest.mark.parametrize("attack", CONTENTS)
def test_files_that_are_not_as_listed_or_laid_out_are_refused(tmp_path: Path, attack: str) -> None:
    make, name, because = CONTENTS[attack]
    refused(tmp_path, make(), name, because)


def test_a_bomb_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    """1 GiB of zeros that says it is 100 bytes: one byte more than stated is unpacked, no more."""
    import tracemalloc

    from verifier import guoku_verify

    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    packed = b"".join(deflate.compress(block) for _ in range(1024)) + deflate.flush()
    data = archive([Entry(b"manifest.json", b"", packed=packed, size=100, crc=1)])
    tracemalloc.start()
    with pytest.raises(guoku_verify.Refused, match="比声明的大"):
        guoku_verify.read_zip(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
