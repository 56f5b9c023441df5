"""The emergency switch."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from limits.admin.publishing import PublishesRules
from limits.models import Platform


@admin.register(Platform)
class PlatformAdmin(PublishesRules, ModelAdmin):
    fields = ("shadow_all",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """There is one row, so its page is the list."""
        return HttpResponseRedirect(reverse("admin:limits_platform_change", args=[Platform.load().pk]))
