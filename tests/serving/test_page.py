"""The page in headless Chromium: upload, timeline, downloads, errors, keyboard, phone, zoom, dark.

pytest -m browser tests/serving, with Debian's chromium-headless-shell (CHROMIUM names another one) and the
Python package playwright. SCREENSHOTS=docs/images writes the pictures of docs/server.md.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from earwitness.captioner import DEFAULT, Captioner
from earwitness.captions import Caption
from earwitness.checkpoints.folder import WEIGHTS
from earwitness.serving import app
from earwitness.serving.fetching import Fetcher
from earwitness.subtitles.formats import to_srt, to_vtt

from .conftest import LIMITS, Client, noise, serving, wav

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium-headless-shell"),
]
EXAMPLES = Path(__file__).parents[2] / "examples"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser, client) -> Iterator[Any]:
    """The page of the tiny model's server; an error in its JavaScript fails the test."""
    yield from opened(browser, client)


def opened(browser: Any, client: Client) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"http://127.0.0.1:{client.port}/")
    yield page
    context.close()
    assert not faults


def choose(page: Any, *files: tuple[str, bytes]) -> None:
    page.set_input_files(
        "#files", [{"name": name, "mimeType": "audio/wav", "buffer": content} for name, content in files]
    )


def captioned(page: Any, *files: tuple[str, bytes]) -> None:
    """Chooses files and waits until all are done."""
    choose(page, *(files or [("rain.wav", wav(noise(8.0)))]))
    page.wait_for_function("n => document.querySelectorAll('#jobs .done').length === n", arg=len(files) or 1)


def download(page: Any, selector: str) -> tuple[str, str]:
    with page.expect_download() as coming:
        page.click(selector)
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes().decode("utf-8")


def names(page: Any) -> list[str]:
    return [name.text_content() for name in page.locator("#jobs .name").all()]


def test_an_upload_is_captioned_and_drawn(page, client) -> None:
    sound = wav(noise(8.0))
    page.evaluate(
        """() => {
          window.said = [];
          const news = document.getElementById("news");
          const listener = new MutationObserver(() => window.said.push(news.textContent));
          listener.observe(news, { childList: true });
        }"""
    )
    captioned(page, ("rain.wav", sound))
    expected = client.post("/v1/captions", sound, window=10).json["captions"]
    assert page.locator("#jobs .first").all_inner_texts() == [expected[0]["caption"]]
    assert page.locator("#captions .text").all_inner_texts() == [row["caption"] for row in expected]
    assert page.locator("#lane button").count() == len(expected)
    assert page.inner_text("#title") == "rain.wav"
    tags = client.post("/v1/tags", sound).json
    assert page.locator("#tags .tag > span").all_inner_texts() == tags["names"][:8]
    page.wait_for_function("() => document.getElementById('spectrogram').width > 300")
    for canvas in ("#waveform", "#spectrogram", "#tags canvas >> nth=0"):
        pixels = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        assert len(set(page.locator(canvas).evaluate(pixels))) > 4, f"nothing is drawn in {canvas}"
    said = page.evaluate("window.said")  # to screen readers, too
    assert any("rain.wav" in news and expected[0]["caption"] in news for news in said)


def test_the_spectrogram_shows_a_tone_where_it_is(page) -> None:
    """Of 1 kHz, the brightest row is that of 1 kHz (mel scale from 60 Hz to 8 kHz in 96 rows)."""
    row = page.evaluate(
        """async () => {
          const { spectrogram } = await import("./sound.js");
          const sine = (_, i) => Math.sin((2 * Math.PI * 1000 * i) / 16000);
          const tone = Float32Array.from({ length: 16000 }, sine);
          const column = spectrogram(tone, 5)[2];
          return column.indexOf(Math.max(...column));
        }"""
    )
    assert abs(row - 96 * (1000 - 92.5) / (2840 - 92.5)) <= 1.5  # mel(60), mel(1000), mel(8000)


def test_the_fft_is_one(page) -> None:
    import numpy as np

    samples = np.random.default_rng(0).normal(size=600).astype(np.float32)
    power = page.evaluate(
        """async (samples) => {
          const { spectrum } = await import("./sound.js");
          return [...spectrum(Float32Array.from(samples), 50)];
        }""",
        samples.tolist(),
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    expected = np.abs(np.fft.rfft(samples[50:562] * window)) ** 2
    assert np.allclose(power, expected, rtol=1e-3, atol=1e-3)


def test_a_click_on_the_timeline_moves_the_player(page) -> None:
    captioned(page, ("long.wav", wav(noise(20.0))))
    count = page.locator("#captions li").count()
    assert count >= 2
    second = page.locator("#captions li").nth(1)
    second.locator(".time").click()
    start = page.evaluate("document.querySelector('#player audio').currentTime")
    first_end = page.locator("#captions .time").first.inner_text().split("–")[1]
    assert start == pytest.approx(float(first_end.split(":")[1]), abs=0.5)
    page.evaluate("document.querySelector('#player audio').pause()")
    assert second.get_attribute("aria-current") == "true"
    assert page.locator("#lane button").nth(1).get_attribute("aria-current") == "true"
    box = page.locator("#waveform").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    page.evaluate("document.querySelector('#player audio').pause()")
    now = page.evaluate("document.querySelector('#player audio').currentTime")
    assert now == pytest.approx(15.0, abs=1.0)
    head = page.locator("#playhead").bounding_box()["x"]
    assert head == pytest.approx(box["x"] + now / 20 * box["width"], abs=8)


def test_downloads_are_the_servers_formats(page, client) -> None:
    sound = wav(noise(20.0))
    captioned(page, ("two.parts.wav", sound))
    told = client.post("/v1/captions", sound, window=10).json
    found = told["captions"]
    rows = [Caption(row["caption"], row["score"], row["start"], row["end"]) for row in found]
    assert download(page, "[data-format=srt]") == ("two.parts.srt", to_srt(rows))
    assert download(page, "[data-format=vtt]") == ("two.parts.vtt", to_vtt(rows))
    name, text = download(page, "[data-format=json]")
    assert name == "two.parts.json"
    assert json.loads(text)["captions"] == told["captions"]
    tags = client.post("/v1/tags", sound).json
    assert json.loads(text)["tags"] == {name: tags[name] for name in ("names", "windows", "probabilities")}
    assert "partial" not in json.loads(text)
    name, text = download(page, "[data-format=csv]")
    cells = list(csv.reader(io.StringIO(text, newline="")))
    assert name == "two.parts.csv" and cells[0] == ["start", "end", "caption", "score", "tags"]
    assert [(float(c[0]), c[2]) for c in cells[1:]] == [(row["start"], row["caption"]) for row in found]
    name, text = download(page, "[data-format=txt]")
    assert name == "two.parts.txt" and [line.split("\t")[1] for line in text.splitlines()] == [
        c.text for c in rows
    ]
    page.click("#copy")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert [line.split("\t")[1] for line in copied.splitlines()] == [c.text for c in rows]


def test_errors_are_listed_in_one_place_and_the_others_are_captioned(page) -> None:
    choose(
        page,
        ("fine.wav", wav(noise(1.0))),
        ("broken.wav", b"no sound" * 100),
        ("large.wav", bytes(3 << 20)),
        ("also fine.wav", wav(noise(1.5))),
    )
    page.wait_for_function("() => document.querySelectorAll('#jobs .done, #jobs .failed').length === 4")
    states = dict(zip(names(page), page.locator("#jobs .quiet").all_inner_texts(), strict=True))
    assert "1 caption" in states["fine.wav"] and "1 caption" in states["also fine.wav"]
    assert "not a media file" in states["broken.wav"]
    assert "larger than 2 MB" in states["large.wav"]
    problems = page.locator("#errors li").all_inner_texts()
    assert len(problems) == 2 and {text.split(":")[0] for text in problems} == {"broken.wav", "large.wav"}
    assert page.get_attribute("#errors", "role") == "alert"
    page.click("#errors button")
    assert not page.is_visible("#errors")
    assert page.inner_text("#batch-state") == "2 of 4 captioned"
    name, text = download(page, "#all")
    assert name == "captions.json"
    assert [job["file"] for job in json.loads(text)] == ["fine.wav", "also fine.wav"]


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def caption(start: float, end: float, text: str = "a dog barks") -> dict[str, Any]:
    row = {"type": "caption", "start": start, "end": end, "caption": text, "score": 0.7}
    return row | {"sureness": "likely", "tags": [["Dog", 0.9]], "kind": "sound"}


WORDS = "sure", "likely", "unsure"
END = {"type": "end", "model": "mini", "duration": 8.0, "damaged": False, "covered": 1.0}
ERROR = {"type": "error", "status": 500, "detail": "the server failed"}


@pytest.mark.parametrize("last", [[ERROR], []], ids=["an error", "it breaks off"])
def test_what_was_found_before_an_error_stays_and_is_marked(page, last) -> None:
    answers = [lines(caption(0, 4), caption(4, 6, "it rains"), *last), lines(caption(0, 8, "all of it"), END)]
    page.route("**/v1/captions", lambda route: route.fulfill(body=answers.pop(0)))
    choose(page, ("rain.wav", wav(noise(8.0))))
    page.wait_for_selector("#jobs .partial")
    assert page.locator("#captions .text").all_inner_texts() == ["a dog barks", "it rains"]
    assert page.inner_text("#summary").startswith("Partial: The server")
    assert download(page, "[data-format=srt]")[0] == "rain.partial.srt"
    assert json.loads(download(page, "[data-format=json]")[1])["partial"] is True
    page.click("#jobs button[title=Retry]")
    page.wait_for_selector("#jobs .done")
    assert page.locator("#captions .text").all_inner_texts() == ["all of it"]
    assert page.locator("#lane button").count() == 1


def test_a_busy_server_is_asked_again_when_it_says(page) -> None:
    answers = [
        {
            "status": 429,
            "headers": {"retry-after": "1"},
            "body": '{"detail": "128 requests are in progress"}',
        },
        {"status": 503, "headers": {"retry-after": "1"}, "body": '{"detail": "too many requests"}'},
        {"status": 200, "body": lines(caption(0, 8), END)},
    ]
    page.route("**/v1/captions", lambda route: route.fulfill(**answers.pop(0)))
    choose(page, ("rain.wav", wav(noise(8.0))))
    page.wait_for_selector("#jobs .retrying")
    assert "Trying again in 1 s" in page.inner_text("#jobs .quiet")
    page.wait_for_selector("#jobs .done", timeout=10_000)
    assert not answers and not page.is_visible("#errors")


def test_a_recording_can_be_cancelled_retried_and_removed(page) -> None:
    held = []
    page.route("**/v1/captions", lambda route: held.append(route))
    choose(page, ("one.wav", wav(noise(1.0))), ("two.wav", wav(noise(1.0))), ("three.wav", wav(noise(1.0))))
    page.wait_for_function("() => document.querySelectorAll('#jobs .sending, #jobs .working').length === 2")
    asks = []
    page.click("h1")  # browsers ask only where the page was used
    page.on("dialog", lambda dialog: (asks.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)  # leaving is asked about, and refused
    page.wait_for_timeout(500)
    assert asks == ["beforeunload"]
    for _ in range(3):
        page.click("#jobs button[title=Cancel]:visible >> nth=0")
    page.wait_for_function("() => document.querySelectorAll('#jobs .cancelled').length === 3")
    page.unroute("**/v1/captions")
    page.click("#jobs button[title=Retry]:visible >> nth=1")
    page.wait_for_selector("#jobs .done")
    page.click("#jobs button[title=Remove]:visible >> nth=0")
    assert names(page) == ["two.wav", "three.wav"]
    page.click("#clear")
    assert names(page) == [] and not page.is_visible("#recording") and page.is_visible("#examples")


def test_captions_are_appended_and_what_is_used_stays(page) -> None:
    """720 captions in 90 pieces: the focus and the selection are where they were."""
    rows = [caption(5 * i, 5 * i + 5, f"sound number {i}") for i in range(720)]
    page.evaluate(
        """async ([rows, end]) => {
          const { Job } = await import("./jobs.js");
          const { open, added, status, layout } = await import("./recording.js");
          const job = new Job(new File([], "hour.wav", { type: "audio/wav" }));
          Object.assign(job, { seconds: 3600, samples: Promise.reject(new Error("not drawn")) });
          job.samples.catch(() => {});
          open(job);
          const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          for (let i = 0; i < rows.length; i += 8) {
            for (const row of rows.slice(i, i + 8)) { job.captions.push(row); added(row); }
            await frame();
            if (i === 0) {
              const text = document.querySelector("#captions .text");
              text.focus();
              getSelection().selectAllChildren(text);
            }
          }
          Object.assign(job, { state: "done", end });
          status();
          layout();
        }""",
        [rows, END | {"duration": 3600.0}],
    )
    assert page.locator("#captions li").count() == 720
    assert page.evaluate("document.activeElement.textContent") == "sound number 0"
    assert page.evaluate("getSelection().toString()") == "sound number 0"
    lane = page.locator("#lane button")
    assert 3 <= lane.count() <= 40 and lane.nth(0).inner_text().endswith("captions")


def test_an_hour_is_rendered_in_a_second_of_main_thread_time(page) -> None:
    """Of an answer with 720 captions: processor time that Chromium counts for all tasks."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"]

    rows = []
    for i in range(720):
        rows += [{"type": "progress", "stage": "captions", "seconds": 5.0 * i + 5}, caption(5 * i, 5 * i + 5)]
    body = lines(*rows, END | {"duration": 3600.0})
    page.route("**/v1/captions", lambda route: route.fulfill(body=body))
    before = spent()
    choose(page, ("hour.wav", wav(noise(1.0))))
    page.wait_for_selector("#jobs .done")
    page.wait_for_timeout(300)
    took = spent() - before
    print(f"an hour of captions: {1000 * took:.0f} ms of main-thread time")
    assert page.locator("#captions li").count() == 720 and took < 1.0


def test_progress_touches_the_bar_alone(page) -> None:
    page.evaluate(
        """() => {
          window.touched = new Set();
          new MutationObserver((changes) => changes.forEach((change) => {
            const at = change.target.closest?.("progress, #jobs, #recording, #errors, #news");
            window.touched.add(at?.id || at?.tagName || "elsewhere");
          })).observe(document.body, {
            subtree: true, childList: true, attributes: true, characterData: true,
          });
        }"""
    )
    touched = page.evaluate(
        """async () => {
          const { list } = await import("./list.js");
          const { Job } = await import("./jobs.js");
          const rows = list({});
          const job = new Job(new File([], "a.wav"));
          rows.add(job);
          job.state = "working";
          rows.state(job);
          await new Promise((done) => setTimeout(done));
          window.touched.clear();
          for (let i = 0; i < 50; i++) { job.progress = i / 50; rows.progress(job); }
          await new Promise((done) => setTimeout(done));
          return [...window.touched];
        }"""
    )
    assert touched == ["PROGRESS"]


def test_examples_are_a_click_away(page) -> None:
    """First sight: what it is, three sounds, what comes out; and then the captions of one."""
    assert page.is_visible("#what") and page.is_visible("#sample")
    assert page.locator("[data-example]").count() == 3
    page.click("[data-example='farm.opus']")
    page.wait_for_selector("#jobs .done")
    assert page.inner_text("#title") == "farm.opus" and not page.is_visible("#examples")
    assert page.locator("#captions li").count() >= 1


def test_the_examples_are_those_of_the_repository() -> None:
    page = Path(app.__file__).parent / "page"
    for file in page.glob("*.opus"):
        assert file.read_bytes() == (EXAMPLES / file.name).read_bytes()


def test_captions_are_changed_before_they_are_downloaded(page) -> None:
    captioned(page)
    text = page.locator("#captions .text").first
    text.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text("<b>two  dogs</b>")
    page.keyboard.press("Enter")  # ends it, and is no part of the caption
    assert page.evaluate("document.activeElement.className") != "text"
    assert "\n<b>two dogs</b>\n" in download(page, "[data-format=srt]")[1]
    assert "&lt;b&gt;two dogs" in download(page, "[data-format=vtt]")[1]
    assert page.locator("#captions b").count() == 0


def test_scores_are_words(page) -> None:
    """Those of the answer, whatever they are."""
    rows = [caption(start, start + 1) | {"sureness": word} for start, word in enumerate(WORDS)]
    page.route("**/v1/captions*", lambda route: route.fulfill(body=lines(*rows, END)))
    captioned(page)
    assert page.locator("#captions .sure").all_inner_texts() == list(WORDS)


def test_nothing_of_the_last_recording_is_under_the_next_title(page) -> None:
    captioned(page, ("one.wav", wav(noise(8.0))), ("two.wav", wav(noise(8.0, 1))))
    page.wait_for_function("() => document.getElementById('waveform').width > 300")
    drawn = """() => {
      document.querySelectorAll("#jobs .pick")[1].click();
      const canvas = document.getElementById("waveform");
      return new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size;
    }"""
    page.wait_for_timeout(300)
    assert page.evaluate(drawn) == 1  # empty until it is drawn anew


def test_with_many_files_the_player_is_where_it_was(page) -> None:
    page.set_viewport_size({"width": 1200, "height": 560})
    captioned(page, *[(f"recording {i}.wav", wav(noise(1.0))) for i in range(12)])
    top = page.locator("#recording").bounding_box()["y"]
    assert top == pytest.approx(page.locator("#intake").bounding_box()["y"], abs=2)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(300)
    box = page.locator("#player audio").bounding_box()
    assert 0 <= box["y"] < 100  # it sticks


def test_on_a_phone_what_is_chosen_comes_into_view(browser, client) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 700}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{client.port}/")
    choose(page, *[(f"recording {i}.wav", wav(noise(1.0))) for i in range(6)])
    page.wait_for_function("() => document.querySelectorAll('#jobs .done').length === 6")
    page.evaluate("scrollTo(0, 0)")
    page.click("#jobs .pick >> nth=3")
    assert page.inner_text("#title") == "recording 3.wav"
    assert 0 <= page.locator("#title").bounding_box()["y"] < 350
    context.close()


def test_a_url_is_fetched_where_the_server_allows_it(browser, captioner, page) -> None:
    assert not page.is_visible("#from-url")  # this one does not
    with serving(captioner, decoders=1, fetcher=Fetcher(LIMITS)) as client:
        for other in opened(browser, client):
            other.route("**/v1/captions", lambda route: route.fulfill(body=lines(caption(0, 8), END)))
            other.fill("#url", "https://sounds.example/a%20dog.wav")
            other.click("#from-url button")
            other.wait_for_selector("#jobs .done")
            assert other.inner_text("#title") == "a dog.wav"
            assert "cannot be played" in other.inner_text("#picture-note")


def test_texts_of_strangers_stay_texts(page) -> None:
    """A name that is markup is shown as it is."""
    name = "<img src=x onerror=alert(1)>.wav"
    captioned(page, (name, wav(noise(1.0))))
    assert page.inner_text("#title") == name
    assert page.locator("#jobs img, #title img").count() == 0


def test_the_microphone(page) -> None:
    page.click("#record")
    page.wait_for_selector("#recorder:visible")
    assert page.inner_text("#clock-limit") == "of 0:30"
    page.wait_for_function("() => document.getElementById('level').value > 0.1")  # it beeps
    page.wait_for_function("() => document.getElementById('clock').textContent > '0:01'")
    page.click("#discard")
    page.wait_for_selector("#record:visible")
    assert page.locator("#jobs li").count() == 0
    page.click("#record")
    page.wait_for_timeout(1500)
    page.click("#stop")
    page.wait_for_function("() => document.querySelectorAll('#jobs .done').length === 1")
    assert page.inner_text("#title").startswith("recording ")
    assert page.locator("#captions li").count() >= 1


def test_by_keyboard_alone(page) -> None:
    captioned(page, ("long.wav", wav(noise(20.0))))
    seen = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.closest('[id]')?.id"))
        if seen[-1] == "captions":
            break
    assert {"theme", "files", "record", "detail", "jobs", "copy"} <= set(seen) and seen[-1] == "captions"
    page.keyboard.press("Tab")  # the first caption's text
    page.keyboard.press("Tab")  # the second caption's time
    page.keyboard.press("Enter")
    page.evaluate("document.querySelector('#player audio').pause()")
    assert page.evaluate("document.querySelector('#player audio').currentTime") > 1


def test_everything_that_acts_has_a_name(page) -> None:
    """Roles and names of the accessibility tree: no button, link, field or picture without one."""
    captioned(page)
    for role in ("button", "link", "combobox", "img", "slider"):
        for found in page.get_by_role(role).all():
            snapshot = found.aria_snapshot()
            assert '"' in snapshot or found.evaluate("e => !!e.closest('audio, video')"), snapshot


CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] > 250 ? colour : ground(element.parentElement);
  };
  const ratio = (element) => {
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const says = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll("body *")]
    .filter((e) => says(e) && e.checkVisibility({ visibilityProperty: true }) && ratio(e) < 4.5)
    .map((e) => `${ratio(e).toFixed(2)} ${e.tagName}.${e.className}: ${e.textContent.slice(0, 30)}`);
}"""


EDGES = (
    CONTRAST.split("const says")[0].replace(
        "getComputedStyle(element).color)", "getComputedStyle(element).borderTopColor)"
    )
    + """
  return [...document.querySelectorAll(".button:enabled, select, #captions .time, #drop")]
    .filter((e) => e.checkVisibility() && !e.matches(".primary") && ratio(e) < 3)
    .map((e) => `${ratio(e).toFixed(2)} ${e.tagName}.${e.className}`);
}"""
)  # WCAG 2.2, 1.4.11


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_in_both_themes(page, theme) -> None:
    """WCAG 2.2, 1.4.3: 4.5 for every text."""
    captioned(page)
    if theme == "dark":
        page.click("#theme")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme
    assert page.is_visible("#theme .moon") == (theme == "light")
    page.wait_for_timeout(300)  # transitions
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(EDGES) == []


def test_the_theme_is_the_systems_until_one_is_chosen(browser, client) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{client.port}/")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.click("#theme")
    page.reload()
    assert page.get_attribute("html", "data-theme") == "light"
    context.close()


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_sticks_out(page, width) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    captioned(
        page, ("a rather long name of a recording that was made last summer by the sea.wav", wav(noise(8.0)))
    )
    page.wait_for_timeout(400)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        "[...document.querySelectorAll('.button, .icon, #captions button, #jobs button, select')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 24).length"
    )
    assert small == 0  # WCAG 2.2, 2.5.8
    shown = page.locator("#jobs .name").evaluate(
        "e => [e.scrollWidth, e.clientWidth, e.lastChild.textContent]"
    )
    assert shown[0] <= shown[1] and shown[2] == " the sea.wav"  # shortened in the middle


def test_at_200_percent_everything_is_there(browser, client) -> None:
    """1200 by 900 pixels at 200 % are 600 by 450: nothing scrolls sideways, the player hides no caption."""
    context = browser.new_context(viewport={"width": 600, "height": 450}, device_scale_factor=2)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{client.port}/")
    captioned(page, ("long.wav", wav(noise(20.0))))
    assert page.evaluate("document.documentElement.scrollWidth") <= 600
    time = page.locator("#captions .time").first
    time.scroll_into_view_if_needed()
    player, row = page.locator("#player").bounding_box(), time.bounding_box()
    assert player["y"] + player["height"] <= row["y"] or player["y"] < 0
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "page-zoom.png")
    context.close()


def test_an_api_key_is_asked_for(browser, captioner) -> None:
    with serving(captioner, api_key="sesam", decoders=1) as client:
        for page in opened(browser, client):
            choose(page, ("rain.wav", wav(noise(1.0))))
            page.wait_for_selector("#jobs .failed")
            assert "API key" in page.inner_text("#errors")
            page.fill("#key", "sesam")
            page.click("#jobs button[title=Retry]")
            page.wait_for_selector("#jobs .done")


def test_the_documentation_of_the_api(page, client) -> None:
    page.goto(f"http://127.0.0.1:{client.port}/docs")
    page.wait_for_selector("article table")
    titles = page.locator("h2").all_inner_texts()
    assert titles[:2] == ["POST /v1/captions", "POST /v1/tags"] and "GET /v1/jobs/{name}" in titles
    assert set(titles[-4:]) == {f"GET /{name}" for name in ("healthz", "livez", "readyz", "metrics")}
    assert "json | ndjson | srt | vtt" in page.inner_text("article >> nth=0")


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="SCREENSHOTS names no folder")
@pytest.mark.skipif(not (DEFAULT / WEIGHTS).is_file(), reason="assets/mini holds no model.safetensors yet")
def test_screenshots(browser) -> None:
    folder = Path(os.environ["SCREENSHOTS"])
    files = [str(EXAMPLES / name) for name in ("farm.opus", "woman_and_dog.opus", "telephone.flac")]
    with serving(Captioner.from_pretrained(device="cpu"), replace(LIMITS, minutes=60)) as client:
        for page in opened(browser, client):
            page.set_input_files("#files", files)
            page.wait_for_function("() => document.querySelectorAll('#jobs .done').length === 3")
            page.wait_for_timeout(7000)  # until the news is gone
            page.screenshot(path=folder / "page-light.png")
            page.click("#theme")
            page.wait_for_timeout(500)
            page.screenshot(path=folder / "page-dark.png")
            page.set_viewport_size({"width": 390, "height": 844})
            page.wait_for_timeout(500)
            page.evaluate("document.getElementById('recording').scrollIntoView()")
            page.wait_for_timeout(300)
            page.screenshot(path=folder / "page-phone.png")
