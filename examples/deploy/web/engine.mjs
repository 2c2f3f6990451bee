// The worker as the page sees it: functions that give promises.

const NO_RUNTIME =
  "cannot be used: ONNX Runtime is not there; is the folder node_modules beside this page? (npm install)";

export class Engine {
  #worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
  #waiting = new Map();
  #calls = 0;
  #failed = false;

  constructor() {
    this.#worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    };
    this.#worker.onerror = () => {
      this.#failed = true;
      for (const { reject } of this.#waiting.values()) reject(new Error(NO_RUNTIME));
      this.#waiting.clear();
    };
  }

  #call(call, ...values) {
    if (this.#failed) return Promise.reject(new Error(NO_RUNTIME));
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#calls, { resolve, reject });
      this.#worker.postMessage({ id: this.#calls, call, values });
    });
  }

  /** Opens the bytes of a compiled file of a kind, `concepts` or `fit`; what it says of itself. */
  open(bytes, kind) {
    return this.#call("open", bytes, kind);
  }

  /** A picture's file, see `readPicture`. */
  read(file, resize) {
    return this.#call("read", file, resize);
  }

  /** The outputs of the open file of a kind for pictures of one size. */
  run(kind, pictures) {
    return this.#call("run", kind, pictures);
  }
}
