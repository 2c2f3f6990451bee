// What the page says of a mode, in sentences.

export const nameOf = ({ name, number }) => name ?? `concept ${number}`;

/** Which file is open, or how to get one. */
export function fileText({ name, about, concepts, doing }, { beside, command }) {
  if (!about && doing) return "…";
  if (!about) return `No file is open. Put ${beside} beside this page (${command} -o ${beside}), or open one.`;
  const { mode, pixels } = about.resize;
  const size = mode === "square" ? `${pixels}\u00a0×\u00a0${pixels} pixels` : `${pixels} pixels on the ${mode} side`;
  return `${name}: ${concepts.length} concepts, pictures of ${size}`;
}

/** What came out of all pictures. */
export function summary(mode, there) {
  if (!there.length) return "";
  const pictures = there.length === 1 ? "1 picture" : `${there.length} pictures`;
  if (mode.together) {
    const [k, share] = [mode.concepts.length, (100 * (1 - mode.loss)).toFixed(1)];
    return `${pictures}: ${k} concepts explain ${share} % of what the network sees (loss ${mode.loss.toFixed(3)})`;
  }
  if (mode.about.limit === null) return pictures;
  const explained = there.filter(({ found }) => found.loss <= mode.about.limit).length;
  return `${pictures}, ${explained} of them explained by these concepts`;
}

/** How many of the pictures have much of a concept. */
export function countText({ number }, there) {
  const strong = there.filter(({ found }) => found.scores[number] >= 0.5).length;
  return `score above a half in ${strong} of ${there.length}`;
}

/** A box in the pixels of the picture's own file. */
export function boxText([x0, y0, x1, y1], picture, found) {
  if (x1 <= x0) return "nowhere";
  const across = (x) => Math.round((x * picture.width) / found.width);
  const along = (y) => Math.round((y * picture.height) / found.height);
  return `${across(x0)} ${along(y0)} ${across(x1)} ${along(y1)}`;
}

/** A problem that pictures have. */
export function pictureProblem(names, why) {
  const told = names.slice(0, 3).map((name) => `“${name}”`).join(", ");
  return `${told}${names.length > 3 ? ` and ${names.length - 3} more` : ""} ${why}.`;
}
