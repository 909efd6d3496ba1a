"""In the administration rules, changes, alerts and cases are read; only deadlines are set there."""

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth import get_user_model
from django.test import Client

from monitoring import services
from monitoring.models import Alert, Case, CaseTerms, MonitoringRule, RuleChange

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser():
    services.seed_rules(adm_div_code="990100000")
    user = get_user_model().objects.create_superuser("admin", password="x")
    client = Client()
    client.force_login(user)
    return client


def test_a_rule_cannot_be_changed_past_the_second_person(browser):
    rule = MonitoringRule.objects.get(code="M01")

    answer = browser.post(f"/admin/monitoring/monitoringrule/{rule.pk}/change/", {"enabled": "", "code": "M01"})

    rule.refresh_from_db()
    assert (answer.status_code, rule.version, rule.enabled) == (403, 1, True)
    assert browser.get("/admin/monitoring/monitoringrule/").status_code == 200
    assert browser.get("/admin/monitoring/monitoringrule/add/").status_code == 403


def test_the_deadlines_of_a_region_are_set_here(browser):
    fields = {"yellow_days": 5, "orange_days": 3, "red_days": 1, "repeat_times": 4}

    answer = browser.post("/admin/monitoring/caseterms/990100000/change/", fields)

    terms = CaseTerms.objects.get()
    assert (answer.status_code, terms.days("yellow"), terms.days("orange"), terms.days("red")) == (302, 5, 3, 1)


@pytest.mark.parametrize("model", [Alert, Case, RuleChange, MonitoringRule])
def test_what_happened_cannot_be_added_changed_or_deleted(browser, rf, model):
    page = site._registry[model]

    assert not page.has_add_permission(rf.get("/"))
    assert not page.has_change_permission(rf.get("/"))
    assert not page.has_delete_permission(rf.get("/"))
