"""Back to earlier rules: the rows become what they were when a version was published."""

from limits.configfile.apply import prune_rules
from limits.configfile.document import Document
from limits.configfile.rows import write_rules
from limits.domain.ruleset import Ruleset
from limits.models import Policy


def restore(ruleset: Ruleset) -> None:
    """Makes plans, endpoints and policies those of ``ruleset``, inside the caller's transaction.

    Tokens stay as they are, so that a revoked one stays revoked, and so does the emergency switch.
    Raises :class:`~limits.configfile.reading.ConfigRefused` where something that would go is still
    used, such as a plan that clients are on.
    """
    document = Document(
        plans=ruleset.plans,
        default_plan=ruleset.default_plan,
        endpoints=ruleset.endpoints,
        policies=ruleset.policies,
        policy_names=_policy_names(),
    )
    write_rules(document, prune=True)
    prune_rules(document)


def _policy_names() -> dict[str, str]:
    """The names of policies, of those that were deleted too: servers do not know them."""
    were = dict(Policy.history.order_by("history_id").values_list("slug", "name"))
    return were | dict(Policy.objects.values_list("slug", "name"))
