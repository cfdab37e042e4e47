// What is drawn over time: waveform, spectrogram, a strip for each tag, an axis.

import { theme } from "./dom.js";
import { peaks, spectrogram } from "./sound.js";

// From the ground of the page to what is loudest, as [red, green, blue].
const COLOURS = {
  light: [[255, 253, 248], [201, 222, 220], [84, 155, 158], [24, 82, 98], [20, 30, 48]],
  dark: [[27, 35, 39], [24, 66, 76], [46, 128, 132], [226, 160, 98], [255, 240, 214]],
};

/** Leaves nothing drawn. */
export function clear(canvas) {
  canvas.width = canvas.width;
}

/** Its context, sized to the pixels it really has; it draws in the canvas's own colour. */
function fresh(canvas) {
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  return context;
}

export function drawWaveform(canvas, samples) {
  const context = fresh(canvas), { width, height } = canvas;
  const heights = peaks(samples, width), top = heights.reduce((a, b) => Math.max(a, b), 1e-4);
  heights.forEach((peak, x) => {
    const tall = Math.max(1, (peak / top) * height * 0.94);
    context.fillRect(x, (height - tall) / 2, 1, tall);
  });
}

export function drawSpectrogram(canvas, samples) {
  const context = fresh(canvas);
  const columns = spectrogram(samples, Math.min(canvas.width, 1200));
  const image = new ImageData(columns.length, columns[0].length);
  const scale = COLOURS[theme()];
  columns.forEach((column, x) =>
    column.forEach((level, row) => {
      const at = 4 * ((column.length - 1 - row) * columns.length + x);
      image.data.set([...between(scale, level), 255], at);
    }));
  const small = new OffscreenCanvas(image.width, image.height);
  small.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

function between(scale, level) {
  const at = level * (scale.length - 1), i = Math.min(Math.floor(at), scale.length - 2);
  return scale[i].map((low, c) => low + (scale[i + 1][c] - low) * (at - i));
}

/** windows: [[start, end], ...]; probabilities: one for each. */
export function drawStrip(canvas, windows, probabilities, seconds) {
  const context = fresh(canvas), { width, height } = canvas;
  windows.forEach(([start, end], i) => {
    context.globalAlpha = probabilities[i];
    const from = Math.round((start / seconds) * width);
    context.fillRect(from, 0, Math.round((end / seconds) * width) - from, height);
  });
}

/** Seconds at which the axis is marked: at most one in 70 pixels, at round times. */
export function ticks(seconds, pixels) {
  const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  const step = steps.find((s) => (s / seconds) * pixels >= 70) ?? 7200;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step).filter((t) => t < seconds * 0.97 || t === 0);
}
