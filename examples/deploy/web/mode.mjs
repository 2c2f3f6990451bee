// What the page does with pictures, one object for each of its two ways: which file is open, which pictures are there,
// and what was found in them. Whoever shows it is told of changes.

import { colourOf } from "./palette.mjs";
import { pictureProblem } from "./texts.mjs";

export class Mode {
  /** What the open file says of itself; null while none is open. */
  about = null;
  /** `{ number, name, colour }` of each concept. */
  concepts = [];
  /** Numbers of concepts that are not to be seen. */
  hidden = new Set();
  /** `{ file, picture, found }`: a file, its pixels once they are read, and what was found once it was looked at. */
  entries = [];
  /** Loss of all pictures together, where they are factorized together. */
  loss = null;
  /** What is being done, null when nothing is. */
  doing = null;

  #engine;
  #tell;
  #working = false;

  /**
   * `kind` is that of the compiled file, `together` whether it looks at all pictures at once, `most` how many pictures
   * there may be. `tell.changed()` and `tell.problem(sentence)` are called as things happen.
   */
  constructor({ kind, together, most }, engine, tell) {
    Object.assign(this, { kind, together, most });
    this.#engine = engine;
    this.#tell = tell;
  }

  /** Opens the bytes of a compiled file; pictures that are there are looked at again. */
  async open(bytes, name) {
    this.#begin(`Opening ${name}`);
    try {
      this.about = await this.#engine.open(bytes, this.kind);
      this.name = name;
      this.concepts = this.about.concepts;
      if (this.together) this.concepts = Array.from({ length: this.about.k }, (_, number) => unnamed(number));
      this.hidden.clear();
      for (const entry of this.entries) entry.picture = entry.found = null;
    } catch (error) {
      this.#tell.problem(`“${name}” ${error.message}.`);
    }
    this.#begin(null);
    await this.#work();
  }

  /** Looks at more pictures. */
  async add(files) {
    if (!this.about) {
      this.#tell.problem("Pictures need an open file: open an .onnx file that dff-onnx compiled first.");
      return;
    }
    const room = Math.max(this.most - this.entries.length, 0);
    if (files.length > room) this.#tell.problem(`Only ${this.most} pictures at a time are looked at here.`);
    this.entries.push(...files.slice(0, room).map((file) => ({ file, picture: null, found: null })));
    await this.#work();
  }

  clear() {
    this.entries = [];
    this.#tell.changed();
  }

  #begin(doing) {
    this.doing = doing;
    this.#tell.changed();
  }

  /** Steps until nothing is left to do. What is added or opened meanwhile is seen by the next step. */
  async #work() {
    if (this.#working || !this.about) return;
    this.#working = true;
    while (this.entries.some((entry) => !entry.found)) await this.#step();
    this.#working = false;
    this.#begin(null);
  }

  /** Reads the next picture; or looks at it, or at all of them, where that is what is next. */
  async #step() {
    const unread = this.entries.find((entry) => !entry.picture);
    const ready = this.entries.find((entry) => entry.picture && !entry.found);
    if (!ready || (this.together && unread)) await this.#try([unread], () => this.#read(unread));
    else await this.#try(this.together ? [...this.entries] : [ready], (batch) => this.#look(batch));
  }

  /** Does something with a batch. Where it fails, pictures of which nothing is known yet are told of, and left out. */
  async #try(batch, work) {
    const { entries, about } = this;
    try {
      await work(batch);
    } catch (error) {
      if (entries !== this.entries || about !== this.about) return; // nobody waits for it any more
      const lost = batch.filter((entry) => !entry.found);
      this.#tell.problem(pictureProblem(lost.map((entry) => entry.file.name), error.message));
      this.entries = entries.filter((entry) => !lost.includes(entry));
    }
  }

  async #read(entry) {
    const place = this.entries.indexOf(entry) + 1;
    this.#begin(`Picture ${place} of ${this.entries.length}: ${entry.file.name}`);
    const { about } = this;
    const picture = await this.#engine.read(entry.file, about.resize);
    if (about === this.about) entry.picture = picture;
  }

  async #look(batch) {
    const { about } = this;
    const inputs = batch.map((entry) => entry.picture.input);
    if (inputs.some(({ width, height }) => width !== inputs[0].width || height !== inputs[0].height)) {
      throw new Error("has another shape than the pictures before, and this file takes pictures of one shape together");
    }
    if (this.together) this.#begin(`Looking for what ${batch.length} pictures share`);
    const found = await this.#engine.run(this.kind, inputs);
    if (about !== this.about) return;
    if (found.scores.dims[1] !== this.concepts.length) throw new Error("meets a file of other outputs than it says");
    batch.forEach((entry, place) => {
      entry.found = foundIn(found, place, this.concepts.length);
    });
    if (this.together) this.loss = found.loss.data[0];
  }
}

function unnamed(number) {
  return { number, name: null, colour: colourOf(number) };
}

/** What the outputs say of one picture of a batch. */
function foundIn(outputs, place, k) {
  const [height, width] = outputs.heatmaps.dims.slice(2);
  const boxes = (outputs.boxes ?? outputs.mask_boxes)?.data;
  const part = (data, size) => data.subarray(place * size, (place + 1) * size);
  return {
    width,
    height,
    heatmaps: part(outputs.heatmaps.data, k * height * width),
    scores: part(outputs.scores.data, k),
    boxes: boxes ? part(boxes, 4 * k) : null,
    loss: outputs.loss.dims.length ? outputs.loss.data[place] : null,
  };
}
