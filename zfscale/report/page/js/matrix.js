// The accuracy or loss matrix: stages down, tasks across, coloured cells of a table.

const SCALES = { // from the least to the most: of accuracies, and of the change of a loss, where the middle is none
  accuracy: [[247, 251, 255], [66, 146, 198], [8, 48, 107]],
  loss: [[33, 102, 172], [247, 247, 247], [178, 24, 43]],
};

function heat(kind, runs, domains) {
  const matrix = matrixOf(runs);
  if (!matrix) return null;
  const { what, factor, decimals, unit } = kind.matrix;
  const across = Math.max(...matrix.map((line) => line.length));
  const place = scaled(matrix, what);
  const cell = (value, stage, task) => {
    const td = el("td", {}, value == null ? "" : number(value * factor, decimals));
    if (value != null) paint(td, place(value, stage, task), SCALES[what]);
    return td;
  };
  const named = (task) => domains[task] ?? `task ${task + 1}`;
  const down = (stage) => (stage === 0 ? "pretrained" : domains.length && matrix.length > 2 ? `+ ${domains[stage - 1]}` : `stage ${stage}`);
  const line = (values, stage) => el("tr", {}, el("th", { scope: "row" }, down(stage)), Array.from({ length: across }, (_, task) => cell(values[task] ?? null, stage, task)));
  const body = matrix.map((values, stage) => (values.length ? line(values, stage) : null));
  const title = `${what === "accuracy" ? "Accuracy" : "Loss"} on each task after each stage${unit ? `, ${unit}` : ""}`;
  const top = el("tr", {}, el("td"), Array.from({ length: across }, (_, task) => el("th", { scope: "col" }, named(task))));
  const missing = runs.filter((i) => !RUNS.matrices[i]).length;
  const left = missing ? `; ${missing} of its ${runs.length} trials are not in it` : "";
  const meaning = what === "loss" ? "Colour: change since the pretrained model; blue is learned, red is lost" : "Mean over trials";
  return el("figure", {}, el("figcaption", {}, title), region(title, el("table", { class: "heat" }, el("thead", {}, top), el("tbody", {}, body))), el("p", { class: "note" }, `${meaning}${left}.`));
}

// Where in its scale a value stands, in [0, 1].
function scaled(matrix, what) {
  if (what === "accuracy") return (value) => value;
  const change = (value, task) => value - (matrix[0]?.[task] ?? value);
  const most = Math.max(...matrix.flatMap((line) => line.map((value, task) => Math.abs(value == null ? 0 : change(value, task))))) || 1;
  return (value, _, task) => 0.5 + change(value, task) / most / 2;
}

function paint(td, at, scale) {
  const where = Math.min(Math.max(at, 0), 1) * (scale.length - 1);
  const i = Math.min(Math.floor(where), scale.length - 2);
  const rgb = scale[i].map((from, c) => Math.round(from + (scale[i + 1][c] - from) * (where - i)));
  td.style.background = `rgb(${rgb})`;
  td.style.color = luminance(rgb) > 0.18 ? "#000" : "#fff"; // whichever has the higher contrast
}

// As WCAG has it.
const luminance = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);

function heatChoice(kind, drawn) {
  const there = drawn.filter((i) => kind.rows[i].runs.some((run) => RUNS.matrices[run]));
  if (!there.length) return null;
  const place = el("div");
  const show = (i) => place.replaceChildren(heat(kind, kind.rows[i].runs, kind.rows[i].domains));
  show(there[0]);
  return el("div", {}, choice("Matrix of", there.map((i) => [i, clip(label(kind, i, there), 90)]), (value) => show(Number(value))), place);
}
