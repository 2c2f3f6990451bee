// The size at which a picture enters the network, and how it gets there: Pillow's bilinear filter, in its integers, so
// that a picture has the same pixels here as in Python. A canvas would scale by a filter of its browser.

const [SMALLEST, LARGEST] = [32, 8192];
const PRECISION = 22; // bits of a weight behind the point

/** To the nearest integer, halves to the even one, as Python rounds. */
function rounded(value) {
  const below = Math.floor(value);
  return below + (value - below > 0.5 || (value - below === 0.5 && below % 2) ? 1 : 0);
}

/** `{ width, height }` of a picture for the network; `resize` is that of a compiled file. */
export function wantedSize({ mode, pixels }, { width, height }) {
  if (mode === "square") return { width: pixels, height: pixels };
  const side = mode === "short" ? Math.min(width, height) : Math.max(width, height);
  const scaled = (length) => Math.min(Math.max(rounded((length * pixels) / side), SMALLEST), LARGEST);
  return { width: scaled(width), height: scaled(height) };
}

/** For each place of a line of `to` pixels: the first of the `from` pixels that it is made of, and their weights. */
function windowsOf(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), from);
    const weights = Array.from({ length: end - first }, (_, i) =>
      Math.max(1 - Math.abs((first + i - centre + 0.5) / support), 0),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: Int32Array.from(weights, (weight) => 0.5 + (weight / sum) * 2 ** PRECISION) };
  });
}

/** Scales lines: `steps` from one pixel to the next within a line and from one line to the next, before and after. */
function scaled(pixels, windows, lines, before, after, target) {
  for (let line = 0; line < lines; line++) {
    windows.forEach(({ first, weights }, place) => {
      for (let colour = 0; colour < 3; colour++) {
        let sum = 1 << (PRECISION - 1);
        let at = line * before.line + first * before.pixel + colour;
        for (let i = 0; i < weights.length; i++, at += before.pixel) sum += pixels[at] * weights[i];
        target[line * after.line + place * after.pixel + colour] = sum >> PRECISION;
      }
    });
  }
  return target;
}

/**
 * RGB bytes at the size `to` of RGB or RGBA bytes (`channels`) of the size `from`.
 *
 * A picture that has the size already comes out untouched.
 */
export function resized(pixels, channels, from, to) {
  const wide = scaled(
    pixels,
    windowsOf(from.width, to.width),
    from.height,
    { pixel: channels, line: channels * from.width },
    { pixel: 3, line: 3 * to.width },
    new Uint8Array(3 * to.width * from.height),
  );
  if (from.height === to.height) return wide;
  return scaled(
    wide,
    windowsOf(from.height, to.height),
    to.width,
    { pixel: 3 * to.width, line: 3 },
    { pixel: 3 * to.width, line: 3 },
    new Uint8Array(3 * to.width * to.height),
  );
}
