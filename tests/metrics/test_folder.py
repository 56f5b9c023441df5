"""The folder in which the processes of one server store their metrics."""

from pathlib import Path

import pytest

from limits.monitoring import prometheus_folder


def test_counters_of_an_ended_process_are_kept_and_its_gauges_removed(tmp_path: Path) -> None:
    (tmp_path / "counter_999999999.db").touch()
    (tmp_path / "gauge_livesum_999999999.db").touch()
    prometheus_folder.remove_gauges_of_ended_processes(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["counter_999999999.db"]


def test_workers_of_a_server_share_a_folder_and_those_of_ended_servers_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(prometheus_folder.FOLDER_VARIABLE, raising=False)
    (tmp_path / "999999999-1.00").mkdir()
    first = prometheus_folder.prepare_folder(tmp_path)
    monkeypatch.delenv(prometheus_folder.FOLDER_VARIABLE)
    assert prometheus_folder.prepare_folder(tmp_path) == first
    assert list(tmp_path.iterdir()) == [first]


def test_a_folder_from_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prometheus_folder.FOLDER_VARIABLE, str(tmp_path / "named"))
    assert prometheus_folder.prepare_folder(tmp_path / "other") == tmp_path / "named"
    assert not (tmp_path / "other").exists()
