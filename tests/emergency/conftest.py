import os
from datetime import date

import pytest

from attachments.store import FileStore, Received
from core.digests import sm3_hex
from demo import world
from emergency import services
from payments.on_paper import PaperLine
from tests import acts
from tests.attachments import files
from tests.attachments.conftest import store  # noqa: F401  (a fixture)
from tests.bank import Partner
from tests.conftest import NOW
from tests.dashboards.conftest import at, real_at  # noqa: F401  (fixtures)
from tests.standing import settle, standing_city  # noqa: F401  (a fixture)

PARTIES = ("reconciler", "voucher_maker")


@pytest.fixture
def city(standing_city, db, pki, settings):  # noqa: F811
    return settle(pki, settings)


@pytest.fixture
def bank_a(pki):
    return Partner(pki, world.BANK_A)


def declared(now=NOW, **changes):
    values = {"reason": "银行专线中断", "hours": 4, "parties": PARTIES} | changes
    given = services.WindowInput(**values)
    return services.declare_window(given=given, by=world.officer("gk-kz"), now=now)


def opened(now=NOW, **changes):
    window = declared(now, **changes)
    return services.decide_window(window_id=window.id, confirm=True, by=world.officer("gk-yz"), now=now)


def approved(no="I1", *amounts):
    request = acts.draft(no, *(amounts or ("100.00",)))
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    return acts.fresh(request)[0]


def maker_of(request):
    return world.officer("gk-zd" if request.payment_mode == "11" else f"u{request.unit.code}-jb")


def print_out(window, *requests, now=NOW):
    maker = maker_of(requests[0])
    return services.print_on_paper(window_id=window.id, request_ids=acts.ids(requests), maker=maker, now=now)


def printed(window, no="I1", *amounts):
    request = approved(no, *amounts)
    print_out(window, request).raise_if_refused()
    return acts.fresh(request)[0]


def scan(store: FileStore, colour="white") -> Received:  # noqa: F811
    content = files.picture("JPEG", (60, 80), colour)
    descriptor, path = store.incoming()
    os.write(descriptor, content)
    os.close(descriptor)
    return Received(path, "回单.jpg", len(content), sm3_hex(content))


def enter(store, request, *, failed=(), who="gk-dz", now=NOW, **changes):  # noqa: F811
    lines = tuple(
        PaperLine(seq, seq not in failed, "账号不符" if seq in failed else "")
        for seq in request.details.values_list("seq", flat=True)
    )
    values = {"paid_on": date(2026, 6, 15), "bank_serial": "ZZ0001", "lines": lines} | changes
    return services.enter_answer(
        paper_id=request.paper.id,
        given=services.AnswerInput(**values),
        scan=scan(store),
        store=store,
        by=world.officer(who),
        now=now,
    )


def decide(request, *, confirm=True, who="gk-kz", reason="", now=NOW):
    return services.decide_answer(
        paper_id=request.paper.id, confirm=confirm, reason=reason, by=world.officer(who), now=now
    )
