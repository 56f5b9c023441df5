"""Who signs in through the OpenID Connect provider."""

from django.conf import settings
from django.db import models


class Identity(models.Model):
    """A person at the provider (OpenID Connect Core 1.0, section 2: only ``iss`` and ``sub`` together identify one),
    and the account of that person here. Neither names nor email addresses are compared, because others may have had
    them before."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="identity_unique")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
