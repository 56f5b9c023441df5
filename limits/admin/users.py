"""Users, in the same theme as the other pages."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from limits.admin.base import HasIntroduction, PlatformModelAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(HasIntroduction, BaseUserAdmin, PlatformModelAdmin):  # type: ignore[misc]
    introduction = (
        "Accounts for this admin. To give access, tick “Staff status” and choose a group: Product managers, Support, "
        "Viewers or Operators."
        + (" Who signs in by a provider has the groups of there, renewed at each sign-in." if settings.SIGN_IN else "")
    )
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, PlatformModelAdmin):  # type: ignore[misc]
    pass
