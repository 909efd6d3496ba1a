"""/api/v1/contracts/: the procurement platform."""

from django.urls import path

from contracts import api

urlpatterns = [
    path("contracts/", api.Contracts.as_view(), name="api-contracts"),
    path("contracts/acceptances/", api.Acceptances.as_view(), name="api-contract-acceptances"),
    path("contracts/execution/", api.Execution.as_view(), name="api-contract-execution"),
]
