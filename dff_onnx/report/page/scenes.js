// Which canvases are drawn, and when: those that are in sight, a few in each frame, again once what they show changes.

const FRAME = 14; // ms of drawing before the browser may show what there is
const PAPER = 0.9; // quality of a JPEG on paper
const NEAR = "400px"; // beyond the window: scrolling finds the pictures drawn

const scenes = new Map();
let version = 1;
let watched = false;
let scheduled = false;

const watcher = new IntersectionObserver(
  (entries) => {
    watched = true;
    for (const entry of entries) {
      const scene = scenes.get(entry.target);
      if (scene) scene.near = entry.isIntersecting;
    }
    schedule();
  },
  { rootMargin: NEAR },
);

/** Has a canvas show a picture, with the concepts that `numbers()` says at that time. */
function stage(canvas, picture, numbers) {
  canvas.style.aspectRatio = `${picture.width} / ${picture.height}`;
  scenes.set(canvas, { canvas, picture, numbers, near: false, drawn: 0 });
  watcher.observe(canvas);
}

/** Forgets the canvases below an element that goes away. */
function clear(home) {
  for (const canvas of home.querySelectorAll("canvas")) {
    watcher.unobserve(canvas);
    scenes.delete(canvas);
  }
  home.replaceChildren();
}

/** What all canvases show has changed. */
function redraw() {
  version += 1;
  schedule();
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(work);
}

function work() {
  scheduled = false;
  const end = performance.now() + FRAME;
  let left = false;
  for (const scene of scenes.values()) {
    if (!scene.near || scene.drawn === version) continue;
    if (performance.now() > end || !drawScene(scene)) left = true;
  }
  if (left) schedule();
  else if ((watched || !scenes.size) && !document.documentElement.dataset.ready) requestAnimationFrame(ready);
}

function drawScene(scene) {
  const done = draw(scene.canvas, scene.picture, state.view, state.opacity, scene.numbers());
  if (done) scene.drawn = version;
  return done;
}

/** Says when the first sight of the page was complete, in ms since the page was asked for. */
function ready() {
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  for (const picture of pictures) thumbOf(picture); // read now: paper wants all of them at once
}

/** Paper takes a JPEG as it is, and a canvas pixel by pixel: a file of several times the size. */
function putOnPaper(scene) {
  const { canvas } = scene;
  if (scene.drawn !== version && !drawScene(scene)) return;
  const image = make("img", { class: "paper", alt: "", src: canvas.toDataURL("image/jpeg", PAPER) });
  image.style.aspectRatio = canvas.style.aspectRatio;
  canvas.classList.add("printed");
  canvas.after(image);
}

function takeOffPaper() {
  for (const image of document.querySelectorAll(".paper")) image.remove();
  for (const canvas of document.querySelectorAll(".printed")) canvas.classList.remove("printed");
}

addEventListener("beforeprint", () => {
  takeOffPaper();
  scenes.forEach(putOnPaper);
});
addEventListener("afterprint", takeOffPaper);
