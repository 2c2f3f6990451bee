// The panel at the side: how pictures are drawn, which concepts, and the legend with its figures.

const allOn = () => Array.from({ length: howMany() }, () => true);
const onNow = () => (state.on[state.level] ??= allOn());
const numbersOn = () => onNow().flatMap((on, number) => (on ? [number] : []));

/** Brings every control to what was chosen, and the pictures with them. */
function refresh() {
  const on = onNow();
  for (const box of document.querySelectorAll("[data-toggle]")) box.checked = on[Number(box.dataset.toggle)];
  for (const radio of document.querySelectorAll('input[name="view"], input[name="large-view"]')) {
    radio.checked = radio.value === state.view;
  }
  byId("opacity").disabled = state.view === "original" || state.view === "boxes";
  byId("opacity-figure").textContent = `${Math.round(100 * state.opacity)} %`;
  const view = VIEWS.find(([value]) => value === state.view)[1];
  byId("brief").textContent = `${view}, ${numbersOn().length} of ${plural(on.length, WORD, WORDS)}`;
  redraw();
  redrawLarge();
}

function setView(view) {
  state.view = view;
  refresh();
}

function setOn(on) {
  state.on[state.level] = on;
  refresh();
}

/** A concept's switch; wherever it stands, it is the same one. */
function toggle(number, colour, label) {
  const box = make("input", { type: "checkbox", checked: onNow()[number], "aria-label": label, data: { toggle: number } });
  box.addEventListener("change", () => setOn(onNow().map((on, other) => (other === number ? box.checked : on))));
  return make("label", { class: "toggle" }, box, chip(number, colour));
}

/** From nothing to the peak over a mid-grey picture, and where masks begin. */
function ramp(concept) {
  const bar = make("div", { class: "ramp" });
  const end = rgb(concept.colour).map((c) => Math.min(255, c * ((SHADED * HIGHLIGHT * BARE) / 255 + 1 - SHADED)));
  const start = GROUND * BARE;
  bar.style.background = `linear-gradient(90deg, rgb(${start}, ${start}, ${start}), rgb(${end.join(", ")}))`;
  const mark = make("span", { class: "mark" });
  mark.style.left = `${100 * Math.min(Math.max(concept.on, 0), 1)}%`;
  bar.append(mark);
  const kept = Math.abs(concept.on * concept.peak - concept.threshold) <= 0.01 * Math.abs(concept.peak);
  const threshold = kept ? `mask from ${figure(concept.threshold)}` : `mask from ${percent(concept.on)} of sharpened`;
  const figures = make("div", { class: "ramp-figures" });
  figures.append(make("span", {}, "0"), make("span", {}, threshold), make("span", {}, `peak ${figure(concept.peak)}`));
  return make("div", {}, bar, figures);
}

function energyNote(concept) {
  const energy = typeof concept.energy === "number" ? `${percent(concept.energy)} of the energy` : "";
  return make("span", { class: "muted small" }, energy);
}

/** What else is known of a concept, as pairs for a list of figures. */
function facts(concept) {
  const pairs = [];
  const classes = (concept.classes || []).map(([name, weight]) => `${name} ${weight < 0 ? "" : "+"}${figure(weight)}`);
  if (classes.length) pairs.push(["speaks for", classes.join(", ")]);
  if (concept.like) pairs.push(["like", `concept ${concept.like[0]} of the bank, cosine ${concept.like[1].toFixed(3)}`]);
  if (concept.importance) {
    const control = typeof concept.control === "number" ? `; random concept ${score(concept.control)}` : "";
    pairs.push(["importance", interval(concept.importance) + control]);
  }
  return pairs;
}

function pairList(pairs, name = "pairs") {
  const list = make("dl", { class: name });
  for (const [key, value] of pairs) list.append(make("div", {}, make("dt", {}, key), make("dd", {}, make("bdi", {}, value))));
  return list;
}

/** What all pictures' tables say at this rank, null where they differ. */
function common(number, what) {
  const values = new Set();
  for (const picture of pictures) {
    const concept = conceptsOf(picture)[number];
    if (concept) values.add(what(concept));
  }
  return values.size === 1 ? [...values][0] : null;
}

function sharedName(number) {
  const name = common(number, (one) => one.name || null);
  return name ? make("bdi", { class: "name" }, name) : make("span", { class: "name muted" }, "its own in each picture");
}

function legendItem(number) {
  const concept = exemplar(number);
  const item = make("li", {});
  const alone = make("button", { type: "button", class: "quiet", "aria-label": `Only ${WORD} ${number}` }, "only");
  alone.addEventListener("click", () => setOn(onNow().map((_, other) => other === number)));
  const head = make("div", { class: "legend-head" }, toggle(number, concept.colour, `Show ${WORD} ${number}`));
  const named = level().label && !perPicture();
  const [field, problem] = named ? nameField(concept) : [null, null];
  if (named) head.append(field);
  else if (!perPicture()) head.append(nameTag(concept));
  else head.append(sharedName(number));
  head.append(alone);
  item.append(head);
  if (named) item.append(problem);
  const shared = !perPicture() || (common(number, (one) => one.peak) !== null && common(number, (one) => one.on) !== null);
  if (shared) item.append(ramp(concept));
  if (!perPicture()) {
    const label = `strongest pictures of ${WORD} ${number}`;
    const link = make("a", { class: "small", href: `#concept-${number}`, "aria-label": label }, "strongest pictures");
    item.append(make("div", { class: "legend-more" }, energyNote(concept), link), pairList(facts(concept)));
  }
  return item;
}

function refreshLegend() {
  byId("legend").replaceChildren(...Array.from({ length: howMany() }, (_, number) => legendItem(number)));
  const whose = data.scale === "set" ? "over the whole set" : "in each picture by itself";
  byId("scale").textContent = howMany()
    ? `Colour is full at the peak of a ${WORD}'s heat map ${whose}; masks begin at the mark.`
    : `There are no ${WORDS} to show.`;
  byId("labels").hidden = !level().label || perPicture();
  byId("command").textContent = level().label || "";
  byId("labels-problem").textContent = "";
  const explained = level().explained;
  const share = typeof explained === "number" ? `, ${percent(explained)} explained` : "";
  byId("level").value = state.level;
  byId("level").setAttribute("aria-valuetext", `k = ${level().k}${share}`);
  byId("level-figure").textContent = `k = ${level().k}${share}`;
}

function setLevel(index) {
  if (index === state.level) return;
  state.level = index;
  refreshLegend();
  refreshPictures();
  refreshConcepts();
  refresh();
}

/** On a wide window the panel stands open at the side; on a narrow one it opens on demand. Paper has the legend. */
function startPanel() {
  const wide = matchMedia("(min-width: 900px)");
  let printing = false;
  const follow = () => (byId("panel").open = wide.matches || printing);
  const print = (now) => {
    printing = now;
    follow();
  };
  wide.addEventListener("change", follow);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  follow();
}

function startControls() {
  for (const place of document.querySelectorAll(".word-many")) {
    place.textContent = place.classList.contains("capital") ? WORDS[0].toUpperCase() + WORDS.slice(1) : WORDS;
  }
  segments(byId("view"), "view", VIEWS, state.view, setView);
  segments(byId("large-view"), "large-view", VIEWS, state.view, setView);
  byId("opacity").addEventListener("input", (event) => {
    state.opacity = event.target.valueAsNumber / 100;
    refresh();
  });
  byId("level-slider").hidden = data.levels.length < 2;
  byId("level").max = data.levels.length - 1;
  byId("level").addEventListener("input", (event) => setLevel(event.target.valueAsNumber));
  byId("all").addEventListener("click", () => setOn(allOn()));
  byId("none").addEventListener("click", () => setOn(allOn().fill(false)));
  byId("labels").addEventListener("submit", (event) => {
    event.preventDefault();
    downloadLabels();
  });
  startPanel();
}
