// The larger view of one picture, with all its figures.

const LARGE_SIDE = 960; // pixels: a heat map of a few dozen cells has no finer detail

const large = { picture: null, opener: null };

function openLarge(picture, opener) {
  large.picture = picture;
  large.opener = opener;
  if (!byId("large").open) byId("large").showModal();
  byId("close").focus();
  fillLarge();
}

/** The pictures that Next goes through: those in the grid's order, or the one alone that is not on this page. */
function neighbours() {
  const order = listed();
  return order.includes(large.picture) ? order : [large.picture];
}

function step(by) {
  const order = neighbours();
  const next = order[order.indexOf(large.picture) + by];
  if (!next) return;
  large.picture = next;
  large.opener = cards.get(next).button;
  fillLarge();
}

function redrawLarge() {
  if (!byId("large").open) return;
  const canvas = byId("large-canvas");
  const { picture } = large;
  canvas.style.aspectRatio = `${picture.width} / ${picture.height}`;
  if (!draw(canvas, picture, state.view, state.opacity, numbersOn(), LARGE_SIDE)) setTimeout(redrawLarge, 20);
}

function fillLarge() {
  const { picture } = large;
  const order = neighbours();
  const place = order.indexOf(picture);
  byId("large-path").replaceChildren(make("bdi", {}, picture.path));
  byId("large-canvas").setAttribute("aria-label", `${picture.path} with its ${WORDS}`);
  byId("previous").disabled = place === 0;
  byId("next").disabled = place === order.length - 1;
  if (document.activeElement.disabled) byId("close").focus(); // a disabled button hears no keys
  byId("large-facts").replaceChildren(...largeFacts(picture));
  byId("large-answers").replaceChildren(...answers(picture));
  byId("large-table").replaceChildren(largeTable(picture));
  redrawLarge();
}

function largeFacts(picture) {
  const parts = [`${picture.width} x ${picture.height} pixels`];
  if (typeof picture.loss === "number") parts.push(`, loss ${figure(picture.loss)}`);
  if (picture.unexplained) parts.push(" ", make("strong", { class: "badge" }, "not explained"));
  const href = picture.overlay && address(picture.overlay);
  if (href) parts.push(make("br"), make("a", { href }, "overlay as a file"));
  return parts;
}

function answers(picture) {
  if (!picture.answers || !picture.answers.length) return [];
  const list = make("ol", { class: "answers" });
  for (const [name, probability] of picture.answers) list.append(make("li", {}, make("bdi", {}, name), ` ${percent(probability)}`));
  return [make("h3", {}, "The classifier says"), list];
}

function largeTable(picture) {
  const head = make("tr", {}, ...[WORD, "score", "mask", "boxes"].map((text) => make("th", { scope: "col" }, text)));
  const body = make("tbody", {}, ...conceptsOf(picture).map((concept, number) => largeRow(picture, concept, number)));
  const caption = make("caption", { class: "hidden" }, `The ${WORDS} in this picture`);
  const table = make("table", {}, caption, make("thead", {}, head), body);
  return make("div", { class: "wide", tabIndex: 0, role: "group", "aria-label": "Figures" }, table);
}

function largeRow(picture, concept, number) {
  const [value, share, boxes] = inLevel(picture).concepts[number] || [0, 0, []];
  const places = boxes.slice(0, 3).map((box) => make("div", {}, box.join(" ")));
  if (boxes.length > 3) places.push(make("div", { class: "muted" }, `and ${boxes.length - 3} smaller`));
  const shown = make("span", { class: "row" }, toggle(number, concept.colour, `Show ${WORD} ${number}`), concept.name || nameOf(concept) ? nameTag(concept) : null);
  const cells = [make("th", { scope: "row" }, shown), make("td", {}, score(value)), make("td", {}, percent(share))];
  return make("tr", {}, ...cells, make("td", { class: "boxes" }, ...(places.length ? places : ["none"])));
}

function startLarge() {
  const dialog = byId("large");
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.type === "radio" || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => large.opener.focus());
}
