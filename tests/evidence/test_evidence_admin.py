"""The log in the admin: everybody allowed may look, nobody may touch."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from evidence import chain, rooting
from evidence.models import Entry, EvidenceRoot, RootTimestamp
from tests.evidence.conftest import NOW, write_facts


@pytest.fixture
def superuser(client, facts, signer):
    write_facts(2)
    chain.sequence()
    rooting.make_roots(now=NOW)
    rooting.set_timestamper(lambda text: b"token")
    rooting.stamp_roots(now=NOW)
    client.force_login(get_user_model().objects.create_superuser("root-of-the-test"))
    return client


@pytest.mark.parametrize("model", [Entry, EvidenceRoot, RootTimestamp])
def test_rows_are_shown_and_nothing_is_offered(superuser, model):
    name = f"admin:evidence_{model._meta.model_name}"
    row = model.objects.first()

    assert superuser.get(reverse(f"{name}_changelist")).status_code == 200
    assert superuser.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
    assert superuser.get(reverse(f"{name}_add")).status_code == 403
    assert superuser.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
    assert superuser.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()
