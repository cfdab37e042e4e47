// The microphone: it records until it is stopped, discarded, or as long as the server takes.

import { $, minutes } from "./dom.js";

/** done(file), failed(message). most() -> seconds at most. Wires the buttons up. */
export function recorder({ most, done, failed }) {
  let recording = null;

  async function start() {
    if (!navigator.mediaDevices) return failed("The microphone needs https, or a page from localhost.");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, // they take sounds for noise
      });
      record(stream);
    } catch {
      failed("The microphone cannot be used; allow it for this page and try again.");
    }
  }

  function record(stream) {
    const pieces = [], context = new AudioContext(), analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize), begin = performance.now();
    recording = new MediaRecorder(stream);
    recording.kept = true;
    recording.ondataavailable = (event) => pieces.push(event.data);
    recording.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      const { kept, mimeType } = recording, type = mimeType.split(";")[0];
      recording = null;
      show(false);
      if (!kept) return;
      const time = new Date().toLocaleTimeString([], { hour12: false }).replaceAll(":", "-");
      done(new File(pieces, `recording ${time}.${type.split("/")[1]}`, { type }));
    };
    recording.start();
    show(true);
    $("clock-limit").textContent = `of ${minutes(most(), 0)}`;
    const tick = () => {
      if (recording?.state !== "recording") return;
      const seconds = (performance.now() - begin) / 1000;
      $("clock").textContent = minutes(seconds);
      analyser.getFloatTimeDomainData(samples);
      $("level").value = Math.sqrt(samples.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0));
      if (seconds >= most()) recording.stop();
      else setTimeout(tick, 100);
    };
    tick();
  }

  function show(on) {
    $("recorder").hidden = !on;
    $("record").hidden = on;
    $(on ? "stop" : "record").focus();
  }

  function stop(kept) {
    if (recording?.state !== "recording") return;
    recording.kept = kept;
    recording.stop();
  }

  $("record").onclick = start;
  $("stop").onclick = () => stop(true);
  $("discard").onclick = () => stop(false);
  return { get active() { return recording !== null; } };
}
