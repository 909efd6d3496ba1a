"""`manage.py check` says at the start, and clearly, when this machine cannot sign."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from seals.errors import SuiteUnavailable
from seals.suites import SUITE_IDS, get_suite


@register()
def suites_work(**_options: Any) -> list[CheckMessage]:
    """Load and self-test every suite."""
    findings: list[CheckMessage] = []
    for suite_id in SUITE_IDS:
        try:
            get_suite(suite_id)
        except SuiteUnavailable as error:
            findings.append(Error(error.message, id="seals.E001", obj=suite_id))
    return findings
