// A picture's file as the network takes it. sharp decodes; the scaling is Python's, see resize.mjs.

import sharp from "sharp";
import { resized, wantedSize } from "../web/resize.mjs";

/** `{ pixels, width, height }`: RGB bytes, turned as the camera was held, white where the file is transparent. */
export async function pixelsOf(path, resize) {
  try {
    const upright = sharp(path).autoOrient().flatten({ background: "white" }).toColourspace("srgb");
    const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true });
    const size = wantedSize(resize, info);
    return { pixels: resized(data, info.channels, info, size), ...size };
  } catch (error) {
    throw new Error(`${path}: cannot be used as a picture (${error.message})`, { cause: error });
  }
}
