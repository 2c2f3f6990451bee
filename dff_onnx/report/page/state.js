"use strict";
// What the run found, what the reader chose, and the few helpers that everything else uses.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const givenNames = JSON.parse(byId("names").textContent);

// One word for what is shown: a class map has a class, everything else a concept.
const WORD = data.kind === "cam" ? "class" : "concept";
const WORDS = data.kind === "cam" ? "classes" : "concepts";
const VIEWS = [["original", "Original"], ["overlay", "Overlay"], ["mask", "Masks"], ["boxes", "Boxes"]];

const pictures = [...data.images, ...data.more];

const state = {
  view: "overlay",
  opacity: 1,
  level: Math.max(0, Math.min(data.start, data.levels.length - 1)),
  sort: "path",
  down: false,
  filter: "",
  on: [], // of each level, of each concept: whether it is drawn
};

const level = () => data.levels[state.level];
const inLevel = (picture) => picture.levels[state.level];
/** Whether each picture has a table of its own: then a number is a rank, and the name stands in the picture's table. */
const perPicture = () => level().concepts.length === 0;
const conceptsOf = (picture) => (perPicture() ? inLevel(picture).table || [] : level().concepts);
const scoreOf = (picture, number) => (inLevel(picture).concepts[number] || [0])[0];

/** How many concepts can be switched on and off. */
function howMany() {
  return perPicture() ? Math.max(0, ...pictures.map((picture) => conceptsOf(picture).length)) : level().concepts.length;
}

/** A concept to take the colour of: where each picture has its own, the first picture that has so many. */
function exemplar(number) {
  if (!perPicture()) return level().concepts[number];
  return conceptsOf(pictures.find((picture) => conceptsOf(picture).length > number))[number];
}

/** An element. Texts go in as text and never as markup, whatever they hold. */
function make(tag, options = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key === "class") element.className = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key in element && key !== "role" && !key.startsWith("aria")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...inside.filter((part) => part !== null));
  return element;
}

/** Three digits; what is tiny or huge keeps its exponent. */
const figure = (value) => String(Number(value.toPrecision(3)));
const percent = (share) => `${figure(100 * share)} %`;
const score = (value) => value.toFixed(2);
const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
const interval = ([estimate, low, high]) => `${score(estimate)} (${score(low)} to ${score(high)})`;
const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

/** Black or white, whichever reads better on a colour. */
function inkOn(colour) {
  const linear = rgb(colour).map((c) => (c > 10 ? ((c / 255 + 0.055) / 1.055) ** 2.4 : c / 3294.6));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 ? "#000" : "#fff";
}

/** A concept's number on its colour: never the colour alone. */
function chip(number, colour) {
  const element = make("span", { class: "chip" }, String(number));
  element.style.background = colour;
  element.style.color = inkOn(colour);
  return element;
}

/** A file below the run's folder as a link; null for what lies elsewhere, or a name that no address can hold. */
function address(path) {
  const parts = path.split("/");
  if (parts.some((part) => ["", ".", ".."].includes(part))) return null;
  try {
    return parts.map(encodeURIComponent).join("/");
  } catch {
    return null;
  }
}

/** The radio buttons of a choice; all groups for the same choice show the same. */
function segments(home, group, choices, chosen, choose) {
  for (const [value, text] of choices) {
    const input = make("input", { type: "radio", name: group, value, checked: value === chosen });
    input.addEventListener("change", () => choose(value));
    home.append(make("label", {}, input, make("span", {}, text)));
  }
}
