"""Where the processes of one server keep their metrics."""

from pathlib import Path

import pytest

from limits.monitoring import prometheus_folder


def test_a_dead_process_counts_on_and_has_no_present_state(tmp_path: Path) -> None:
    (tmp_path / "counter_999999999.db").touch()
    (tmp_path / "gauge_livesum_999999999.db").touch()
    prometheus_folder.remove_gauges_of_ended_processes(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["counter_999999999.db"]


def test_the_workers_of_a_server_share_a_folder_and_ended_servers_leave_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(prometheus_folder.FOLDER_VARIABLE, raising=False)
    (tmp_path / "999999999-1.00").mkdir()
    first = prometheus_folder.prepare_folder(tmp_path)
    monkeypatch.delenv(prometheus_folder.FOLDER_VARIABLE)
    assert prometheus_folder.prepare_folder(tmp_path) == first
    assert list(tmp_path.iterdir()) == [first]


def test_a_folder_that_the_environment_names_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prometheus_folder.FOLDER_VARIABLE, str(tmp_path / "named"))
    assert prometheus_folder.prepare_folder(tmp_path / "other") == tmp_path / "named"
    assert not (tmp_path / "other").exists()
