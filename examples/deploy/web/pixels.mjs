// A picture's file becomes pixels: those that enter the network, and those that are looked at.

import { resized, wantedSize } from "./resize.mjs";

// A larger picture is drawn smaller first: browsers refuse larger canvases.
const [MOST_PIXELS, LONGEST] = [16_000_000, 16_384];
const SHOWN = 560; // longer side of what is looked at

/**
 * `{ width, height, input, ground }` of a picture's file.
 *
 * `width` and `height` are its own; `input` has the RGB bytes and the size that `resize` wants, `ground` the RGBA bytes
 * and the size for the page. The browser turns a picture as the camera was held; what is transparent becomes white.
 */
export async function readPicture(file, resize) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" }); // as they are stored, as in Python
  } catch {
    throw new Error("cannot be decoded as a picture");
  }
  const { width, height } = bitmap;
  const longer = Math.max(width, height);
  const whole = drawn(bitmap, Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)), LONGEST / longer));
  const ground = drawn(bitmap, Math.min(1, SHOWN / longer));
  bitmap.close();
  const size = wantedSize(resize, { width, height });
  return { width, height, input: { pixels: resized(whole.data, 4, whole, size), ...size }, ground };
}

/** RGBA of a picture on white; at its own size its bytes are untouched. */
function drawn(bitmap, scale) {
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}
