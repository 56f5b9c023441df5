"""``explain_limit``: shows which policies apply to a client on an endpoint, why, and the state of their
limits."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand

from limits.domain.descriptions import limit_sentence
from limits.domain.typed_attributes import InvalidAttributes, typed_attributes
from limits.management.output import SAVED_NOT_LIVE, reject
from ratelimit_enforcer.domain.decision import LimitState
from ratelimit_enforcer.domain.enums import Algorithm, Reason
from ratelimit_enforcer.engine import CheckRequest, RulesetMissing, get_engine
from ratelimit_enforcer.engine.explanation import Explanation, PolicyExplanation, explain

_ANSWERS = {
    None: "A request now would be admitted.",
    Reason.LIMIT: "A request now would be denied.",
    Reason.COST_EXCEEDS_QUOTA: "A request costs more than a limit can ever admit.",
    Reason.BLOCKED: "The client is blocked: every request is denied, regardless of limits.",
    Reason.EXEMPT: "The client is exempt: every request is admitted, regardless of limits.",
}


class Command(BaseCommand):
    help = "Prints which policies apply to a client on an endpoint, why, and the current state of the counters."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="the client's key")
        parser.add_argument("endpoint", help='a slug, or "METHOD /path"')
        parser.add_argument(
            "--attribute",
            dest="attributes",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="an attribute of the check, such as ip=192.0.2.7; may be repeated",
        )

    def handle(self, *, client: str, endpoint: str, attributes: Sequence[str], **_: Any) -> None:
        try:
            request = _request(client, endpoint)._replace(attributes=typed_attributes(attributes))
            explanation = explain(get_engine(), request)
        except (InvalidAttributes, RulesetMissing) as error:
            reject(self.stderr, str(error))
        else:
            self._print(explanation)

    def _print(self, explanation: Explanation) -> None:
        if explanation.decision.degraded:
            self.stderr.write("Redis is unavailable, or does not have all rules and clients yet.")
            raise SystemExit(SAVED_NOT_LIVE)
        for line in _lines(explanation):
            self.stdout.write(line)


def _request(client: str, endpoint: str) -> CheckRequest:
    method, space, path = endpoint.partition(" ")
    return CheckRequest(client, method=method, path=path.strip()) if space else CheckRequest(client, endpoint)


def _lines(explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    endpoint = f"endpoint {decision.endpoint}" if decision.endpoint else "unregistered endpoint"
    yield f"Client {decision.client}, {explanation.plan}, {endpoint}."
    yield from explanation.ancestors
    change = f" with change set “{decision.change}”" if decision.change else ""
    yield f"Version {decision.ruleset}{change}. {explanation.blocked_by or _ANSWERS[decision.reason]}"
    for policy in explanation.policies:
        yield ""
        yield from _policy_lines(policy)


def _policy_lines(explanation: PolicyExplanation) -> Iterator[str]:
    yield f"{'applies' if explanation.applies else 'does not apply'}: {explanation.policy.slug}. {explanation.why}"
    for state in explanation.limits:
        yield f"  {state.name}: {limit_sentence(state.limit)}; {_state_in_words(state)}"


def _state_in_words(state: LimitState) -> str:
    standing = f"{state.remaining:,} of {state.limit.capacity:,} left"
    if state.granted:
        standing += f" with {state.granted:,} of grants"
    if state.over_quota:
        standing += f", {state.over_quota:,} over quota"
    if state.next_capacity_after is not None and state.limit.algorithm is Algorithm.CONCURRENCY:
        standing += f", more as requests end, all available within {state.reset_after:.1f} s"
    elif state.next_capacity_after is not None:
        standing += f", more in {state.next_capacity_after:.1f} s, all available in {state.reset_after:.1f} s"
    if not state.allowed:
        standing += ", denies" if state.is_enforced else ", would deny"
    return standing + "."
