"""The first page says what is wrong with how the store is set up."""

from tests.admin.desk import Desk
from tests.publishing.platforms import Platform


def test_the_first_page_names_what_should_be_changed(desk: Desk, shop: Platform) -> None:
    assert "Redis stores nothing on disk" in desk.client.get("/admin/").content.decode()


def test_the_first_page_is_there_without_the_store(desk: Desk, shop: Platform) -> None:
    shop.make_store_unavailable()
    answer = desk.client.get("/admin/")
    assert answer.status_code == 200
    assert "Redis stores" not in answer.content.decode()
