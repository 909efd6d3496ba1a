"""All addresses: the officers' pages, the banks' API, the administrators' configuration."""

from django.contrib import admin
from django.urls import include, path

from cards.api import CardTransactions
from treasury.health import healthz, healthz_evidence

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("healthz/evidence", healthz_evidence, name="healthz-evidence"),
    path("admin/", admin.site.urls),
    path("api/v1/card-transactions/", CardTransactions.as_view(), name="api-card-transactions"),
    path("api/v1/", include("contracts.urls")),
    path("api/v1/", include("vouchers.urls")),  # answers for every other address below /api/v1/ as well
    path("", include("dashboards.urls")),
]
