// Decodes pictures and runs models, away from the page: nothing there waits for it.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { compiledOf } from "./metadata.mjs";
import { readPicture } from "./pixels.mjs";

ort.env.wasm.wasmPaths = new URL("node_modules/onnxruntime-web/dist/", import.meta.url).href;

const sessions = new Map(); // one of each kind of compiled file

const calls = {
  /** Opens the bytes of a compiled file, in the place of the one of its kind that is open; what it says of itself. */
  async open(bytes, kind) {
    const about = compiledOf(bytes);
    check(about, kind);
    let session;
    try {
      session = await ort.InferenceSession.create(bytes);
    } catch (error) {
      throw new Error(`is refused by ONNX Runtime (${error.message})`);
    }
    if (!session.outputNames.includes("heatmaps")) {
      await session.release();
      throw new Error("was compiled without heat maps, which this page shows");
    }
    await sessions.get(kind)?.release();
    sessions.set(kind, session);
    return about;
  },

  /** A picture's file as the network takes it, and as it is shown. */
  read: readPicture,

  /** The outputs for pictures of one size, `{ pixels, width, height }` each: `{ name: { data, dims } }`. */
  async run(kind, pictures) {
    const [{ width, height }] = pictures;
    const batch = new Uint8Array(pictures.length * 3 * width * height);
    pictures.forEach(({ pixels }, place) => batch.set(pixels, place * 3 * width * height));
    const image = new ort.Tensor("uint8", batch, [pictures.length, height, width, 3]);
    const found = await sessions.get(kind).run({ image });
    return Object.fromEntries(Object.entries(found).map(([name, { data, dims }]) => [name, { data, dims }]));
  },
};

function check(about, kind) {
  if (about.kind !== kind) {
    const fit = about.kind === "fit";
    const [what, where] = fit ? ["the factorization itself", "Discover"] : ["concepts", "Known concepts"];
    throw new Error(`holds ${what}: open it under “${where}”`);
  }
  if (kind === "concepts" && !about.concepts.length) throw new Error("holds a foreground and no concepts");
}

// One call after the other: a session cannot run twice at the same time.
let last = Promise.resolve();

self.onmessage = ({ data: { id, call, values } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, value: await calls[call](...values) });
    } catch (error) {
      self.postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
