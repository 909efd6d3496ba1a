"""From the form to the store and back: what is kept, what is refused, and that a refusal leaves nothing."""

import io
import os
import uuid
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import FakePayload
from PIL import Image

from attachments.keeping import known_digests
from attachments.models import StoredFile
from attachments.store import FileStore, Received
from attachments.tasks import settle
from core.digests import Sm3, sm3_hex
from core.errors import TreasuryError
from demo import world
from payments import attaching
from payments.models import Attachment
from tests import acts
from tests.attachments import files
from tests.conftest import NOW

CLERK = "u101001-jb"


def upload(officer, request, *sent, **headers):
    body = {"file": [SimpleUploadedFile(name, content) for name, content in sent]}
    return officer.post(f"/payments/{request.pk}/attachments/", body)


def upload_json(officer, request, *sent):
    body = {"file": [SimpleUploadedFile(name, content) for name, content in sent]}
    return officer.post_json(f"/payments/{request.pk}/attachments/", body)


def everything_in(store: FileStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def nothing_kept(store: FileStore) -> bool:
    return everything_in(store) == [] and not StoredFile.objects.exists() and not Attachment.objects.exists()


# Kept ---------------------------------------------------------------------------------------------------------------


def test_several_files_are_kept_once_each_and_come_back_byte_by_byte(at, store):
    request, pdf, png = acts.draft("I1", "100.00"), files.pdf(2), files.picture()
    officer = at(CLERK)
    assert upload(officer, request, ("合同.pdf", pdf), ("发票.png", png), ("又是合同.pdf", pdf)).status_code == 303
    kept = list(request.attachments.order_by("file_name"))
    assert [(a.file_name, a.size, a.file.pages) for a in kept] == [("发票.png", len(png), 1), ("合同.pdf", len(pdf), 2)]
    assert everything_in(store) == sorted([sm3_hex(pdf), sm3_hex(png)])
    assert oct(store.path(sm3_hex(pdf)).stat().st_mode & 0o777) == "0o600"
    address = f"/payments/{request.pk}/attachments/{kept[1].pk}/"
    answer = officer.get(address)
    assert b"".join(answer.streaming_content) == pdf
    assert answer["content-disposition"].startswith("attachment; filename*=utf-8''%E5%90%88")
    assert answer["x-content-type-options"] == "nosniff"
    assert at("gk-sh").get(address).status_code == 200  # a reviewer
    assert at("u205001-jb").get(address).status_code == 404  # another unit
    assert at("u205001-jb").get(address + "pages/1/").status_code == 404


def test_of_a_mixed_upload_the_good_ones_stay_and_the_others_are_named(at, store):
    request = acts.draft("I1", "100.00")
    status, answer = upload_json(at(CLERK), request, ("好.pdf", files.pdf()), ("坏.pdf", b"MZ"))
    assert status == 200
    assert [item["no"] for item in answer["accepted"]] == ["好.pdf"]
    [refused] = answer["refused"]
    assert (refused["code"], refused["field"]) == ("file_refused", "file") and "「坏.pdf」" in refused["message"]
    assert everything_in(store) == [sm3_hex(files.pdf())] or len(everything_in(store)) == 1


def test_the_same_form_sent_twice_is_answered_once(at, store):
    request, officer, key = acts.draft("I1", "100.00"), at(CLERK), str(uuid.uuid4())
    address, png = f"/payments/{request.pk}/attachments/", files.picture()
    for _ in range(2):
        body = {"file": SimpleUploadedFile("a.png", png)}
        assert officer.post_json(address, body, action_id=key)[0] == 200
    assert officer.post_json(address, {"file": SimpleUploadedFile("b.png", png)}, action_id=key)[0] == 409
    assert request.attachments.count() == 1 and len(everything_in(store)) == 1


def test_the_same_content_with_two_requests_is_stored_once_and_told(at, store):
    one, other = acts.draft("I1", "100.00"), acts.draft("I1", "200.00")
    officer, png = at(CLERK), files.picture()
    upload(officer, one, ("发票.png", png))
    upload(officer, other, ("同一张.png", png))
    page = officer.get(f"/payments/{other.pk}/").content.decode()
    assert "同一文件还用于" not in page  # a draft uses nothing yet
    acts.submit(one).raise_if_refused()
    page = officer.get(f"/payments/{other.pk}/").content.decode()
    assert "同一文件还用于" in page and one.request_no in page
    assert StoredFile.objects.count() == 1 and Attachment.objects.count() == 2
    acts.submit(other).raise_if_refused()
    pane = at("u101001-fh").get(f"/review/?sel={other.pk}").content.decode()
    assert "同一文件还用于" in pane and f"/payments/{one.pk}/" in pane


def test_a_clerk_is_told_of_another_units_request_without_seeing_which(at, store):
    other = acts.draft("I5", "100.00")
    upload(at("u205001-jb"), other, ("发票.png", files.picture()))
    acts.submit(other).raise_if_refused()
    mine = acts.draft("I1", "100.00")
    upload(at(CLERK), mine, ("发票.png", files.picture()))
    page = at(CLERK).get(f"/payments/{mine.pk}/").content.decode()
    assert "其他单位的单据 1 份" in page and other.request_no not in page and str(other.pk) not in page


def test_a_removed_file_leaves_the_request_and_its_digest_but_not_the_store(at, store):
    request, officer = acts.draft("I1", "100.00"), at(CLERK)
    upload(officer, request, ("a.png", files.picture()))
    kept = request.attachments.get()
    assert at("u205001-jb").post(f"/payments/{request.pk}/attachments/{kept.pk}/remove/", {}).status_code == 404
    assert officer.post(f"/payments/{request.pk}/attachments/{kept.pk}/remove/", {}).status_code == 303
    assert request.attachments.count() == 0 and len(everything_in(store)) == 1
    assert officer.post(f"/payments/{request.pk}/attachments/{kept.pk}/remove/", {}).status_code == 404


# Refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("发票.pdf", b"MZ\x90\x00" + b"\0" * 512, "扩展名是 pdf，内容却不是"),
        ("炸弹.xlsx", files.xlsx(bomb=b"0" * 8_000_000), "疑为压缩炸弹"),
        ("越界.ofd", files.ofd(**{"../../etc/cron.d/x": b"x"}), "带有路径"),
        ("脚本.html", b"<html></html>", "不是可以保存的类型"),
    ],
)
def test_a_dangerous_file_is_refused_with_the_reason_and_nothing_stays(at, store, name, content, reason):
    request = acts.draft("I1", "100.00")
    response = upload(at(CLERK), request, (name, content))
    assert response.status_code == 422 and reason in response.content.decode() and name in response.content.decode()
    assert nothing_kept(store)


def test_a_file_one_byte_too_large_is_not_even_written_to_its_end(at, store, settings):
    png = files.picture()
    settings.GUOKU_UPLOAD_FILE_BYTES = len(png)
    request = acts.draft("I1", "100.00")
    status, answer = upload_json(at(CLERK), request, ("大.png", png + b"\0"))
    assert (status, answer["refused"][0]["message"]) == (422, "「大.png」超过 0 MB，未保存。")
    assert nothing_kept(store)
    assert upload(at(CLERK), request, ("刚好.png", png)).status_code == 303


class Untouched(FakePayload):
    """The body of a request that nobody may read."""

    def read(self, *args, **kwargs):
        raise AssertionError("the body was read")


def test_200_megabytes_are_refused_by_their_length_before_one_byte_is_read(at, store):
    request = acts.draft("I1", "100.00")
    for path, client in (
        (f"/payments/{request.pk}/attachments/", at(CLERK).client),
        (phone_address(at(CLERK), request), Client()),
    ):
        response = client.generic(
            "POST",
            path,
            content_type="multipart/form-data; boundary=x",
            CONTENT_LENGTH=str(200 * 1024 * 1024),
            **{"wsgi.input": Untouched()},
        )
        assert response.status_code == 413
        assert "一次最多 60 MB，单个文件 20 MB；都没有保存。" in response.content.decode()
    assert nothing_kept(store)


def test_a_form_without_its_token_stores_nothing(at, store):
    request = acts.draft("I1", "100.00")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(at(CLERK).user)
    body = {"file": SimpleUploadedFile("a.png", files.picture()), "action_id": str(uuid.uuid4())}
    assert strict.post(f"/payments/{request.pk}/attachments/", body).status_code == 403
    assert nothing_kept(store)


def test_only_the_own_unit_attaches_and_only_while_the_request_is_the_clerks(at, store):
    request = acts.draft("I1", "1.00")
    png = ("a.png", files.picture())
    assert upload(at("u205001-jb"), request, png).status_code == 404
    assert upload(at("u101001-fh"), request, png).status_code == 403
    acts.submit(request).raise_if_refused()
    assert upload(at(CLERK), request, png).status_code == 409
    assert nothing_kept(store)


def test_a_request_takes_so_many_files_and_not_one_more(at, store, settings):
    settings.GUOKU_UPLOAD_FILES = 2
    request, officer = acts.draft("I1", "1.00"), at(CLERK)
    colours = [("a.png", files.picture(colour=colour)) for colour in ("red", "green", "blue")]
    assert upload(officer, request, *colours).status_code == 409
    assert nothing_kept(store)
    assert upload(officer, request, *colours[:2]).status_code == 303
    assert upload(officer, request, colours[2]).status_code == 409
    assert upload(officer, request, colours[0]).status_code == 303  # it is there already
    assert request.attachments.count() == 2


# Interrupted --------------------------------------------------------------------------------------------------------


def arrived(store: FileStore, content: bytes, name: str = "a.png") -> Received:
    descriptor, path = store.incoming()
    os.write(descriptor, content)
    os.close(descriptor)
    return Received(path, name, len(content), sm3_hex(content))


def attach(store, request, *received):
    return attaching.attach_files(
        request_id=request.id, files=received, store=store, clerk=world.officer(CLERK), now=NOW
    )


def test_a_refusal_by_the_database_leaves_no_file(city, store, monkeypatch):
    request = acts.draft("I1", "1.00")

    def failing(*args, **kwargs):
        raise RuntimeError("the connection was lost")

    monkeypatch.setattr(attaching, "note_files", failing)
    with pytest.raises(RuntimeError):
        attach(store, request, arrived(store, files.picture()))
    assert nothing_kept(store)


def aged(store: FileStore) -> None:
    for path in (store.root / "incoming").iterdir():
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 4000))


def test_what_a_dead_process_left_is_finished_if_committed_and_else_thrown_away(city, store, monkeypatch):
    request, png, half = acts.draft("I1", "1.00"), files.picture(), files.picture(colour="red")

    def dying(self: FileStore, ready: Path, digest: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "place", dying)
        with pytest.raises(KeyboardInterrupt):  # after the commit
            attach(store, request, arrived(store, png))
    never_noted = arrived(store, half)
    store.make_ready(never_noted)
    arrived(store, b"half a file")
    assert not store.exists(sm3_hex(png)) and sm3_hex(png) in store.waiting()

    settle()  # too fresh: the requests might still run
    assert len(everything_in(store)) == 3
    aged(store)
    settle()

    assert everything_in(store) == [sm3_hex(png)] and store.path(sm3_hex(png)).read_bytes() == png
    assert known_digests([sm3_hex(png), sm3_hex(half)]) == {sm3_hex(png)}


def test_lost_bytes_are_a_refusal_in_words(at, store):
    request, officer = acts.draft("I1", "1.00"), at(CLERK)
    upload(officer, request, ("a.png", files.picture()))
    kept = request.attachments.get()
    store.path(kept.digest).unlink()
    for address in ("", "pages/1/"):
        assert officer.get(f"/payments/{request.pk}/attachments/{kept.pk}/{address}").status_code == 404


def test_sm3_in_pieces_is_sm3():
    digest = Sm3()
    digest.update(b"a")
    digest.update(b"bc")
    assert digest.hexdigest() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


# Pictures of pages --------------------------------------------------------------------------------------------------


def test_pages_are_drawn_anew_kept_by_digest_and_page_and_limited(at, store):
    request, officer = acts.draft("I1", "1.00"), at(CLERK)
    upload(officer, request, ("a.pdf", files.pdf(2)), ("b.png", files.picture(size=(3200, 100))), ("c.xml", files.XML))
    pdf, png, xml = request.attachments.order_by("file_name")
    address = f"/payments/{request.pk}/attachments/"
    answer = officer.get(f"{address}{pdf.pk}/pages/2/")
    assert answer["content-type"] == "image/webp"
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, max(image.size)) == ("WEBP", 1600)
    wide = Image.open(io.BytesIO(officer.get(f"{address}{png.pk}/pages/1/").content))
    assert wide.size == (1600, 50)
    kept = sorted(path.name for path in (store.root / "previews").iterdir())
    assert kept == sorted([f"{pdf.digest}-2.webp", f"{png.digest}-1.webp"])
    assert officer.get(f"{address}{pdf.pk}/pages/2/").content == answer.content
    for missing in (f"{pdf.pk}/pages/0/", f"{pdf.pk}/pages/3/", f"{xml.pk}/pages/1/", f"{pdf.pk}/pages/99999999999/"):
        assert officer.get(address + missing).status_code == 404


def test_a_picture_is_turned_as_its_camera_says_and_told_nothing_else(at, store):
    request, officer = acts.draft("I1", "1.00"), at(CLERK)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # turned by 90°
    written = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(written, "JPEG", exif=exif)
    upload(officer, request, ("a.jpg", written.getvalue()))
    kept = request.attachments.get()
    drawn = Image.open(io.BytesIO(officer.get(f"/payments/{request.pk}/attachments/{kept.pk}/pages/1/").content))
    assert drawn.size == (30, 40) and not drawn.getexif()
    assert store.path(kept.digest).read_bytes() == written.getvalue()


# What reviewers approve ---------------------------------------------------------------------------------------------


def test_the_files_are_part_of_what_is_approved(at, store):
    bare, full = acts.draft("I1", "1.00"), acts.draft("I1", "1.00")
    upload(at(CLERK), full, ("a.png", files.picture()))
    acts.submit(bare, full).raise_if_refused()
    assert acts.fresh(bare)[0].content_digest != acts.fresh(full)[0].content_digest
    with pytest.raises(TreasuryError):
        attach(store, full, arrived(store, files.picture(colour="red")))


# A phone ------------------------------------------------------------------------------------------------------------


def phone_address(officer, request) -> str:
    page = officer.client.post(f"/payments/{request.pk}/attachments/phone/", {})
    assert page.status_code == 200, page.content.decode()
    return page.context["address"].removeprefix("http://testserver")


def shot(phone: Client, address: str, colour: str = "red", **extra):
    return phone.post(address, {"file": SimpleUploadedFile("IMG.JPG", files.picture("JPEG", colour=colour))}, **extra)


def test_a_phone_adds_files_in_the_name_of_the_officer_and_the_desk_sees_them(at, store):
    request, officer, phone = acts.draft("I1", "1.00"), at(CLERK), Client()
    address = phone_address(officer, request)
    assert request.request_no in phone.get(address).content.decode()
    answer = shot(phone, address)
    assert answer.status_code == 200 and "已收到 1 个文件" in answer.content.decode()
    cookie = answer.cookies["guoku_phone"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (address, True, "Strict")
    assert shot(phone, address, "blue").status_code == 200
    listed = officer.get(f"/payments/{request.pk}/attachments/list/?phone=1")
    assert listed.status_code == 200 and listed.content.decode().count("IMG.JPG</a>") == 2
    kept = request.attachments.order_by("added_at").first()
    assert kept.added_by == world.officer(CLERK).name
    assert "sessionid" not in phone.cookies
    bad = phone.post(address, {"file": SimpleUploadedFile("x.jpg", b"MZ")})
    assert bad.status_code == 422 and "「x.jpg」" in bad.content.decode()
    assert phone.post(address, {}).status_code == 422


def test_the_first_phone_is_the_only_one(at, store):
    request, officer = acts.draft("I1", "1.00"), at(CLERK)
    address, first, second = phone_address(officer, request), Client(), Client()
    assert second.get(address).status_code == 200  # looking takes nothing
    shot(first, address)
    for answer in (second.get(address), shot(second, address, "blue")):
        assert answer.status_code == 404 and "已被另一台手机使用" in answer.content.decode()
        assert request.request_no not in answer.content.decode()
    assert request.attachments.count() == 1
    assert len(everything_in(store)) == 1


def test_a_phone_page_is_over_when_time_is_up_closed_renewed_or_submitted(at, store, settings):
    request, officer, phone = acts.draft("I1", "1.00"), at(CLERK), Client()
    settings.GUOKU_PHONE_MINUTES = 0
    assert phone.get(phone_address(officer, request)).status_code == 404
    settings.GUOKU_PHONE_MINUTES = 10
    first = phone_address(officer, request)
    second = phone_address(officer, request)
    assert phone.get(first).status_code == 404 and phone.get(second).status_code == 200
    officer.client.post(f"/payments/{request.pk}/attachments/phone/close/", {})
    assert phone.get(second).status_code == 404
    assert officer.get(f"/payments/{request.pk}/attachments/list/?phone=1").status_code == 286
    third = phone_address(officer, request)
    acts.submit(request).raise_if_refused()
    assert shot(phone, third).status_code == 409
    assert officer.client.post(f"/payments/{request.pk}/attachments/phone/", {}).status_code == 409
    assert phone.get("/phone/nonsense/").status_code == 404
    assert nothing_kept(store)


def test_a_phone_can_no_more_than_its_officer_now(at, store):
    request, officer, phone = acts.draft("I1", "1.00"), at(CLERK), Client()
    address = phone_address(officer, request)
    officer.user.posts.update(valid_to="2026-06-01")
    assert shot(phone, address).status_code == 403  # the post has ended meanwhile
    officer.user.is_active = False
    officer.user.save()
    assert shot(phone, address).status_code == 404
    assert nothing_kept(store)


def test_the_form_of_a_phone_wants_its_token_too(at, store):
    address = phone_address(at(CLERK), acts.draft("I1", "1.00"))
    assert shot(Client(enforce_csrf_checks=True), address).status_code == 403
    assert nothing_kept(store)


def test_phones_may_not_ask_without_end(at, store, settings):
    settings.GUOKU_PHONE_RATE = "3/min"
    address = phone_address(at(CLERK), acts.draft("I1", "1.00"))
    phone = Client(REMOTE_ADDR="10.9.9.9")
    assert [phone.get(address).status_code for _ in range(4)] == [200, 200, 200, 429]
