// Heat maps and boxes over a picture: the formulas of the overlays that `dff-onnx run` writes.

const GROUND = 0.6; // a picture turns grey and darker: colours then speak of concepts alone
const SHADED = 0.3; // of a colour, how much follows the picture's light and shade
const HIGHLIGHT = 1.3;
const INK = "#181818";

const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const grey = (pixels, at) => 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];

/** Black or white, whichever is read better on a colour. */
export function inkOn(colour) {
  return grey(rgb(colour), 0) > 128 ? INK : "#ffffff";
}

/** For each target pixel, the source pixel to its left and how far it lies towards the next: half-pixel centres. */
function axis(source, target) {
  const centres = Array.from({ length: target }, (_, i) => ((i + 0.5) * source) / target - 0.5);
  const inside = centres.map((centre) => Math.min(Math.max(centre, 0), source - 1));
  const left = Int32Array.from(inside, (centre) => Math.min(Math.floor(centre), source - 2));
  return { left, share: Float32Array.from(inside, (centre, i) => centre - left[i]) };
}

/** A heat map `{ data, width, height }` at another size, 0..1 times `strength`. */
function heatAt(map, columns, rows, strength) {
  const heat = new Float32Array(columns.left.length * rows.left.length);
  let to = 0;
  rows.left.forEach((row, y) => {
    const [above, down] = [row * map.width, rows.share[y]];
    columns.left.forEach((column, x) => {
      const [at, across] = [above + column, columns.share[x]];
      const upper = map.data[at] + (map.data[at + 1] - map.data[at]) * across;
      const below = at + map.width;
      const lower = map.data[below] + (map.data[below + 1] - map.data[below]) * across;
      heat[to++] = Math.min(upper + (lower - upper) * down, 1) * strength;
    });
  });
  return heat;
}

/** Grey and darkened, concepts over it in proportion to their heat; where they meet, the stronger colour prevails. */
function blend(pixels, layers) {
  for (let i = 0, at = 0; at < pixels.length; i++, at += 4) {
    let [cover, sum, red, green, blue] = [0, 0, 0, 0, 0];
    for (const { heat, colour } of layers) {
      const share = heat[i] ** 4;
      cover = Math.max(cover, heat[i]);
      sum += share;
      red += share * colour[0];
      green += share * colour[1];
      blue += share * colour[2];
    }
    const light = grey(pixels, at);
    const ground = GROUND * (1 - cover) * light;
    const scale = sum && (cover / sum) * ((SHADED * HIGHLIGHT * light) / 255 + 1 - SHADED);
    pixels[at] = ground + scale * red;
    pixels[at + 1] = ground + scale * green;
    pixels[at + 2] = ground + scale * blue;
  }
}

function frame(context, { box, colour, number }, across, along) {
  const [left, top, right, bottom] = [box[0] * across, box[1] * along, box[2] * across, box[3] * along];
  const line = Math.max(2, context.canvas.width / 180);
  for (const [width, style] of [[line + 2, INK], [line, colour]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.strokeRect(left + line / 2, top + line / 2, right - left - line, bottom - top - line);
  }
  const size = Math.max(12, Math.round(context.canvas.width / 30));
  context.font = `600 ${size}px system-ui, sans-serif`;
  const [wide, tall] = [context.measureText(number).width + 0.6 * size, 1.3 * size];
  context.fillStyle = INK;
  context.fillRect(left, top, wide + 2, tall + 2);
  context.fillStyle = colour;
  context.fillRect(left + 1, top + 1, wide, tall);
  context.fillStyle = inkOn(colour);
  context.textBaseline = "middle";
  context.fillText(number, left + 1 + 0.3 * size, top + 1 + tall / 2);
}

/**
 * Draws a picture with concepts over it.
 *
 * `ground` is the picture as RGBA. `maps` are heat maps with their colours, `{ data, width, height, colour }`, `boxes`
 * such as `{ box, colour, number }` in the pixels of the maps.
 */
export function paint(canvas, ground, maps, boxes, strength) {
  const { width, height } = ground;
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = new ImageData(new Uint8ClampedArray(ground.data), width, height);
  const layers = maps.map((map) => {
    const heat = heatAt(map, axis(map.width, width), axis(map.height, height), strength);
    return { heat, colour: rgb(map.colour) };
  });
  blend(image.data, layers);
  context.putImageData(image, 0, 0);
  for (const one of boxes) frame(context, one, width / one.width, height / one.height);
}
