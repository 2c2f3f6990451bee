// A compiled bank in Node: picture files in; names, scores, boxes, losses and heat maps out.

import { readFile } from "node:fs/promises";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { compiledOf } from "../web/metadata.mjs";
import { pixelsOf } from "./pixels.mjs";

const BOXES = { regions: "boxes", masks: "mask_boxes" };

/** Opens a file that `dff-onnx compile` made of a bank; throws an Error that names it where it is none. */
export async function openConcepts(path) {
  try {
    const bytes = await readFile(path);
    const about = compiledOf(bytes);
    if (about.kind !== "concepts" || !about.concepts.length) throw new Error("holds no concepts of a bank");
    return new Concepts(await InferenceSession.create(bytes), about);
  } catch (error) {
    throw new Error(`${path}: ${error.message}`, { cause: error });
  }
}

class Concepts {
  #session;

  /** `about` is what the file says of itself: names, colours, thresholds, sizes. */
  constructor(session, about) {
    this.#session = session;
    this.about = about;
  }

  /** What is in a picture's file. */
  async inFile(path) {
    return this.inPixels(await pixelsOf(path, this.about.resize));
  }

  /**
   * What is in RGB bytes of a picture that has the wanted size.
   *
   * Boxes are `[x0, y0, x1, y1]` in these pixels, half-open, null where a concept is nowhere; heat maps are
   * `k * height * width` floats, concept by concept.
   */
  async inPixels({ pixels, width, height }) {
    const image = new Tensor("uint8", pixels, [1, height, width, 3]);
    const found = await this.#session.run({ image });
    const boxes = found[BOXES[this.about.boxes]].data;
    const loss = found.loss.data[0];
    return {
      width,
      height,
      loss,
      explained: this.about.limit === null ? null : loss <= this.about.limit,
      concepts: this.about.concepts.map(({ number, name, colour }) => ({
        number,
        name,
        colour,
        score: found.scores.data[number],
        box: boxOf(boxes.slice(4 * number, 4 * number + 4)),
      })),
      heatmaps: found.heatmaps?.data,
    };
  }
}

function boxOf([x0, y0, x1, y1]) {
  return x1 > x0 ? [x0, y0, x1, y1] : null;
}
