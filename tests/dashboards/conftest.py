import json
import uuid
from typing import Any

import pytest
from django.test import Client

from parties.models import User


class Officer:
    """A log-in at a browser: posts forms with an action id, asks for JSON where told to."""

    def __init__(self, username: str) -> None:
        self.user = User.objects.get(username=username)
        self.client = Client()
        self.client.force_login(self.user)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=headers)

    def post(self, path: str, fields: dict[str, Any], *, action_id: str = "") -> Any:
        return self.client.post(path, {**fields, "action_id": action_id or str(uuid.uuid4())})

    def post_json(self, path: str, fields: dict[str, Any], *, action_id: str = "") -> tuple[int, dict[str, Any]]:
        form = {**fields, "action_id": action_id or str(uuid.uuid4())}
        response = self.client.post(path, form, headers={"accept": "application/json"})
        return response.status_code, json.loads(response.content)


@pytest.fixture
def at(city):
    """Return the officer at a log-in of the demo city."""
    return Officer


@pytest.fixture
def real_at(real_city):
    """The same on committed rows, for services that end the transaction they are refused in."""
    return Officer
