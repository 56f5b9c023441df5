"""Warnings about the configuration of the store on the home page."""

from tests.admin.desk import Desk
from tests.publishing.platforms import Platform


def test_the_home_page_shows_warnings_about_the_store(desk: Desk, shop: Platform) -> None:
    assert "Redis stores nothing on disk" in desk.client.get("/admin/").content.decode()


def test_the_home_page_works_without_the_store(desk: Desk, shop: Platform) -> None:
    shop.make_store_unavailable()
    answer = desk.client.get("/admin/")
    assert answer.status_code == 200
    assert "Redis stores" not in answer.content.decode()
