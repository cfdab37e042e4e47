// A recording as numbers to draw: its peaks, and its spectrum over time.

const RATE = 16000; // Hz
const SIZE = 512; // samples of a spectrum, 32 ms
const ROWS = 96; // of the spectrogram
const LOWEST = 60; // Hz
const RANGE = 70; // dB that are shown
const MOST_BYTES = 300e6; // of a file that the browser decodes as a whole
const MOST_SECONDS = 2400;

/** Float32Array, mono at 16 kHz. Throws an Error that says why there is nothing to draw. */
export async function decode(file, seconds) {
  if (file.size > MOST_BYTES || seconds > MOST_SECONDS) throw new Error("The recording is too long to be drawn here.");
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Error("Your browser cannot decode this format, so it is not drawn.");
  }
  const mono = buffer.getChannelData(0).slice();
  for (let channel = 1; channel < buffer.numberOfChannels; channel++)
    buffer.getChannelData(channel).forEach((value, i) => (mono[i] += value));
  return mono.map((value) => value / buffer.numberOfChannels);
}

export const secondsOf = (samples) => samples.length / RATE;

/** The largest magnitude in each of `count` equal stretches. */
export function peaks(samples, count) {
  return Float32Array.from({ length: count }, (_, i) => {
    let peak = 0;
    const end = Math.ceil(((i + 1) * samples.length) / count);
    for (let s = Math.floor((i * samples.length) / count); s < end; s++) peak = Math.max(peak, Math.abs(samples[s]));
    return peak;
  });
}

/** [columns][ROWS] of 0..1: the level at frequencies that are evenly spaced by ear, lowest first. */
export function spectrogram(samples, columns) {
  const bins = rowBins();
  const levels = Array.from({ length: columns }, (_, i) => {
    const power = spectrum(samples, Math.floor(((i + 0.5) * samples.length) / columns) - SIZE / 2);
    return bins.map(([from, to]) => 10 * Math.log10(Math.max(...power.subarray(from, to)) + 1e-12));
  });
  const top = levels.flat().reduce((a, b) => Math.max(a, b), -120);
  return levels.map((column) => column.map((level) => Math.max(0, 1 + (level - top) / RANGE)));
}

/** Which bins of the spectrum each row shows; mel = 2595 log10(1 + f / 700). */
function rowBins() {
  const mel = (f) => 2595 * Math.log10(1 + f / 700);
  const bin = (m) => ((700 * (10 ** (m / 2595) - 1)) * SIZE) / RATE;
  const edges = Array.from({ length: ROWS + 1 }, (_, i) => mel(LOWEST) + (i * (mel(RATE / 2) - mel(LOWEST))) / ROWS);
  return edges.slice(1).map((edge, i) => [Math.floor(bin(edges[i])), Math.max(Math.floor(bin(edges[i])) + 1, Math.ceil(bin(edge)))]);
}

const HANN = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));

/** Power of SIZE samples from `start`, bins 0 .. SIZE / 2 (radix-2 FFT, in place). */
export function spectrum(samples, start) {
  const re = new Float32Array(SIZE), im = new Float32Array(SIZE);
  for (let i = 0; i < SIZE; i++) re[reversed(i)] = (samples[start + i] ?? 0) * HANN[i];
  for (let half = 1; half < SIZE; half *= 2) {
    for (let i = 0; i < SIZE; i++) {
      if (i & half) continue;
      const angle = (-Math.PI * (i & (half - 1))) / half, cos = Math.cos(angle), sin = Math.sin(angle);
      const j = i + half, r = re[j] * cos - im[j] * sin, m = re[j] * sin + im[j] * cos;
      re[j] = re[i] - r; im[j] = im[i] - m;
      re[i] += r; im[i] += m;
    }
  }
  return re.map((value, i) => value * value + im[i] * im[i]).subarray(0, SIZE / 2 + 1);
}

/** The bits of an index of the FFT in the other order. */
function reversed(i) {
  let out = 0;
  for (let bit = 1; bit < SIZE; bit *= 2, i >>= 1) out = out * 2 + (i & 1);
  return out;
}
