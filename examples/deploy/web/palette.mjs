// Colours of concepts that have none yet: those of `dff-onnx run`, told apart by people of any colour vision.

const SAFE = ["#4bdaff", "#bf441f", "#f5f445", "#2867db", "#f29105", "#1b9965", "#ba7fb7", "#f0faff"];
const GOLDEN = 0.618; // of a turn: no hue comes back soon

/** `#rrggbb` of a concept's number. */
export function colourOf(number) {
  if (number < SAFE.length) return SAFE[number];
  const hue = 2 * Math.PI * ((number - SAFE.length) * GOLDEN);
  const channels = [0, 1, 2].map((third) => Math.round(150 + 80 * Math.cos(hue - (third * 2 * Math.PI) / 3)));
  return `#${channels.map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}
