"""Finding a piece of a Lua script by the shape of its tokens."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.mutants.targets import Bindings, NotOnce, is_literal

_TOKEN = re.compile(
    r"(?P<space>--[^\n]*|\s+)|(?P<text>'(?:\\.|[^'\\])*'|\"[^\"]*\")|(?P<name>[A-Za-z_]\w*)|(?P<number>\d+)"
    r"|(?P<sign>\.\.|==|~=|<=|>=|.)",
    re.DOTALL,
)
_KEYWORDS = "and break do else elseif end false for function if in local nil not or repeat return then true until while"
_LIBRARY = "math redis string struct table tonumber tostring pairs ipairs"
_WORDS = {*_KEYWORDS.split(), *_LIBRARY.split()}


class Token(NamedTuple):
    text: str
    begin: int
    end: int
    is_variable: bool


def mutated(source: str, old: str, new: str) -> str:
    """The source with the only piece of the shape of ``old`` replaced by ``new``. Raises :class:`NotOnce`."""
    tokens, pattern = list(_tokens(source)), list(_tokens(old))
    places = range(len(tokens) - len(pattern) + 1)
    found = [(at, bound) for at in places if (bound := _bound(pattern, tokens[at : at + len(pattern)])) is not None]
    if len(found) != 1:
        raise NotOnce(len(found))
    at, bound = found[0]
    begin, end = tokens[at].begin, tokens[at + len(pattern) - 1].end
    return source[:begin] + _renamed(new, bound) + source[end:]


def _tokens(text: str) -> Iterator[Token]:
    before = ""
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            is_name = match.lastgroup == "name" and match[0] not in _WORDS and not is_literal(match[0])
            yield Token(match[0], *match.span(), is_name and before not in (".", ":"))
            before = match[0]


def _bound(pattern: list[Token], tokens: list[Token]) -> Bindings | None:
    """The names in the source for those in the pattern; None if the shape is another one."""
    bound = Bindings()
    for wanted, token in zip(pattern, tokens, strict=True):
        if wanted.is_variable != token.is_variable:
            return None
        if not (bound.agree(wanted.text, token.text) if wanted.is_variable else wanted.text == token.text):
            return None
    return bound


def _renamed(text: str, bound: Bindings) -> str:
    renamed, end = [], 0
    for token in _tokens(text):
        renamed += [text[end : token.begin], bound.get(token.text, token.text) if token.is_variable else token.text]
        end = token.end
    return "".join(renamed)
