"""The procurement platform's door (政采云): bring a contract, note an acceptance, ask how a contract stands.

Signed, limited and answered as for the banks (vouchers.partner_views); only partners of the kind `purchasing` come in.
"""

import re
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from contracts import openapi, serializers
from contracts.locking import STANDING
from contracts.models import Contract
from contracts.rules import AccountInput, ContractInput, TermInput
from contracts.selectors import executions
from contracts.services import put_acceptance, put_contract
from contracts.states import PLATFORM
from core.actors import Actor
from core.calendar import peek_day
from core.errors import NotFound, TreasuryError, ValidationFailed
from core.idempotency import Answer
from core.money import wire_yuan
from vouchers.models import ExchangePartner
from vouchers.partner_views import PartnerView, query_of, valid

_ROW = re.compile(r"\.([0-9]+)(?=\.|$)")


class PlatformView(PartnerView):
    partner_kinds = frozenset({PLATFORM})

    def write(self, request: Request, act: Callable[[Actor], Contract]) -> Response:
        """Let the platform write, once for a key, and answer how the contract stands then."""
        partner: ExchangePartner = request.user.partner
        platform = Actor(name=partner.name, roles=frozenset({PLATFORM}), adm_div_code=partner.adm_div_code)

        def once() -> Answer:
            try:
                contract = act(platform)
            except TreasuryError as error:
                raise _pointed(error) from error
            return Answer(200, _body(contract))

        return self.once(request, once)


class Contracts(PlatformView):
    @openapi.PUT_CONTRACT
    def post(self, request: Request) -> Response:
        body = valid(serializers.ContractBody, request.data)
        unit_code, given = body.pop("unit_code"), _input(body)
        source = request.user.partner.organisation
        return self.write(
            request,
            lambda by: put_contract(unit_code=unit_code, given=given, platform=by, source=source, now=timezone.now()),
        )


class Acceptances(PlatformView):
    @openapi.PUT_ACCEPTANCE
    def post(self, request: Request) -> Response:
        body = valid(serializers.AcceptanceBody, request.data)
        source = request.user.partner.organisation
        return self.write(
            request, lambda by: put_acceptance(**body, platform=by, source=source, now=timezone.now()).contract
        )


class Execution(PlatformView):
    @openapi.EXECUTION
    def get(self, request: Request) -> Response:
        name = valid(serializers.ContractName, query_of(request))
        partner: ExchangePartner = request.user.partner
        contract = (
            Contract.objects.select_related("unit", "project")
            .filter(STANDING, adm_div_code=partner.adm_div_code, source=partner.organisation)
            .filter(unit__code=name["unit_code"], contract_no=name["contract_no"])
            .first()
        )
        if contract is None:
            raise NotFound("没有该平台登记的这份合同。", field="contract_no")
        return Response(_body(contract))


def _input(body: dict[str, Any]) -> ContractInput:
    return ContractInput(
        **{name: body[name] for name in body if name not in ("accounts", "terms", "allocations")},
        accounts=tuple(AccountInput(**account) for account in body["accounts"]),
        terms=tuple(TermInput(**term) for term in body["terms"]),
        allocations=tuple((share["indicator"], share["amount"]) for share in body["allocations"]),
    )


def _body(contract: Contract) -> dict[str, Any]:
    [execution] = executions([Contract.objects.select_related("unit", "project").get(pk=contract.pk)])
    standing, use = execution.standing, execution.use
    day = peek_day(contract.adm_div_code)
    return {
        "unit_code": execution.contract.unit.code,
        "contract_no": execution.contract.contract_no,
        "procurement_id": execution.contract.procurement_id,
        "state": execution.contract.state,
        "total": wire_yuan(standing.total),
        "due": wire_yuan(standing.due(day.date if day else timezone.localdate())),
        "paid": wire_yuan(use.paid),
        "in_transit": wire_yuan(use.in_transit),
        "refunded": wire_yuan(use.refunded),
        "balance": wire_yuan(execution.balance),
        "accepted_amount": wire_yuan(standing.accepted_amount),
        "accepted": standing.accepted,
    }


def _pointed(error: TreasuryError) -> TreasuryError:
    """Let a refusal name the rows of a JSON list, which count from nothing, not those of a form."""
    for finding in error.findings if isinstance(error, ValidationFailed) else [error]:
        if finding.field:
            finding.field = _ROW.sub(lambda match: f".{int(match[1]) - 1}", finding.field)
    return error
