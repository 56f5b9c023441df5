"""The config as a text of JSON or YAML, and the version of its content: a digest that differs if anything does.

The first part of the version is a digest of the rules alone. Each publication has these rules, so what was published
since a version is found without storing anything.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple, Protocol

import orjson
import yaml

from limits.configfile.export import item_of_block, sections_of_config
from limits.configfile.secrets import has_secrets, hide_secrets
from limits.domain.rule_items import (
    Item,
    item_of_endpoint,
    item_of_plan,
    item_of_policy,
    item_of_segment_override,
)
from limits.models import Publication
from limits.publishing.rules import read_ruleset
from ratelimit_enforcer.domain.ruleset import Ruleset

MAX_SEARCHED = 100
"""Maximum number of publications among which the one with a version's rules is searched, the newest first."""

_RULES_LENGTH, _CONTENT_LENGTH = 16, 32
_BATCH = 500


class Format(StrEnum):
    """A format of the config."""

    JSON = "json"
    YAML = "yaml"


class ConfigVersion(NamedTuple):
    """The version of a config: digests of its rules and of all its content, in hexadecimal. ``clients``: whether the
    content includes the clients."""

    rules: str
    content: str
    clients: bool = False


class Output(Protocol):
    """What a config is written to: a file of bytes, for example."""

    def write(self, data: bytes, /) -> object:
        """Appends the data."""


class _Discarded:
    def write(self, data: bytes, /) -> None:
        """Keeps nothing."""


def read_version(*, clients: bool) -> ConfigVersion:
    """The version of the config in the database."""
    return write_config(_Discarded(), Format.JSON, clients=clients)


def write_config(file: Output, form: Format, *, clients: bool) -> ConfigVersion:
    """Writes the config, with references in place of secrets, and returns its version. Clients and overrides are read
    in parts; the transaction of the caller makes them those of one moment."""
    digest = sha256()
    write = _write_json if form is Format.JSON else _write_yaml
    write(file, ((name, _digested(digest, name, items)) for name, items in _sections(clients=clients)))
    return ConfigVersion(rules_digest(read_ruleset()), digest.hexdigest()[:_CONTENT_LENGTH], clients)


def _sections(*, clients: bool) -> Iterator[tuple[str, Iterable[Item]]]:
    for name, items in sections_of_config(clients=clients):
        yield name, hide_secrets({name: list(items)})[name] if has_secrets(name) else items


def _digested(digest: Any, name: str, items: Iterable[Item]) -> Iterator[Item]:
    digest.update(f"{name}\n".encode())
    for item in items:
        digest.update(orjson.dumps(item) + b"\n")
        yield item


def _write_json(file: Output, sections: Iterable[tuple[str, Iterable[Item]]]) -> None:
    start = b"{"
    for name, items in sections:
        file.write(start + orjson.dumps(name) + b":[")
        for position, item in enumerate(items):
            file.write((b",\n" if position else b"\n") + orjson.dumps(item))
        file.write(b"]")
        start = b",\n"
    file.write(b"}\n")


def _write_yaml(file: Output, sections: Iterable[tuple[str, Iterable[Item]]]) -> None:
    for name, items in sections:
        remaining = iter(items)
        part = list(islice(remaining, _BATCH))
        file.write(f"{name}:\n".encode() if part else f"{name}: []\n".encode())
        while part:
            file.write(_yaml(part).encode())
            part = list(islice(remaining, _BATCH))


def _yaml(items: list[Item]) -> str:
    """Items of a section, as a part of its list."""
    text: str = yaml.dump(items, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def rules_digest(ruleset: Ruleset) -> str:
    """A digest of the rules as the config has them, without what rulesets do not contain: names of policies, and
    reasons of overrides."""
    items = [
        [item_of_plan(plan, is_default=plan.slug == ruleset.default_plan) for plan in ruleset.plans],
        [item_of_endpoint(endpoint) for endpoint in ruleset.endpoints],
        [item_of_policy(policy, "") for policy in ruleset.policies],
        [item_of_segment_override(override, "") for override in ruleset.segment_overrides],
        [item_of_block(block) for block in ruleset.blocks],
    ]
    return sha256(orjson.dumps(items)).hexdigest()[:_RULES_LENGTH]


def publications_since(version: ConfigVersion) -> tuple[int | None, list[Publication]]:
    """The newest publication with the rules of this version, and those after it, the newest first. Without one among
    the latest :data:`MAX_SEARCHED`: None, and no publications."""
    later: list[Publication] = []
    for publication in Publication.objects.order_by("-sequence")[:MAX_SEARCHED]:
        if rules_digest(Ruleset.from_bytes(publication.content.encode())) == version.rules:
            return publication.sequence, later
        later.append(publication)
    return None, []
