"""Route patterns: syntax, precedence, and that no spelling of a path bypasses its pattern."""

import pytest

from ratelimit_enforcer.domain.routes import PatternError, Route, Router


def router(**routes: str) -> Router:
    return Router((Route.parse(pattern), slug) for slug, patterns in routes.items() for pattern in patterns.split(", "))


SHOP = router(
    search="GET /api/products/search",
    product="GET /api/products/{id}",
    products="* /api/products/*",
    any_product="* /api/products/{id}",
    files="GET /files/*",
    root="GET /",
)


@pytest.mark.parametrize(
    ("method", "path", "slug"),
    [
        ("GET", "/api/products/search", "search"),
        ("GET", "/api/products/17", "product"),
        ("POST", "/api/products/17", "any_product"),
        ("POST", "/api/products/search", "any_product"),
        ("GET", "/api/products/17/reviews", "products"),
        ("HEAD", "/api/products/17", "product"),
        ("get", "/api/products/17", "product"),
        ("GET", "/files/a/b/c", "files"),
        ("GET", "/files", None),
        ("POST", "/files/a", None),
        ("GET", "/", "root"),
        ("GET", "", "root"),
        ("GET", "/api", None),
    ],
)
def test_the_most_specific_pattern_wins(method: str, path: str, slug: str | None) -> None:
    assert SHOP.match(method, path) == slug


@pytest.mark.parametrize(
    "path",
    [
        "/api/products/search/",
        "//api//products/search",
        "/api/./products/search",
        "/api/products/x/../search",
        "/../api/products/search",
        "/api/products/%73earch",
        "/api%2Fproducts/search",
        "/api/products/search?q=1",
        "/api/products/search#top",
        "/api/products/search?/../x",
    ],
)
def test_no_spelling_of_a_path_bypasses_its_pattern(path: str) -> None:
    assert SHOP.match("GET", path) == "search"


def test_a_literal_that_looks_like_a_wildcard_matches_only_itself() -> None:
    patterns = router(star="GET /a/%2A", parameter="GET /a/{x}")
    assert patterns.match("GET", "/a/*") == "star"
    assert patterns.match("GET", "/a/{}") == "parameter"


def test_matching_backtracks_from_a_more_specific_branch() -> None:
    patterns = router(deep="GET /a/b/c", shallow="GET /a/{x}/d")
    assert patterns.match("GET", "/a/b/d") == "shallow"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("GET /a/{id}", "GET /a/{name}"),
        ("GET /a/b", "GET /a/b/"),
        ("HEAD /a", "GET /a"),
        ("GET /%61", "GET /a"),
    ],
)
def test_equivalent_patterns_have_the_same_shape(first: str, second: str) -> None:
    assert Route.parse(first).shape == Route.parse(second).shape


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/a",
        "GET",
        "GET a",
        "get /a",
        "G*T /a",
        "GET /a b",
        "GET /a?x=1",
        "GET /a#b",
        "GET /a{id}",
        "GET /{}",
        "GET /a/*/b",
        "GET /a*",
        "GET /a/../b",
        "GET /./b",
        "GET /a\x00",
    ],
)
def test_invalid_patterns_are_rejected(text: str) -> None:
    with pytest.raises(PatternError):
        Route.parse(text)


FILES = Router(
    [
        (Route.parse("GET /files/*"), "files"),
        (Route.parse("GET /files/{name}"), "file"),
        (Route.parse("GET /files/private"), "private"),
        (Route.parse("GET /cheap"), "cheap"),
    ]
)


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/files/private", "private"),
        ("//files///private/", "private"),
        ("/files/%70rivate", "file"),
        ("/files/private?x", "file"),
        ("/files/private#x", "file"),
        ("/files/../cheap", "files"),
        ("/files/./private", "files"),
        ("/cheap", "cheap"),
    ],
)
def test_a_path_decoded_by_a_framework_is_matched_without_decoding(path: str, slug: str) -> None:
    assert FILES.match("GET", path, decoded=True) == slug


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/files/%70rivate", "private"),
        ("/files%2Fprivate", "private"),
        ("/files/a%2Fb", "files"),
        ("/x/%2e%2e/files/private", "private"),
        ("/files/%2e%2e/cheap?q=/files/private", "cheap"),
        ("/%66iles//%2e/private/", "private"),
    ],
)
def test_no_encoding_of_a_path_bypasses_its_endpoint(path: str, slug: str) -> None:
    assert FILES.match("GET", path) == slug


def test_an_encoded_slash_is_part_of_a_parameter() -> None:
    items = Router([(Route.parse("GET /items/{id}"), "item")])
    assert items.match("GET", "/items/a%2Fb") == "item"
    assert items.match("GET", "/items/a/b") is None
