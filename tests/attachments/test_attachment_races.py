"""Threads on a real database: one phone, one stored content, one user of an invoice."""

from django.test import Client

from attachments.models import StoredFile
from core.digests import sm3_hex
from tests import acts
from tests.attachments import files
from tests.attachments.test_invoices import NUMBER, draft, invoice
from tests.attachments.test_uploading import CLERK, everything_in, phone_address, shot, upload


def test_two_phones_at_one_moment_one_wins(real_at, store):
    request = acts.draft("I1", "1.00")
    address = phone_address(real_at(CLERK), request)
    answers = acts.together(*[lambda c=c: shot(Client(), address, c).status_code for c in ("red", "green", "blue")])
    assert sorted(answers) == [200, 404, 404]
    assert request.attachments.count() == 1 and len(everything_in(store)) == 1


def test_one_content_uploaded_at_one_moment_is_kept_once(real_at, store):
    requests = [acts.draft("I1", "1.00") for _ in range(4)]
    png = files.picture()
    answers = acts.together(*[lambda r=r: upload(real_at(CLERK), r, ("a.png", png)).status_code for r in requests])
    assert answers == [303] * 4
    assert everything_in(store) == [sm3_hex(png)] and StoredFile.objects.count() == 1


def test_of_submits_with_one_invoice_at_one_moment_one_wins(real_city):
    requests = [draft(invoice(), invoice(NUMBER), amount="1.00") for _ in range(6)]
    answers = acts.together(*[lambda r=r: acts.submit(r) for r in requests])
    accepted = [r.request_no for answer in answers for r in answer.accepted]
    refused = [error for answer in answers for error in answer.refused.values()]
    assert len(accepted) == 1 and len(refused) == 5
    assert {e.facts["used_by"] for error in refused for e in error.findings} == set(accepted)
    assert acts.books("I1")["reserved"] == "1.00"


def test_invoices_named_in_the_other_order_wait_for_each_other_and_do_not_lock_up(real_city):
    pairs = [(invoice(), invoice(NUMBER)), (invoice(NUMBER), invoice())] * 3
    answers = acts.together(*[lambda p=p: draft(*p, amount="1.00") for p in pairs])
    assert [answer.state for answer in answers] == ["draft"] * 6
    answers = acts.together(*[lambda r=r: acts.submit(r) for r in answers])
    assert sum(len(answer.accepted) for answer in answers) == 1
