// Names that the reader types, and labels.json, which `dff-onnx label --from` reads.

const LONGEST = 60; // characters of a part
const MOST_PARTS = 16; // of one concept
const JOINT = " + ";
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/u;

/** Of each level, of each concept: its parts, and what is wrong with what was typed. */
const typed = data.levels.map((one, index) =>
  one.concepts.map((_, number) => {
    const name = (givenNames[index] || [])[number];
    return { parts: name ? name.split(JOINT) : [], problem: "" };
  }),
);

const partsOf = (text) => [...new Set(text.split(",").map((part) => part.trim()).filter(Boolean))];

/** What `dff-onnx label` would refuse; empty where nothing. */
function problemOf(parts) {
  for (const part of parts) {
    const length = [...part].length;
    if (length > LONGEST) return `a part has ${length} characters; at most ${LONGEST} are allowed`;
    if (FORBIDDEN.test(part)) return "a part holds a control character, or one that turns the writing's direction";
  }
  return parts.length > MOST_PARTS ? `${parts.length} parts; at most ${MOST_PARTS} are allowed` : "";
}

/** A concept's name, null where it has none. */
function nameOf(concept, index = state.level) {
  const own = typed[index][concept.number];
  return own ? own.parts.join(JOINT) || null : concept.name || null;
}

/** A name for people: with the number where there is no name. */
const titleOf = (concept, index = state.level) => nameOf(concept, index) || `${WORD} ${concept.number}`;

/** A concept's name where it follows what is typed. */
function nameTag(concept) {
  const text = make("bdi", { class: "name" }, titleOf(concept));
  if (!perPicture()) text.dataset.names = concept.number;
  return text;
}

function refreshNames() {
  for (const tag of document.querySelectorAll("[data-names]")) {
    tag.textContent = titleOf(level().concepts[Number(tag.dataset.names)]);
  }
}

/** The field in which a concept gets its name, and the sentence on what is wrong. */
function nameField(concept) {
  const own = typed[state.level][concept.number];
  const problem = make("p", { class: "problem", id: `problem-${concept.number}`, role: "alert" }, own.problem);
  const field = make("input", {
    type: "text",
    class: "name-field",
    value: own.parts.join(", "),
    placeholder: `name of concept ${concept.number}`,
    autocomplete: "off",
    "aria-label": `Name of concept ${concept.number}`,
    "aria-describedby": `naming ${problem.id}`,
    data: { field: concept.number },
  });
  field.addEventListener("input", () => {
    const parts = partsOf(field.value);
    own.problem = problemOf(parts);
    problem.textContent = own.problem;
    field.setAttribute("aria-invalid", String(Boolean(own.problem)));
    if (!own.problem) own.parts = parts;
    byId("labels").classList.add("unsaved");
    refreshNames();
  });
  return [field, problem];
}

function downloadLabels() {
  const all = typed[state.level];
  const wrong = all.findIndex((one) => one.problem);
  byId("labels-problem").textContent = wrong < 0 ? "" : `Correct the name of concept ${wrong} first.`;
  if (wrong >= 0) {
    document.querySelector(`[data-field="${wrong}"]`).focus();
    return;
  }
  const concepts = Object.fromEntries(all.map((one, number) => [number, one.parts]));
  const text = `${JSON.stringify({ "dff-onnx": "labels/1", concepts }, null, 2)}\n`;
  const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href, download: "labels.json" }).click();
  byId("labels").classList.remove("unsaved");
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}
