"""What is kept of a long game is bounded: recorded frames and points of curves are thinned, and reach from its start to its end."""

from served_game import new_host

from tinygan.play.charts import MOST, Charts


def test_recorded_frames_and_points_are_thinned_on_the_way(monkeypatch):
    monkeypatch.setattr("tinygan.play.frames.RECORDED", 8)
    host = new_host(steps=300)
    host.frames.charts.most = 10
    host.play_all()
    recorded = [step for step, _ in host.frames.recorded]
    steps = [point["step"] for point in host.frames.charts.points]
    for kept, most in ((recorded, 8), (steps, 10)):
        assert most / 2 <= len(kept) <= most and kept == sorted(set(kept)) and kept[0] == 0 and kept[-1] >= 200, kept


def test_points_of_any_number_of_steps_are_a_bounded_number():
    charts = Charts()
    for step in range(20 * MOST):
        charts.add({"step": step})
    steps = [point["step"] for point in charts.points]
    assert MOST / 2 <= len(steps) <= MOST and steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] > 19 * MOST
