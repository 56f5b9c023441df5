"""Blocks in a config file: entries with all checks that do not need the database, and rows."""

from collections.abc import Iterator, Sequence
from typing import Any

from limits.domain.rule_items import moment_of_text
from limits.models import Block as BlockRow
from limits.models.history import create_with_history, update_with_history
from ratelimit_enforcer.domain.addresses import parse_network
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.dates import optional_microseconds, optional_moment
from ratelimit_enforcer.domain.validation import ValidationProblem, block_problems

Subject = tuple[str, str, str]
"""Client, prefix and network, of which one is given: what identifies a block."""


def block_entry(item: dict[str, Any]) -> Block:
    """Returns the block for one item of the section ``blocks``."""
    ends_at = optional_microseconds(moment_of_text(item.get("ends_at")))
    network = _canonical(item.get("network", ""))
    return Block(item.get("client", ""), item.get("prefix", ""), network, ends_at, item["reason"])


def _canonical(network: str) -> str:
    try:
        return str(parse_network(network)) if network else ""
    except ValueError:
        return network


def block_entry_problems(items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields every problem of each block, and a problem for each with the subject of an earlier one."""
    first: dict[Subject, int] = {}
    for at, item in enumerate(items):
        block = block_entry(item)
        problems = list(block_problems(block))
        yield from (ValidationProblem(("blocks", at, *([name] if name else [])), message) for name, message in problems)
        earlier = first.setdefault(block.subject, at)
        if earlier != at and not problems:
            yield ValidationProblem(("blocks", at), f"is a duplicate of blocks[{earlier}].")


def write_blocks(blocks: Sequence[Block]) -> None:
    """Creates and changes blocks, which are identified by client, prefix or network."""
    rows, new, changed = _rows(), [], []
    for block in blocks:
        ends_at = optional_moment(block.ends_at)
        row = rows.get(block.subject)
        if row is None:
            client, prefix, network = block.subject
            new.append(
                BlockRow(client_key=client, prefix=prefix, network=network, ends_at=ends_at, reason=block.reason)
            )
        elif row.as_domain() != block:
            row.ends_at, row.reason = ends_at, block.reason
            changed.append(row)
    create_with_history(BlockRow, new)
    update_with_history(BlockRow, changed, ["ends_at", "reason"])


def prune_blocks(blocks: Sequence[Block]) -> None:
    """Deletes the blocks that are not among these."""
    named = {block.subject for block in blocks}
    unnamed = [row.pk for subject, row in _rows().items() if subject not in named]
    BlockRow.objects.filter(pk__in=unnamed).delete()


def _rows() -> dict[Subject, BlockRow]:
    return {row.as_domain().subject: row for row in BlockRow.objects.all()}
