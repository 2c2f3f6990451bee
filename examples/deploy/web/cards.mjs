// The legend and the pictures as elements. Names come from files: they are texts, never markup.

import { inkOn, paint } from "./draw.mjs";
import { boxText, nameOf } from "./texts.mjs";

export function element(tag, fields = {}, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

function chip({ number, colour }) {
  const made = element("span", { className: "chip", textContent: number });
  made.style.background = colour;
  made.style.color = inkOn(colour);
  return made;
}

/** One line of the legend, its count left empty; `toggled(number, on)` is called by its switch. */
export function legendLine(concept, mode, toggled) {
  const box = element("input", { type: "checkbox", checked: !mode.hidden.has(concept.number) });
  box.addEventListener("change", () => toggled(concept.number, box.checked));
  const name = element("bdi", { className: concept.name ? "name" : "name muted", textContent: nameOf(concept) });
  const label = element("label", { className: "toggle" }, box, chip(concept), name);
  return element("li", {}, label, element("p", { className: "small muted" }));
}

/** A picture with what was found in it, not drawn yet. */
export function cardOf({ file, picture, found }, mode) {
  const canvas = element("canvas", { width: picture.ground.width, height: picture.ground.height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${file.name} with its concepts`);
  const title = element("h3", {}, element("bdi", { textContent: file.name }));
  const columns = ["Concept", "Score", ...(found.boxes ? ["Box, pixels"] : [])];
  const heads = columns.map((textContent) => element("th", { scope: "col", textContent }));
  const rows = mode.concepts.map((concept) => row(concept, picture, found));
  const table = element(
    "table",
    {},
    element("caption", { className: "hidden", textContent: `Concepts in ${file.name}` }),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows),
  );
  return element("li", { className: "card" }, canvas, title, ...lossLine(found.loss, mode.about.limit), table);
}

function lossLine(loss, limit) {
  if (loss === null) return [];
  const line = element("p", { className: "small muted", textContent: `loss ${loss.toFixed(3)} ` });
  if (limit !== null) {
    const [className, textContent] =
      loss <= limit ? ["explained", "explained by these concepts"] : ["badge", "not explained by these concepts"];
    line.append(element("span", { className, textContent }));
  }
  return [line];
}

function row(concept, picture, found) {
  const score = found.scores[concept.number];
  const bar = element("span", { className: "bar" }, element("span"));
  bar.firstChild.style.width = `${100 * score}%`;
  bar.firstChild.style.background = concept.colour;
  const name = element("bdi", { textContent: nameOf(concept) });
  const named = element("span", { className: "named" }, chip(concept), name);
  const cells = [
    element("th", { scope: "row" }, named),
    element("td", {}, bar, element("span", { textContent: score.toFixed(2) })),
  ];
  if (found.boxes) {
    const textContent = boxText(boxOf(found, concept.number), picture, found);
    cells.push(element("td", { className: "box", textContent }));
  }
  return element("tr", {}, ...cells);
}

const boxOf = ({ boxes }, number) => boxes.subarray(4 * number, 4 * number + 4);

/** Draws a card's picture: with the concepts that are not hidden, and with their boxes if they are wanted. */
export function paintCard(card, { picture, found }, mode, { strength, boxes }) {
  const { width, height } = found;
  const size = width * height;
  const seen = mode.concepts.filter(({ number }) => !mode.hidden.has(number));
  const maps = seen.map(({ number, colour }) => {
    return { data: found.heatmaps.subarray(number * size, (number + 1) * size), width, height, colour };
  });
  const there = boxes && found.boxes ? seen.filter(({ number }) => boxOf(found, number)[2] > 0) : [];
  const framed = there.map((one) => ({ ...one, box: boxOf(found, one.number), width, height }));
  paint(card.querySelector("canvas"), picture.ground, maps, framed, strength);
}
