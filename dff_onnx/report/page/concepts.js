// A page for each concept: its figures, how its scores spread, and the pictures that show it most.

const SVG = "http://www.w3.org/2000/svg";

function drawn(tag, attributes, ...inside) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
}

/** How many pictures have which score. */
function histogram(concept) {
  const most = Math.max(1, ...concept.bins);
  const [width, height, low] = [240, 96, 76];
  const step = width / concept.bins.length;
  const half = concept.bins.slice(concept.bins.length / 2).reduce((sum, count) => sum + count, 0);
  const label = `How many pictures have which score: ${half} from a half on; the highest bar stands for ${most}`;
  const bars = concept.bins.map((count, place) => {
    const tall = count ? Math.max(2, (60 * count) / most) : 0;
    return drawn("rect", { x: place * step + 0.5, y: low - tall, width: step - 1, height: tall, fill: concept.colour });
  });
  const text = (x, y, anchor, words) => drawn("text", { x, y, "text-anchor": anchor }, words);
  const texts = [text(0, 92, "start", "0"), text(width / 2, 92, "middle", "score"), text(width, 92, "end", "1")];
  const line = drawn("line", { x1: 0, y1: low, x2: width, y2: low });
  const top = [text(0, 10, "start", "pictures"), text(width, 10, "end", `highest bar: ${most}`)];
  const box = `0 0 ${width} ${height}`;
  return drawn("svg", { viewBox: box, class: "histogram", role: "img", "aria-label": label }, ...bars, line, ...texts, ...top);
}

function conceptLink(index, number) {
  const concept = data.levels[index].concepts[number];
  const href = `#k${data.levels[index].k}-concept-${number}`;
  return make("a", { href, class: "relation" }, chip(number, concept.colour), make("bdi", {}, titleOf(concept, index)));
}

/** In a tree: what a concept is part of, and what it splits into. */
function relations(concept) {
  const [above, below] = [data.levels[state.level - 1], data.levels[state.level + 1]];
  const lines = [];
  const line = (text, links) => lines.push(make("p", { class: "row" }, text, ...links));
  if (above && typeof concept.parent === "number") {
    line(`At k = ${above.k} part of`, [conceptLink(state.level - 1, concept.parent)]);
  }
  const children = below ? below.concepts.filter((child) => child.parent === concept.number) : [];
  if (children.length) {
    const links = children.map((child) => conceptLink(state.level + 1, child.number));
    line(children.length > 1 ? `At k = ${below.k} splits into` : `At k = ${below.k} stays`, links);
  }
  return lines;
}

function conceptPage(concept) {
  const { number } = concept;
  const heading = make("h3", { id: `concept-${number}-title` }, chip(number, concept.colour), nameTag(concept));
  const about = make("div", { class: "about" }, ramp(concept), energyNote(concept), pairList(facts(concept)));
  if (concept.bins && concept.bins.length) about.append(histogram(concept));
  about.append(...relations(concept));
  const strip = make("ol", { class: "strip" });
  for (const at of concept.top || []) {
    const picture = pictures[at];
    const caption = make("p", { class: "path" }, make("bdi", {}, picture.path));
    const button = pictureButton(picture, () => [number], `, ${WORD} ${number}`);
    strip.append(make("li", {}, button, caption, make("p", { class: "muted small" }, `score ${score(scoreOf(picture, number))}`)));
  }
  const labelled = { class: "concept", id: `concept-${number}`, tabIndex: -1, "aria-labelledby": heading.id };
  return make("article", labelled, heading, make("div", { class: "concept-body" }, about, strip));
}

function refreshConcepts() {
  clear(byId("concepts"));
  byId("each").hidden = perPicture();
  byId("concepts").append(...level().concepts.map(conceptPage));
}

/** `#concept-2` is at the level that is shown, `#k3-concept-2` says at which. */
function followAddress() {
  const found = /^#(?:k(\d+)-)?concept-(\d+)$/.exec(location.hash);
  if (!found) return;
  const index = data.levels.findIndex((one) => one.k === Number(found[1]));
  if (index >= 0) setLevel(index);
  const article = byId(`concept-${found[2]}`);
  if (!article) return;
  article.scrollIntoView();
  article.focus({ preventScroll: true });
}
