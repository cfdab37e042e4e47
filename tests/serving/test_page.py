"""The page in headless Chromium: upload, timeline, downloads, errors, keyboard, phone, dark.

pytest -m browser tests/serving, with Debian's chromium-headless-shell (CHROMIUM names another one) and the
Python package playwright. SCREENSHOTS=docs/images writes the pictures of docs/server.md.
"""

from __future__ import annotations

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
    return coming.value.suggested_filename, Path(coming.value.path()).read_text("utf-8")


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
    count = page.locator("#captions button").count()
    assert count >= 2
    second = page.locator("#captions button").nth(1)
    second.click()
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
    rows = [Caption(row["caption"], row["score"], row["start"], row["end"]) for row in told["captions"]]
    assert download(page, "[data-format=srt]") == ("two.parts.srt", to_srt(rows))
    assert download(page, "[data-format=vtt]") == ("two.parts.vtt", to_vtt(rows))
    name, text = download(page, "[data-format=json]")
    assert name == "two.parts.json"
    assert json.loads(text)["captions"] == told["captions"]
    assert json.loads(text)["tags"] == client.post("/v1/tags", sound).json
    page.click("#copy")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert [line.split("\t")[1] for line in copied.splitlines()] == [c.text for c in rows]


def test_errors_are_shown_and_the_others_go_on(page) -> None:
    choose(
        page,
        ("fine.wav", wav(noise(1.0))),
        ("broken.wav", b"no sound" * 100),
        ("large.wav", bytes(3 << 20)),
        ("also fine.wav", wav(noise(1.5))),
    )
    page.wait_for_function("() => document.querySelectorAll('#jobs .done, #jobs .failed').length === 4")
    texts = [page.locator(f"#jobs {kind}").all_inner_texts() for kind in (".name", ".quiet")]
    states = dict(zip(*texts, strict=True))
    assert "1 caption" in states["fine.wav"] and "1 caption" in states["also fine.wav"]
    assert "not a media file" in states["broken.wav"]
    assert "larger than 2 MB" in states["large.wav"]
    assert "large.wav" in page.inner_text("#error") or "broken.wav" in page.inner_text("#error")
    assert page.get_attribute("#error", "role") == "alert"
    assert page.inner_text("#batch-state") == "2 of 4 captioned"
    name, text = download(page, "#all")
    assert name == "captions.json" and [job["file"] for job in json.loads(text)] == [
        "fine.wav",
        "also fine.wav",
    ]


def test_texts_of_strangers_stay_texts(page) -> None:
    """A name that is markup is shown as it is."""
    name = "<img src=x onerror=alert(1)>.wav"
    captioned(page, (name, wav(noise(1.0))))
    assert page.inner_text("#title") == name
    assert page.locator("#jobs img, #title img").count() == 0


def test_the_microphone(page) -> None:
    page.click("#record")
    page.wait_for_function("() => document.getElementById('record').getAttribute('aria-pressed') === 'true'")
    page.wait_for_timeout(1500)
    page.click("#record")
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
    assert {"theme", "files", "record", "window", "jobs", "copy"} <= set(seen) and seen[-1] == "captions"
    page.keyboard.press("Tab")
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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_in_both_themes(page, theme) -> None:
    """WCAG 2.2, 1.4.3: 4.5 for every text."""
    captioned(page)
    if theme == "dark":
        page.click("#theme")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme
    page.wait_for_timeout(300)  # transitions
    assert page.evaluate(CONTRAST) == []


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
        "[...document.querySelectorAll('.button, #captions button, #jobs button, select')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 24).length"
    )
    assert small == 0  # WCAG 2.2, 2.5.8


def test_an_api_key_is_asked_for(browser, captioner) -> None:
    with serving(captioner, api_key="sesam", decoders=1) as client:
        for page in opened(browser, client):
            choose(page, ("rain.wav", wav(noise(1.0))))
            page.wait_for_selector("#jobs .failed")
            assert "API key" in page.inner_text("#error")
            page.fill("#key", "sesam")
            captioned(page, ("rain.wav", wav(noise(1.0))))


def test_the_documentation_of_the_api(page, client) -> None:
    page.goto(f"http://127.0.0.1:{client.port}/docs")
    page.wait_for_selector("article table")
    titles = page.locator("h2").all_inner_texts()
    assert titles == ["POST /v1/captions", "POST /v1/tags", "GET /healthz", "GET /metrics"]
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
