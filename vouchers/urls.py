"""/api/v1/: the voucher exchange of agent banks and PBoC, and its description."""

from csp.decorators import csp_update
from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from vouchers import api
from vouchers.partner_views import NoSuchAddress

# Swagger UI writes style attributes; scripts stay our own files here as everywhere.
relaxed = csp_update({"style-src": ["'unsafe-inline'"]})

urlpatterns = [
    path("vouchers/", api.Vouchers.as_view(), name="api-vouchers"),
    path("vouchers/confirm/", api.ConfirmVouchers.as_view(), name="api-confirm"),
    path("vouchers/fail/", api.FailVouchers.as_view(), name="api-fail"),
    path("vouchers/return/", api.ReturnVouchers.as_view(), name="api-return"),
    path("vouchers/status/", api.VoucherStatus.as_view(), name="api-status"),
    path("stamp-positions/", api.StampPositions.as_view(), name="api-stamp-positions"),
    path("schema/", SpectacularAPIView.as_view(permission_classes=[AllowAny]), name="api-schema"),
    path(
        "docs/",
        relaxed(SpectacularSwaggerSplitView.as_view(url_name="api-schema", permission_classes=[AllowAny])),
        name="api-docs",
    ),
    re_path("", NoSuchAddress.as_view()),
]
