// The page's controls: which mode is chosen, which files come in.

import { Engine } from "./engine.mjs";
import { Mode } from "./mode.mjs";
import { at, forgetProblems, repaint, show, showProblem } from "./view.mjs";

const WAYS = {
  concepts: {
    kind: "concepts",
    together: false,
    most: 200,
    purpose: "The concepts of a bank, in each picture by itself.",
    beside: "concepts.onnx",
    command: "dff-onnx compile out/bank.npz",
  },
  discover: {
    kind: "fit",
    together: true,
    most: 40,
    purpose: "What a few pictures share: they are factorized together, here.",
    beside: "fit.onnx",
    command: "dff-onnx compile compact --fit -k 4",
  },
};

const tell = { changed: () => show(modes[chosen], WAYS[chosen]), problem: showProblem };
const engine = new Engine();
const modes = Object.fromEntries(Object.entries(WAYS).map(([name, way]) => [name, new Mode(way, engine, tell)]));
const asked = new Set(); // modes whose file beside the page was asked for
let chosen = "concepts";
window.dff = modes; // to look into from the console

/** Opens .onnx files, and looks at everything else as pictures. */
async function take(files) {
  forgetProblems();
  const mode = modes[chosen];
  const models = files.filter((file) => file.name.toLowerCase().endsWith(".onnx"));
  for (const file of models) await mode.open(new Uint8Array(await file.arrayBuffer()), file.name);
  const pictures = files.filter((file) => !models.includes(file));
  if (pictures.length) await mode.add(pictures);
}

/** Opens the compiled file that lies beside the page, if one does. */
async function openBeside(name) {
  if (asked.has(name)) return;
  asked.add(name);
  const { beside } = WAYS[name];
  const answer = await fetch(beside);
  if (answer.ok) await modes[name].open(new Uint8Array(await answer.arrayBuffer()), beside);
}

function choose(name) {
  chosen = name;
  forgetProblems();
  tell.changed();
  openBeside(name).catch((error) => showProblem(`“${WAYS[name].beside}” cannot be fetched (${error.message}).`));
}

at("modes").addEventListener("change", ({ target }) => choose(target.value));
at("strength").addEventListener("input", () => repaint(modes[chosen]));
at("boxes").addEventListener("change", () => repaint(modes[chosen]));
at("clear").addEventListener("click", () => modes[chosen].clear());
for (const id of ["picture-files", "model-file"]) {
  at(id).addEventListener("change", ({ target }) => {
    const files = [...target.files];
    target.value = ""; // the same file may be chosen again
    take(files);
  });
}

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) at("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take([...event.dataTransfer.files]);
});

choose(document.querySelector("#modes input:checked").value); // browsers keep what was chosen before a reload
