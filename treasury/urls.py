"""All addresses: the officers' pages, the banks' API, the administrators' configuration."""

from django.contrib import admin
from django.urls import include, path

from treasury.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("vouchers.urls")),
    path("", include("dashboards.urls")),
]
