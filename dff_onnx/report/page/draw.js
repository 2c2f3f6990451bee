// Heat maps over pictures, pixel by pixel: the same formulas as the files in overlays/.

const GROUND = 0.6; // a picture turns grey and darker: colours then speak of concepts alone
const SHADED = 0.3; // of a colour, how much follows the picture's light and shade
const HIGHLIGHT = 1.3;
const LONG_SIDE = 320; // of a picture that is not kept
const BARE = 128; // its grey
const TINT = 0.55; // of a mask
const INK = "#181818"; // around boxes and numbers: they are seen on a light picture, too

const thumbs = new Map();
const decoded = new WeakMap();
const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

/** The picture as an image; null where none is kept, or it cannot be read. */
function thumbOf(picture) {
  if (!picture.thumb) return null;
  if (!thumbs.has(picture)) {
    const image = new Image();
    image.src = `data:image/jpeg;base64,${picture.thumb}`;
    thumbs.set(picture, image);
  }
  const image = thumbs.get(picture);
  return image.complete && !image.naturalWidth ? null : image;
}

/** The cells of one level's maps, `k * h * w` bytes. */
function cellsOf(part) {
  if (!decoded.has(part)) {
    const text = atob(part.maps);
    decoded.set(part, Uint8Array.from(text, (character) => character.charCodeAt(0)));
  }
  return decoded.get(part);
}

/** For each target pixel, the cell to its left and how far it lies towards the next: half-pixel centres. */
function axis(source, target) {
  const left = new Int32Array(target);
  const share = new Float32Array(target);
  for (let i = 0; i < target; i++) {
    const centre = Math.min(Math.max(((i + 0.5) * source) / target - 0.5, 0), source - 1);
    left[i] = Math.min(Math.floor(centre), Math.max(source - 2, 0));
    share[i] = centre - left[i];
  }
  return { left, share };
}

/** One concept's heat at every pixel, bilinear, 0..1; what is returned is overwritten by the next. */
function* heats(part, width, height, numbers) {
  const { h, w } = part;
  const cells = cellsOf(part);
  const [columns, rows] = [axis(w, width), axis(h, height)];
  const wide = new Float32Array(h * width);
  const heat = new Float32Array(height * width);
  for (const number of numbers) {
    const first = number * h * w;
    for (let y = 0, to = 0; y < h; y++) {
      for (let x = 0; x < width; x++, to++) {
        const at = first + y * w + columns.left[x];
        const next = w > 1 ? cells[at + 1] : cells[at];
        wide[to] = (cells[at] + (next - cells[at]) * columns.share[x]) / 255;
      }
    }
    for (let y = 0, to = 0; y < height; y++) {
      let above = rows.left[y] * width;
      const below = h > 1 ? width : 0;
      const share = rows.share[y];
      for (let x = 0; x < width; x++, to++, above++) heat[to] = wide[above] + (wide[above + below] - wide[above]) * share;
    }
    yield [number, heat];
  }
}

const grey = (pixels, at) => (pixels[at] * 19595 + pixels[at + 1] * 38470 + pixels[at + 2] * 7471 + 32768) >> 16;

/** Grey and darkened, concepts over it in proportion to their heat; where they meet, the stronger one's colour prevails. */
function paintOverlay(pixels, layers, colours, opacity) {
  const size = pixels.length / 4;
  const [cover, sum, paint] = [new Float32Array(size), new Float32Array(size), new Float32Array(3 * size)];
  for (const [number, heat] of layers) {
    const [red, green, blue] = colours[number];
    for (let i = 0; i < size; i++) {
      const value = heat[i] * opacity;
      if (value === 0) continue;
      const share = value * value * value * value;
      if (value > cover[i]) cover[i] = value;
      sum[i] += share;
      paint[3 * i] += share * red;
      paint[3 * i + 1] += share * green;
      paint[3 * i + 2] += share * blue;
    }
  }
  for (let i = 0, at = 0; i < size; i++, at += 4) {
    const light = grey(pixels, at);
    const ground = GROUND * (1 - cover[i]) * light;
    const scale = sum[i] ? (cover[i] / sum[i]) * ((SHADED * HIGHLIGHT * light) / 255 + 1 - SHADED) : 0;
    for (let c = 0; c < 3; c++) pixels[at + c] = ground + scale * paint[3 * i + c];
  }
}

/** Writes the number into `line` wherever a mask ends within so many pixels; the picture's border is no end. */
function markEdges(inside, width, step, line, number) {
  const below = step * width;
  for (let i = 0, x = 0; i < inside.length; i++, x = x + 1 === width ? 0 : x + 1) {
    if (!inside[i]) continue;
    const across = (x >= step && !inside[i - step]) || (x + step < width && !inside[i + step]);
    const along = (i >= below && !inside[i - below]) || (i + below < inside.length && !inside[i + below]);
    if (across || along) line[i] = number;
  }
}

/** The picture where a mask is, tinted; outlines of every mask; grey and darkened outside all of them. */
function paintMasks(pixels, width, layers, colours, thresholds, opacity) {
  const size = pixels.length / 4;
  const [best, owner, line] = [new Float32Array(size), new Int16Array(size).fill(-1), new Int16Array(size).fill(-1)];
  const step = Math.max(1, Math.round(width / 400));
  const peaks = [];
  const inside = new Uint8Array(size);
  for (const [number, heat] of layers) {
    const on = thresholds[number];
    let peak = -1;
    for (let i = 0; i < size; i++) {
      const value = heat[i];
      inside[i] = value >= on && value > 0 ? 1 : 0;
      if (!inside[i]) continue;
      if (peak < 0 || value > heat[peak]) peak = i;
      if (value > best[i]) [best[i], owner[i]] = [value, number];
    }
    markEdges(inside, width, step, line, number);
    if (peak >= 0) peaks.push([number, peak % width, Math.floor(peak / width)]);
  }
  for (let i = 0, at = 0; i < size; i++, at += 4) {
    const colour = colours[line[i] < 0 ? owner[i] : line[i]];
    const tint = line[i] < 0 ? TINT * opacity : 1;
    const dark = GROUND * grey(pixels, at);
    for (let c = 0; c < 3; c++) pixels[at + c] = colour ? pixels[at + c] * (1 - tint) + colour[c] * tint : dark;
  }
  return peaks;
}

/** A number on its colour, at a place of the canvas. */
function drawTag(context, number, colour, x, y) {
  const size = Math.max(11, Math.round(context.canvas.width / 26));
  context.font = `600 ${size}px system-ui, sans-serif`;
  const [width, height] = [context.measureText(number).width + 0.6 * size, 1.3 * size];
  const left = Math.min(Math.max(x, 0), context.canvas.width - width);
  const top = Math.min(Math.max(y, 0), context.canvas.height - height);
  context.fillStyle = INK;
  context.fillRect(left - 1, top - 1, width + 2, height + 2);
  context.fillStyle = colour;
  context.fillRect(left, top, width, height);
  context.fillStyle = inkOn(colour);
  context.textBaseline = "middle";
  context.fillText(number, left + 0.3 * size, top + height / 2);
}

/** Boxes of the concepts' regions: the largest one bold and with the concept's number, `all` of them where there is room. */
function drawBoxes(context, picture, numbers, concepts, all) {
  const [across, along] = [context.canvas.width / picture.width, context.canvas.height / picture.height];
  const line = Math.max(2, context.canvas.width / 130);
  const frame = ([x0, y0, x1, y1], width, colour) => {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.strokeRect(x0 * across + line / 2, y0 * along + line / 2, (x1 - x0) * across - line, (y1 - y0) * along - line);
  };
  for (const number of numbers) {
    const { colour } = concepts[number];
    const boxes = (inLevel(picture).concepts[number] || [0, 0, []])[2].slice(0, all ? undefined : 1);
    boxes.forEach((box, place) => {
      frame(box, (place ? 0.5 : 1) * line + 2, INK);
      frame(box, (place ? 0.5 : 1) * line, colour);
    });
    if (boxes.length) drawTag(context, number, colour, boxes[0][0] * across, boxes[0][1] * along);
  }
}

/** Sets the canvas to the picture's shape, draws the picture, and says whether it was there already. */
function drawGround(context, picture, longSide) {
  const image = thumbOf(picture);
  if (image && !image.complete) return false;
  const { canvas } = context;
  const [width, height] = image ? [image.naturalWidth, image.naturalHeight] : [picture.width, picture.height];
  const zoom = image && !longSide ? 1 : (longSide || LONG_SIDE) / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * zoom));
  canvas.height = Math.max(1, Math.round(height * zoom));
  context.imageSmoothingQuality = "high";
  context.fillStyle = `rgb(${BARE}, ${BARE}, ${BARE})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (image) context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return true;
}

/**
 * Draws a picture as it is to be looked at.
 *
 * `numbers` are the concepts to draw; `longSide` is that of the canvas, by default the kept picture's own. False where
 * the picture is still being read.
 */
function draw(canvas, picture, view, opacity, numbers, longSide = 0) {
  const direct = view === "original" || view === "boxes";
  if (!drawGround(scratch, picture, longSide)) return false;
  const { width, height } = scratch.canvas;
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const concepts = conceptsOf(picture);
  const there = numbers.filter((number) => number < concepts.length);
  const image = direct ? null : scratch.getImageData(0, 0, width, height);
  if (direct) context.drawImage(scratch.canvas, 0, 0);
  if (view === "boxes") drawBoxes(context, picture, there, concepts, longSide > 0);
  if (direct) return true;
  const layers = heats(inLevel(picture), width, height, there);
  const colours = concepts.map((concept) => rgb(concept.colour));
  let peaks = [];
  if (view === "overlay") paintOverlay(image.data, layers, colours, opacity);
  else peaks = paintMasks(image.data, width, layers, colours, concepts.map((concept) => concept.on), opacity);
  context.putImageData(image, 0, 0);
  for (const [number, x, y] of peaks) drawTag(context, number, concepts[number].colour, x, y);
  return true;
}
