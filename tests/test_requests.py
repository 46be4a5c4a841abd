"""What one process asks of another through a file in the search's folder."""

from semtune.stopping import StopRequests, ask_to_stop


def test_each_request_is_told_once(tmp_path):
    requests = StopRequests(tmp_path / "stop")
    assert requests.new() == []
    ask_to_stop(tmp_path / "stop", "trial-0001")
    ask_to_stop(tmp_path / "stop", "*")
    assert requests.new() == ["trial-0001", "*"]
    assert requests.new() == []
    ask_to_stop(tmp_path / "stop", "trial-0002")
    assert requests.new() == ["trial-0002"]


def test_a_request_that_is_being_written_waits_for_the_next_look(tmp_path):
    (tmp_path / "stop").write_text("trial-0001\ntrial-00")
    requests = StopRequests(tmp_path / "stop")
    assert requests.new() == ["trial-0001"]
    with (tmp_path / "stop").open("a") as file:
        file.write("02\n")
    assert requests.new() == ["trial-0002"]
