"""Ending grants: one that was used stays, with its ledger, and ends early; an unused one is removed."""

from django.db import transaction
from django.utils import timezone

from limits.models import Client, Grant
from limits.models.trees import keys_of_ancestors
from limits.store.client import control_client
from limits.store.grants import GrantWriter
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys, shard_of


def is_used(grant: Grant) -> bool:
    """Whether anything was consumed of a grant, drained or not; also if the store cannot tell."""
    if grant.figures.consumed:
        return True
    ancestors = keys_of_ancestors(Client.objects.filter(pk=grant.client_id)).get(grant.client_id, ())
    key = grant.client.key
    try:
        writer = GrantWriter(control_client(), Keys(setting("NAMESPACE")))
        return writer.consumed(shard_of((ancestors or (key,))[-1]), key, grant.pk) > 0
    except StoreError:
        return grant.state() != "scheduled"


@transaction.atomic
def end(grant: Grant) -> bool:
    """Ends a grant now, or removes it if nothing was used of it. Returns whether it is still there. The change is to be
    delivered after the commit."""
    row = Grant.objects.select_for_update(of=("self",)).select_related("client").get(pk=grant.pk)
    if not is_used(row):
        row.delete()
        return False
    now = timezone.now()
    if row.ends_at > now:
        row.ends_at = now
        row.save()
    grant.ends_at = row.ends_at
    return True
