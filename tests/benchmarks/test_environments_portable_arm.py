"""What the command for 64-bit ARM does without one: it says why where it cannot run, and keeps what matters of an output."""

from pathlib import Path

from benchmarks.environments import portable_arm


def test_a_machine_without_debians_sources_is_told_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(portable_arm, "SOURCES", tmp_path / "none")
    assert portable_arm.main([]) == 1
    assert "64-bit ARM was NOT tried: this needs apt-get" in capsys.readouterr().out


def test_wrong_kernels_and_the_last_line_are_kept():
    text = "ok    cpu add 1 float32: 1 cases\nWRONG cpu mul 1 float32: 1 cases\n1 of 2 right\n"
    assert portable_arm.told(text) == ["WRONG cpu mul 1 float32: 1 cases", "1 of 2 right"]
    assert portable_arm.told("20 steps") == ["20 steps"] and portable_arm.told("") == [""]


def test_the_command_runs_an_arm_python():
    line = portable_arm.command(Path("/there"), "kernels", "verify")
    assert line[0].endswith("qemu-aarch64-static") and line[3].endswith("root/usr/bin/python3.11")
    assert line[-2:] == ["kernels", "verify"]


def test_the_exit_code_follows_what_was_run(monkeypatch, tmp_path):
    (tmp_path / "tinygan" / "aarch64").mkdir(parents=True)
    (tmp_path / "tinygan" / "aarch64" / "ready").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(portable_arm, "RECORD", tmp_path / "record.json")
    for code in (0, 1):
        monkeypatch.setattr(portable_arm, "run", lambda place, *words, code=code: {"code": code, "said": [" ".join(words)]})
        assert portable_arm.main(["--kernels", "adam", "--no-training"]) == code
    assert '"kernels verify --only adam"' in (tmp_path / "record.json").read_text()
