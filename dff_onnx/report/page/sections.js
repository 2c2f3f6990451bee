// What stands around the pictures: title, pages, tables with plots, and the settings at the foot.

const KINDS = {
  run: "Concepts that the pictures share",
  apply: "Concepts of a bank on other pictures",
  foreground: "What the pictures have in common",
  cam: "Class maps",
  tree: "Concepts that split as k grows",
};

/** A whole cell that is a number or a share: names of files begin with digits, too. */
const numeric = (text) => /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?( %)?$/i.test(text.trim());

/** Numbers by value and before texts, texts by letters. */
function compareCells(a, b) {
  if (numeric(a) && numeric(b)) return parseFloat(a) - parseFloat(b) || a.localeCompare(b);
  return numeric(a) === numeric(b) ? a.localeCompare(b, undefined, { numeric: true }) : numeric(a) ? -1 : 1;
}

/** A table whose columns can be sorted by their headers. */
function sortable(section) {
  const body = make("tbody", {});
  const right = section.columns.map((_, at) => section.rows.every((row) => !row[at] || numeric(row[at])));
  for (const row of section.rows) {
    body.append(make("tr", {}, ...row.map((text, at) => make("td", { class: right[at] ? "number" : "" }, make("bdi", {}, text)))));
  }
  const heads = section.columns.map((text, at) => {
    const button = make("button", { type: "button" }, text);
    const head = make("th", { scope: "col", class: right[at] ? "number" : "" }, button);
    button.addEventListener("click", () => sortRows(body, heads, head, at));
    return head;
  });
  const caption = make("caption", { class: "hidden" }, section.title);
  const table = make("table", { class: "sortable" }, caption, make("thead", {}, make("tr", {}, ...heads)), body);
  return make("div", { class: "wide", tabIndex: 0, role: "group", "aria-label": section.title }, table);
}

function sortRows(body, heads, head, at) {
  const falling = head.getAttribute("aria-sort") === "ascending";
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const text = (row) => row.cells[at].textContent;
  body.append(...[...body.rows].sort((a, b) => (falling ? -1 : 1) * compareCells(text(a), text(b))));
}

function section(one, place) {
  const home = make("section", { id: `section-${place}`, "aria-labelledby": `section-${place}-title` });
  home.append(make("h2", { id: `section-${place}-title` }, one.title));
  if (one.note) home.append(make("p", { class: "note" }, one.note));
  const plots = make("div", { class: "plots" });
  (one.plots || []).forEach((plot, number) => {
    const src = `data:image/svg+xml;base64,${plot}`;
    const which = one.plots.length > 1 ? ` ${number + 1}` : "";
    plots.append(make("img", { src, alt: `Plot${which} of: ${one.title}. The table has its figures.` }));
  });
  if (plots.childNodes.length) home.append(plots);
  if (one.rows && one.rows.length) home.append(sortable(one));
  return home;
}

/** Links to the report's other pages, where there are several. */
function pager() {
  const { number, files } = data.page;
  const home = byId("pages");
  home.hidden = files.length < 2;
  if (home.hidden) return;
  const link = (to, text, rel) => (files[to - 1] ? make("a", { href: address(files[to - 1]), rel }, text) : null);
  home.append(...[link(number - 1, "Previous page", "prev"), make("span", {}, `Page ${number} of ${files.length}`)].filter(Boolean));
  const list = make("span", { class: "row" });
  files.forEach((file, at) => {
    const current = at + 1 === number ? { "aria-current": "page" } : {};
    list.append(make("a", { href: address(file), "aria-label": `Page ${at + 1}`, ...current }, String(at + 1)));
  });
  home.append(list, ...[link(number + 1, "Next page", "next")].filter(Boolean));
}

function contents() {
  const places = [["#pictures", "Pictures"]];
  if (!perPicture()) places.push(["#each", "Concept by concept"]);
  data.sections.forEach((one, place) => places.push([`#section-${place}`, one.title]));
  places.push(["#foot", "Settings"]);
  byId("contents").append(...places.map(([href, text]) => make("a", { href }, text)));
}

function startSections() {
  byId("kind").textContent = KINDS[data.kind] || "";
  byId("title").append(make("bdi", {}, data.title));
  byId("facts").replaceWith(Object.assign(pairList(data.facts, "facts"), { id: "facts" }));
  pager();
  contents();
  byId("sections").append(...data.sections.map(section));
  for (const one of data.foot) {
    byId("foot").append(make("section", {}, make("h2", {}, one.title), pairList(one.rows)));
  }
}
