"""Reservations and their settlements, as written by the drain. Read-only."""

from django.contrib import admin
from django.utils.formats import date_format
from unfold.decorators import display

from limits.admin.usage import CountsAdmin
from limits.models import Settlement, SettlementDay, SettlementHour
from limits.models.settlements import FIGURES

_INTRODUCTION = (
    "Cost of reservations by {period}, client and endpoint. Reserved: consumed before the actual cost was known; the "
    "list Usage keeps this cost. Settled: the actual cost. Refunded: reserved, but not used. Debited: used beyond the "
    "reserved cost, and charges. Overdrawn: debited beyond a quota. A settlement is counted when it happens."
)


@admin.register(Settlement)
class SettlementAdmin(CountsAdmin):
    introduction = _INTRODUCTION.format(period="minute")
    list_display = ("minute", "client_text", "endpoint_text", *FIGURES)


@admin.register(SettlementHour)
class SettlementHourAdmin(CountsAdmin):
    introduction = _INTRODUCTION.format(period="hour")
    list_display = ("hour", "client_text", "endpoint_text", *FIGURES)
    time = "hour"
    sortable_by = (time,)


@admin.register(SettlementDay)
class SettlementDayAdmin(CountsAdmin):
    introduction = _INTRODUCTION.format(period="day")
    list_display = ("date", "client_text", "endpoint_text", *FIGURES)
    time = "day"
    sortable_by = ("date",)

    @display(description="Day (UTC)", ordering="day")
    def date(self, row: SettlementDay) -> str:
        return date_format(row.day, "DATE_FORMAT")
