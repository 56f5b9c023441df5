"""A ruleset with everything that can be computed before checks arrive."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ratelimit_enforcer.domain.attributes import IP, NO_ATTRIBUTES, Match
from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.decision import CheckRequest
from ratelimit_enforcer.domain.enums import ClientStatus, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Router
from ratelimit_enforcer.domain.rules import Endpoint, domains_of
from ratelimit_enforcer.domain.ruleset import Ruleset, Version
from ratelimit_enforcer.domain.selection import Selection, matching, plan_of, select, select_all, status_of
from ratelimit_enforcer.domain.variants import Variant, timeline
from ratelimit_enforcer.engine.layouts import MAX_POLICIES_PER_CALL, Layout
from ratelimit_enforcer.per_process import cached_property
from ratelimit_enforcer.store.scripts.packing import MAX_VALUES

LayoutKey = tuple[ClientStatus, str | None, str | None, tuple[int, ...], int, int]
"""Status, plan, endpoint, the overrides of segments that include the client, the conditions that match, and the end
of the blocks that match."""

MAX_LAYOUTS = 10_000
"""Beyond this number all layouts are dropped, and computed again when they are needed."""

MAX_ROOTS = 100_000
"""Beyond this number of roots, all are dropped from the cache of those that are in the share."""

UNBLOCKED = 0
"""The end of the blocks of a check that none matches."""

TreeLayoutKey = tuple[LayoutKey, ...]
"""The same for a client and each of its ancestors."""


class PreparedRuleset:
    """A ruleset with everything that can be computed before checks arrive."""

    def __init__(
        self,
        version: Version,
        ruleset: Ruleset,
        max_values: int = MAX_VALUES,
        *,
        change: str | None = None,
        edges: Sequence[int] = (),
    ) -> None:
        """``max_values``: see :data:`~ratelimit_enforcer.store.scripts.packing.MAX_VALUES`. ``change``: the change set
        that decides; ``edges``: when these rules begin and end to apply (microseconds since 1970)."""
        self._max_values = max_values
        self.change = change
        self._edges = edges
        self._share = ruleset.share
        self._in_share: dict[str, bool] = {}
        """The key of a root → whether it is in the share."""
        self._timelines = self._prepared_timelines(version, ruleset) if ruleset.variants else None
        self.version = version
        self.ruleset = ruleset
        self.token = str(version)
        self._segments = ruleset.overrides_by_segment
        self._blocks = ruleset.blocks_by_subject
        self._has_blocks = bool(self._blocks)
        self._endpoints = {endpoint.slug: endpoint for endpoint in ruleset.endpoints}
        self._domain_routers: dict[str, Router] = {}
        self._layouts: dict[LayoutKey | TreeLayoutKey, Layout] = {}
        self._layouts_without_places: dict[LayoutKey | TreeLayoutKey, Layout] = {}
        self._matches: dict[tuple[str | None, str | None], tuple[Match, ...]] = {}
        self._has_conditions = any(policy.match for policy in ruleset.policies)

    def _prepared_timelines(
        self, version: Version, ruleset: Ruleset
    ) -> Mapping[bool, Sequence[tuple[int, "PreparedRuleset"]]]:
        """Whether a client is in the share → when rules begin to apply, and the rules, the last ones first."""
        base = Variant(ruleset, "")
        return {
            shared: list(self._prepared(version, ruleset, [base, *timeline(ruleset.variants, shared=shared)]))
            for shared in (False, True)
        }

    def _prepared(
        self, version: Version, ruleset: Ruleset, variants: Sequence[Variant]
    ) -> Iterator[tuple[int, "PreparedRuleset"]]:
        until: tuple[int, ...] = ()
        for variant in reversed(variants):
            begins = () if variant.starts_at is None else (variant.starts_at,)
            rules, change = ruleset.with_rules(variant.rules), variant.change or None
            yield (
                variant.starts_at or 0,
                PreparedRuleset(version, rules, self._max_values, change=change, edges=(*begins, *until)),
            )
            until = begins

    def rules_for(self, root: ClientRecord, now: int) -> "PreparedRuleset":
        """Those that apply to a root and its descendants at ``now`` (microseconds since 1970)."""
        if self._timelines is None:
            return self
        for begins, rules in self._timelines[self._is_in_share(root)]:
            if begins <= now:
                return rules
        return self

    def _is_in_share(self, root: ClientRecord) -> bool:
        share, found = self._share, self._in_share.get(root.key)
        if share is None or share.tag:
            return share is not None and share.includes(root)
        if found is None:
            if len(self._in_share) >= MAX_ROOTS:
                self._in_share.clear()
            found = self._in_share[root.key] = share.includes(root)
        return found

    @cached_property
    def _router(self) -> Router:
        return _router(self.ruleset.endpoints)

    @cached_property
    def _domains(self) -> dict[str, dict[str, Endpoint]]:
        """Domain → slug → endpoint."""
        domains: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self.ruleset.endpoints:
            for domain in domains_of(endpoint.slug):
                domains.setdefault(domain, {})[endpoint.slug] = endpoint
        return domains

    def endpoint_of(self, request: CheckRequest) -> Endpoint | None:
        """The endpoint that a request names or matches; None if it is not registered."""
        if request.domain:
            return self._endpoint_in_domain(request)
        slug = request.endpoint
        if slug is None and request.method is not None and request.path is not None:
            slug = self._router.match(request.method, request.path, decoded=request.decoded)
        return self._endpoints.get(slug) if slug is not None else None

    def _endpoint_in_domain(self, request: CheckRequest) -> Endpoint | None:
        """Within the domain ``shop``, the endpoint ``shop-search`` may also be called ``search``."""
        endpoints = self._domains.get(request.domain, {})
        if request.endpoint is not None:
            return endpoints.get(f"{request.domain}-{request.endpoint}") or endpoints.get(request.endpoint)
        if not endpoints or request.method is None or request.path is None:
            return None
        router = self._domain_routers.get(request.domain)
        if router is None:
            router = self._domain_routers[request.domain] = _router(endpoints.values())
        slug = router.match(request.method, request.path, decoded=request.decoded)
        return None if slug is None else endpoints[slug]

    def with_limit(self, record: ClientRecord, endpoint: str | None, limit: Limit) -> ClientRecord:
        """The record with an override of each policy that counts this client separately on this endpoint."""
        own = [
            policy.slug
            for policy in matching(self.ruleset, plan_of(self.ruleset, record), endpoint)
            if endpoint is not None and policy.endpoint == endpoint and policy.partition is Partition.CLIENT
        ]
        others = [override for override in record.overrides if override.policy not in own]
        return replace(record, overrides=(*others, *(Override(slug, (limit,)) for slug in own)))

    def layout(
        self,
        record: ClientRecord,
        endpoint: str | None,
        now: int,
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        ancestors: Sequence[ClientRecord] = (),
        *,
        places: bool = True,
    ) -> Layout:
        """The limits that apply to a client on an endpoint at ``now`` (microseconds since 1970); no limits if
        the client is blocked or exempt. ``ancestors``: the client's, from the parent up. ``places`` False: without
        concurrency limits."""
        blocked_until = self._blocked_until(record, ancestors, attributes) if self._has_blocks else UNBLOCKED
        if (
            record.overrides
            or record.grants
            or (ancestors and any(each.overrides or each.grants for each in ancestors))
        ):
            return self._layout(record, endpoint, now, attributes, ancestors, blocked_until, places)
        own = self._key(record, endpoint, attributes, blocked_until)
        key: LayoutKey | TreeLayoutKey = own
        if ancestors:
            key = (own, *(self._key(each, endpoint, attributes, blocked_until) for each in ancestors))
        layouts = self._layouts if places else self._layouts_without_places
        layout = layouts.get(key)
        if layout is None or not layout.is_valid(now):
            if len(layouts) >= MAX_LAYOUTS:
                layouts.clear()
            layout = self._layout(record, endpoint, now, attributes, ancestors, blocked_until, places)
            layouts[key] = layout
        return layout

    def _key(
        self, record: ClientRecord, endpoint: str | None, attributes: Mapping[str, str], blocked_until: int
    ) -> LayoutKey:
        plan = plan_of(self.ruleset, record)
        conditions = self._conditions(record, plan, endpoint, attributes) if self._has_conditions else 0
        segments = self._segments.positions(record.key, record.tags, plan)
        return record.status, plan, endpoint, segments, conditions, blocked_until

    def _blocked_until(
        self, record: ClientRecord, ancestors: Sequence[ClientRecord], attributes: Mapping[str, str]
    ) -> int:
        """The end of the blocks of the client, its ancestors, and the check's address, in microseconds since 1970. The
        attributes of a view are computed when they are read: only if there are networks."""
        address = attributes.get(IP, "") if self._blocks.has_networks else ""
        block = self._blocks.of((record.key, *(ancestor.key for ancestor in ancestors)), address)
        return UNBLOCKED if block is None else block.until

    def _conditions(
        self, record: ClientRecord, plan: str | None, endpoint: str | None, attributes: Mapping[str, str]
    ) -> int:
        """Which of the conditions of this plan's policies on this endpoint match: one bit for each."""
        matches = self._matches.get((plan, endpoint))
        if matches is None:
            policies = matching(self.ruleset, plan, endpoint)
            matches = tuple(dict.fromkeys(policy.match for policy in policies if policy.match))
            self._matches[plan, endpoint] = matches
        return sum(match.includes(attributes, record.tags) << at for at, match in enumerate(matches))

    def _layout(
        self,
        record: ClientRecord,
        endpoint: str | None,
        now: int,
        attributes: Mapping[str, str],
        ancestors: Sequence[ClientRecord],
        blocked_until: int,
        places: bool,
    ) -> Layout:
        status, selection = _status_of(record, ancestors, now, blocked_until), Selection(())
        if status is ClientStatus.ACTIVE:
            selection = select(self.ruleset, record, endpoint, now, attributes, ancestors)
            selection = selection if places else selection.without_places()
        selection = self._divided(selection.divided_at(blocked_until, now), now)
        return Layout.of(selection, status, plan_of(self.ruleset, record), endpoint, now, self._max_values)

    def _divided(self, selection: Selection, now: int) -> Selection:
        for edge in self._edges:
            selection = selection.divided_at(edge, now)
        return selection

    def all_layouts(
        self,
        record: ClientRecord,
        now: int,
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        ancestors: Sequence[ClientRecord] = (),
    ) -> list[Layout]:
        """All limits that count this client or an ancestor separately, on any endpoint, split into several layouts.
        ``now`` is in microseconds since 1970."""
        blocked_until = self._blocked_until(record, ancestors, attributes) if self._has_blocks else UNBLOCKED
        selection = select_all(self.ruleset, record, now, attributes, ancestors)
        whole = self._divided(selection.divided_at(blocked_until, now), now)
        starts = range(0, max(len(whole.policies), 1), MAX_POLICIES_PER_CALL)
        selections = [
            replace(whole, policies=whole.policies[start : start + MAX_POLICIES_PER_CALL]) for start in starts
        ]
        plan, status = plan_of(self.ruleset, record), _status_of(record, ancestors, now, blocked_until)
        return [Layout.of(selection, status, plan, None, now, self._max_values) for selection in selections]


def _router(endpoints: Iterable[Endpoint]) -> Router:
    return Router((route, endpoint.slug) for endpoint in endpoints for route in endpoint.routes)


def _status_of(record: ClientRecord, ancestors: Sequence[ClientRecord], now: int, blocked_until: int) -> ClientStatus:
    return ClientStatus.BLOCKED if now < blocked_until else status_of(record, ancestors)
