// The grid of pictures: cards, their order, and which of them are listed.

const cards = new Map();

/** A concept's score in a picture: its number, the figure, and a bar. */
function scoreMark(concept, value) {
  const bar = make("span", { class: "bar" });
  const fill = make("span", {});
  fill.style.width = `${100 * Math.min(Math.max(value, 0), 1)}%`;
  fill.style.background = concept.colour;
  bar.append(fill);
  const title = perPicture() ? titleOf(concept) : `${WORD} ${concept.number}`;
  const text = make("span", { class: "score-text" }, make("span", { class: "hidden" }, `${title}: `));
  text.append(make("span", { class: "score-number", "aria-hidden": "true" }, String(concept.number)));
  if (perPicture() && concept.name) text.append(make("bdi", { class: "score-name", "aria-hidden": "true" }, concept.name));
  text.append(make("span", {}, score(value)));
  return make("li", { title }, text, bar);
}

function scoreList(picture) {
  const list = make("ul", { class: perPicture() ? "scores named" : "scores", "aria-label": "scores" });
  conceptsOf(picture).forEach((concept, number) => list.append(scoreMark(concept, scoreOf(picture, number))));
  return list;
}

/** A canvas that opens the larger view. */
function pictureButton(picture, numbers, note = "") {
  const canvas = make("canvas", { "aria-hidden": "true" });
  const button = make("button", { type: "button", class: "picture", "aria-label": `Open ${picture.path}${note}` }, canvas);
  button.addEventListener("click", () => openLarge(picture, button));
  stage(canvas, picture, numbers);
  return button;
}

function lossNote(picture) {
  const note = make("p", { class: "loss" });
  if (typeof picture.loss === "number") note.append(make("span", { class: "muted" }, `loss ${score(picture.loss)}`));
  if (picture.unexplained) note.append(make("strong", { class: "badge" }, "not explained"));
  return note.childNodes.length ? note : null;
}

function card(picture) {
  const button = pictureButton(picture, numbersOn);
  const caption = make("p", { class: "path" }, make("bdi", {}, picture.path));
  const scores = scoreList(picture);
  const item = make("li", { class: "card" }, button, caption, scores, lossNote(picture));
  cards.set(picture, { item, button, scores });
  return item;
}

/** Figures of another level in the cards that are there. */
function refreshPictures() {
  for (const [picture, parts] of cards) {
    const scores = scoreList(picture);
    parts.scores.replaceWith(scores);
    parts.scores = scores;
  }
  refreshOrders();
  arrange();
}

/** By what pictures can be sorted; names change while they are typed, so that numbers stand here. */
function refreshOrders() {
  const orders = [["path", "path"]];
  if (data.images.some((picture) => typeof picture.loss === "number")) orders.push(["loss", "loss"]);
  for (let number = 0; number < howMany(); number++) orders.push([String(number), `score of ${WORD} ${number}`]);
  if (!orders.some(([value]) => value === state.sort)) state.sort = "path";
  byId("sort").replaceChildren(...orders.map(([value, text]) => make("option", { value, selected: value === state.sort }, text)));
}

/** The pictures that are listed, in order: ties keep the order of the run. */
function listed() {
  const wanted = state.filter.toLowerCase();
  const found = data.images.filter((picture) => picture.path.toLowerCase().includes(wanted));
  const sign = state.down ? -1 : 1;
  if (state.sort === "path") return state.down ? found.reverse() : found;
  const value = (picture) => (state.sort === "loss" ? (picture.loss ?? -1) : scoreOf(picture, Number(state.sort)));
  return found.sort((a, b) => sign * (value(a) - value(b)));
}

function arrange() {
  const chosen = listed();
  byId("grid").replaceChildren(...chosen.map((picture) => cards.get(picture).item));
  byId("count").textContent = countText(chosen.length);
}

function countText(count) {
  const { first, pictures: all, shown, files } = data.page;
  const here = data.images.length;
  if (!here) return "This report shows no pictures; results.json has the figures of all of them.";
  const parts = [count === here ? plural(count, "picture") : `${count} of ${plural(here, "picture")}`];
  if (files.length > 1) parts.push(`${first + 1} to ${first + here} of ${shown} on ${files.length} pages`);
  if (shown < all) parts.push(`the run has ${all}, the report shows the first ${shown}`);
  return `${parts.join("; ")}.`;
}

function startPictures() {
  byId("tools").hidden = !data.images.length;
  for (const picture of data.images) card(picture);
  refreshOrders();
  arrange();
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("sort").addEventListener("change", (event) => {
    state.sort = event.target.value;
    // Scores are looked at from the top, paths from the start.
    state.down = byId("down").checked = state.sort !== "path";
    arrange();
  });
  byId("down").addEventListener("change", (event) => {
    state.down = event.target.checked;
    arrange();
  });
  byId("filter").addEventListener("input", (event) => {
    state.filter = event.target.value;
    arrange();
  });
  const sizes = [["small", "Small"], ["large", "Large"]];
  segments(byId("size"), "size", sizes, "small", (size) => byId("grid").classList.toggle("large", size === "large"));
}
