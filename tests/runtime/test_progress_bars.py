"""Bars: on a real terminal with a time left, gone at the end; without one, nothing."""

import io
import os
import pty
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.config.reader import read_search
from pipeline.runtime.progress_bars import format_time_left, progress_bar, spinner, track
from pipeline.study.space import without_ranges
from pipeline.study.study import TrialProposal
from pipeline.tuner.live_display import LiveDisplay
from tests.data.test_image_folder import picture

ROOT = Path(__file__).resolve().parents[2]
SLOW = """
import time
from pipeline.runtime.progress_bars import spinner, track
with spinner("opening [b]"):
    time.sleep(0.3)
for _ in track(range(40), "counting [b]", 40):
    time.sleep(0.05)
"""


def on_a_terminal(*words: str) -> tuple[str, str]:
    """What a command writes to standard output, a file, and to standard error, a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    environment, seen = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}, b""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=out, stderr=theirs, env=environment)
        os.close(theirs)
        with suppress(OSError):  # the other side has been closed
            while part := os.read(ours, 65536):
                seen += part
        os.close(ours)
        assert process.wait(60) == 0, seen.decode()
        out.seek(0)
        return out.read().decode(), seen.decode()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "about 1 s left"), (12.4, "about 12 s left"), (89, "about 89 s left"), (600, "about 10 min left")],
)
def test_time_left_is_said_in_seconds_or_minutes(seconds: float, said: str) -> None:
    assert format_time_left(seconds) == said


def test_without_a_terminal_nothing_is_printed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar("a", 3) as done, spinner("b"):
        done(1)
    assert list(track(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capfd.readouterr() == ("", "")


def test_bar_says_how_much_is_done_and_how_long_it_will_take_and_goes() -> None:
    said, seen = on_a_terminal("-c", SLOW)
    assert said == ""
    assert "opening [b]" in seen
    assert "counting [b]" in seen
    assert "/40" in seen
    assert "about 1 s left" in seen
    assert "\x1b[2K" in seen.rpartition("counting")[2]  # its line is wiped
    assert seen.rstrip().rpartition("\x1b[?25")[2].startswith("h")  # the cursor is there again


def test_bar_of_what_nobody_knows_the_end_of_says_how_much_is_done() -> None:
    unknown = "import time\nwith progress_bar('reading', None) as done:\n    done(1234)\n    time.sleep(0.3)\n"
    _, seen = on_a_terminal("-c", f"from pipeline.runtime.progress_bars import progress_bar\n{unknown}")
    assert "reading" in seen
    assert "1,234" in seen
    assert "1,234/" not in seen


def test_bar_goes_when_its_reader_stops() -> None:
    stopped = SLOW.replace("    time.sleep(0.05)\n", "    time.sleep(0.3)\n    break\n")
    _, seen = on_a_terminal("-c", stopped)
    assert "counting" in seen
    assert "\x1b[2K" in seen.rpartition("counting")[2]


def test_answers_are_counted_on_the_terminal_and_the_pipe_gets_them_alone(finished: Path, tmp_path: Path) -> None:
    for number in range(300):
        picture(tmp_path / "photos" / f"{number:03}.png", number)
    words = [f"model={finished}/model", str(tmp_path / "photos"), f"sheet={tmp_path}/a.png"]
    said, seen = on_a_terminal("-m", "pipeline.predict", *words)
    assert said.count(".png") == 300 + 1
    assert "\x1b" not in said
    assert "predicting" in seen
    assert "/300" in seen
    assert "contact sheet" in seen


def test_bars_of_a_search_fit_80_columns_and_say_how_long_a_trial_will_take() -> None:
    candidate = without_ranges(
        read_search(["task=cat_species", "space=none", "model.nodes=[128,64]", "training.epochs=30"]).space
    )
    display = LiveDisplay(Console(file=io.StringIO(), force_terminal=True), "accuracy", 40, 17, None, 1)
    with display.progress:
        display.start_trials(0, [TrialProposal(17, candidate)])
        time.sleep(1.1)
        display.update_epoch(0, 10)
        rendered = io.StringIO()
        Console(file=rendered, width=80).print(display.progress.get_renderable())
    search, trial = rendered.getvalue().splitlines()
    assert search.startswith("search")
    assert "17/40" in search
    assert trial.startswith("trial 17")
    assert "10/30 128,64 about 2 s left" in trial
