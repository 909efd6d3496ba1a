"""The administrator changes a rule: a new version; alerts cannot be edited."""

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth import get_user_model
from django.test import Client

from monitoring import services
from monitoring.models import Alert, MonitoringRule

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser():
    services.seed_rules(adm_div_code="990100000")
    user = get_user_model().objects.create_superuser("admin", password="x")
    client = Client()
    client.force_login(user)
    return client


def form(rule, **changes):
    return {
        "adm_div_code": rule.adm_div_code,
        "code": rule.code,
        "severity": rule.severity,
        "action": rule.action,
        "parameters": '{"amount_from": "500000.00"}',
        "enabled": "on",
        "valid_from": "",
        "valid_to": "",
        **changes,
    }


def test_changed_parameters_make_a_new_version_and_switching_off_does_not(browser):
    rule = MonitoringRule.objects.get(code="M01")
    url = f"/admin/monitoring/monitoringrule/{rule.pk}/change/"

    changed = browser.post(url, form(rule, parameters='{"amount_from": "300000.00"}'))
    rule.refresh_from_db()
    assert (changed.status_code, rule.version, rule.parameters) == (302, 2, {"amount_from": "300000.00"})

    switched_off = form(rule, parameters='{"amount_from": "300000.00"}')
    del switched_off["enabled"]
    browser.post(url, switched_off)
    rule.refresh_from_db()
    assert (rule.version, rule.enabled) == (2, False)


def test_bad_parameters_are_shown_on_the_form(browser):
    rule = MonitoringRule.objects.get(code="M01")

    answer = browser.post(
        f"/admin/monitoring/monitoringrule/{rule.pk}/change/", form(rule, parameters='{"amount_from": "lots"}')
    )

    assert answer.status_code == 200
    assert "格式不对" in answer.content.decode()


def test_alerts_cannot_be_added_changed_or_deleted(browser, rf):
    page = site._registry[Alert]

    assert not page.has_add_permission(rf.get("/"))
    assert not page.has_change_permission(rf.get("/"))
    assert not page.has_delete_permission(rf.get("/"))
