// What is seen of a mode: its file, its legend, its pictures.

import { cardOf, element, legendLine, paintCard } from "./cards.mjs";
import { countText, fileText, summary } from "./texts.mjs";

export const at = (id) => document.getElementById(id);

const cards = new WeakMap(); // by what was found: what is found anew gets a new card
const painted = new WeakMap(); // a card, and the look it was last painted with
let [look, pass, inLegend] = [0, 0, null];

/** Shows a mode as it is now; the drawings of its pictures follow one by one. */
export function show(mode, way) {
  const there = mode.entries.filter(({ found }) => found);
  at("purpose").textContent = way.purpose;
  at("file").textContent = fileText(mode, way);
  at("status").textContent = mode.doing ?? summary(mode, there);
  at("progress").hidden = !mode.doing;
  at("clear").hidden = !mode.entries.length;
  at("legend-part").hidden = !there.length;
  at("boxes-part").hidden = mode.together;
  at("pictures").replaceChildren(...there.map((entry) => card(entry, mode)));
  showLegend(mode, there);
  paintAll(mode);
}

export function showProblem(sentence) {
  at("problems").append(element("li", { textContent: sentence }));
}

export function forgetProblems() {
  at("problems").replaceChildren();
}

/** Draws all pictures again: concepts, boxes or strength were switched. */
export function repaint(mode) {
  look++;
  paintAll(mode);
}

function card(entry, mode) {
  if (!cards.has(entry.found)) cards.set(entry.found, cardOf(entry, mode));
  return cards.get(entry.found);
}

/** Made anew for other concepts only: whoever stands on a switch stays there. */
function showLegend(mode, there) {
  const legend = at("legend");
  const toggled = (number, on) => {
    mode.hidden[on ? "delete" : "add"](number);
    repaint(mode);
  };
  if (inLegend !== mode.concepts) {
    legend.replaceChildren(...mode.concepts.map((concept) => legendLine(concept, mode, toggled)));
    inLegend = mode.concepts;
  }
  mode.concepts.forEach((concept, place) => {
    legend.children[place].querySelector("p").textContent = countText(concept, there);
  });
}

/** Draws the pictures that look otherwise than they should, one in each frame: the page stays awake. */
function paintAll(mode) {
  const mine = ++pass;
  const settings = { strength: at("strength").value / 100, boxes: at("boxes").checked };
  const left = mode.entries.filter(({ found }) => found && painted.get(cards.get(found)) !== look);
  at("pictures").setAttribute("aria-busy", "true");
  const next = () => {
    if (mine !== pass) return;
    const entry = left.shift();
    if (entry?.found) {
      paintCard(card(entry, mode), entry, mode, settings);
      painted.set(card(entry, mode), look);
    }
    if (entry) requestAnimationFrame(next);
    else at("pictures").setAttribute("aria-busy", String(Boolean(mode.doing)));
  };
  next();
}
