"""`semtune label` as a rater meets it: a headless Chromium, the keyboard alone, and deaths of the program."""

import os
import signal

import pytest
from browser import BACKSPACE, ENTER, browsing
from place import Place, until
from test_ui import answer, listening

from semtune.dataset.ratings import read_ratings
from semtune.images import read_frame, write_png
from semtune.simulator import simulate_fields

pytestmark = pytest.mark.slow
FRAMES = 24
SHOWN = "frame.complete && !document.querySelector('#frame.waiting')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def place(tmp_path, simulated):
    (tmp_path / "raw").mkdir()
    for number, frame in enumerate(simulated):
        write_png(tmp_path / "raw" / f"{number:02}.png", frame)
    return Place(tmp_path, tmp_path.name)


@pytest.fixture(scope="module")
def simulated():
    return [each.frame for each in simulate_fields(4, FRAMES // 4, seed=3)]


def address(place):
    """Where the program that was started last has its page."""
    log = place.folder / "log"
    count = log.read_text().count("; open ") if log.exists() else 0
    return lambda: (
        log.exists()
        and log.read_text().count("; open ") > count
        and (log.read_text().rpartition("; open ")[2].split()[0])
    )


def page_of(place, found):
    until(found, 60)
    return found()


def start(browser, page, rater):
    browser.open(page)
    browser.until("document.querySelector('#frames').textContent")
    browser.press(f"{rater}{ENTER}")
    browser.until(f"{SHOWN} && !document.querySelector('#top').hidden")


def score(browser, keys):
    """Type a score and wait until it is told to be saved."""
    before = browser.text("#count")
    browser.press(keys + ENTER)
    browser.until(f"document.querySelector('#count').textContent !== '{before}' && {SHOWN}")


def ratings(place, rater="ann"):
    return [each for each in read_ratings(place.folder / "raw").ratings if each.rater == rater]


def test_frames_are_scored_by_the_keyboard_through_a_death_to_the_end(browser, place):
    found = address(place)
    with place.started("label", "raw", "--no-browser", "--repeats", "0.25") as process:
        start(browser, page_of(place, found), "ann")
        assert browser.text("#count") == f"0 of {FRAMES + 6}"
        for keys in ("7", "6.5", "10", "3,2"):
            score(browser, keys)
        assert [each.score for each in ratings(place)] == [7, 6.5, 10, 3.2]

        browser.press("11" + ENTER)
        assert browser.text("#said") == "Type a score from 0 to 10."
        browser.press(BACKSPACE + BACKSPACE + "u")  # undo, then by the other key
        browser.until("document.querySelector('#count').textContent.startsWith('3 ')")
        assert browser.run("return score.value") == "3.2"
        browser.press(BACKSPACE + BACKSPACE)
        browser.until("document.querySelector('#count').textContent.startsWith('2 ')")
        score(browser, "9")
        assert [each.score for each in ratings(place)] == [7, 6.5, 9]

        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        browser.press("8" + ENTER)
        browser.until("said.classList.contains('refused')")
        assert "Every saved score is kept" in browser.text("#said")
        assert [each["message"].rpartition(" ")[2] for each in browser.log()] == [
            "net::ERR_CONNECTION_REFUSED"
        ]
    assert [each.score for each in ratings(place)] == [7, 6.5, 9]

    found = address(place)
    with place.started("label", "raw", "--no-browser", "--repeats", "0.25") as process:
        page = page_of(place, found)
        start(browser, page, "ann")
        assert browser.text("#count") == f"3 of {FRAMES + 6}"
        waiting = browser.run("return frame.src")
        start(browser, page, "ann")  # loaded anew
        assert (browser.text("#count"), browser.run("return frame.src")) == (f"3 of {FRAMES + 6}", waiting)
        while browser.run("return end.hidden"):
            score(browser, "4")
        assert browser.text("#count") == f"{FRAMES + 6} of {FRAMES + 6}"
        assert browser.text("#end-title") == "All frames are scored"
        browser.press("u")
        browser.until("end.hidden")
        score(browser, "5")
        start(browser, page, "bob")
        assert browser.text("#count") == f"0 of {FRAMES + 6}"
        assert browser.log() == []  # nothing failed, and nothing was asked of another place
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    seen = [each.image for each in ratings(place)]
    assert len(seen) == FRAMES + 6
    assert len(set(seen)) == FRAMES
    log = (place.folder / "log").read_text()
    assert f"{FRAMES} of {FRAMES} frames have a score; next:" in log
    assert "\nsemtune import raw DATASET --scores raw/scores.csv\n" in log
    place.run("import", "raw", "dataset", "--scores", "raw/scores.csv")
    told = place.run("check", "dataset")
    assert f"rater ann: {FRAMES + 6} ratings of {FRAMES} frames, noise of one rating" in told


def test_a_frame_is_looked_at_closely_without_a_mouse(browser, place):
    found = address(place)
    with place.started("label", "raw", "--no-browser", "--rater", "ann"):
        start(browser, page_of(place, found), "")
        height, width = read_frame(next((place.folder / "raw").iterdir())).shape
        assert browser.run("return [frame.naturalWidth, frame.naturalHeight]") == [width, height]
        whole = browser.run("return [frame.width, stage.clientWidth, frame.height, stage.clientHeight]")
        assert whole[0] < whole[1]
        assert whole[2] < whole[3]
        browser.press("z")
        assert browser.run("return frame.width * devicePixelRatio") == width
        browser.press("++++")
        assert browser.run("return frame.width") == pytest.approx(width * 1.25**4, abs=2)
        before = browser.run("return stage.scrollTop")
        browser.press("\ue015")  # arrow down
        assert browser.run("return stage.scrollTop") > before
        browser.press("z")
        assert browser.run("return frame.width") == whole[0]
        assert browser.run("return document.activeElement.id") == "score"
        if picture := os.environ.get("SEMTUNE_LABEL_PICTURE"):
            score(browser, "6.5")
            browser.press("7")
            browser.picture(picture)


def test_the_page_is_heard_on_loopback_alone_and_by_who_knows_its_address(place):
    found = address(place)
    with place.started("label", "raw", "--no-browser"):
        page = page_of(place, found)
        port, secret = int(page.split(":")[2].split("/")[0]), page.split("/")[3]
        assert listening(port) == {"0100007F"}
        assert answer(port, f"127.0.0.1:{port}", f"/{secret}/") == 200
        assert answer(port, f"127.0.0.1:{port}", "/") == 404
        assert answer(port, "evil.example", f"/{secret}/") == 400
