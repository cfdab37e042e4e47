// The microphone: one button starts and stops, and a file comes out.

/** started() when it records, done(file), failed(message). Returns what the button calls. */
export function recorder({ started, done, failed }) {
  let recording = null;
  return async () => {
    if (recording) return recording.stop();
    if (!navigator.mediaDevices) return failed("The microphone needs https, or a page from localhost.");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, // they take sounds for noise
      });
      const pieces = [];
      recording = new MediaRecorder(stream);
      recording.ondataavailable = (event) => pieces.push(event.data);
      recording.onstop = () => {
        stream.getTracks().forEach((track) => track.stop());
        const type = recording.mimeType.split(";")[0];
        const time = new Date().toLocaleTimeString([], { hour12: false }).replaceAll(":", "-");
        recording = null;
        done(new File(pieces, `recording ${time}.${type.split("/")[1]}`, { type }));
      };
      recording.start();
      started();
    } catch {
      failed("The microphone cannot be used; allow it for this page and try again.");
    }
  };
}
