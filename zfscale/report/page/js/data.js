// The report's data, and what is asked of them more than once.

const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs;

const coded = (column, i) => column.values[column.codes[i]];
const statusOf = (i) => coded(RUNS.status, i);
const kindOf = (i) => DATA.kinds.find((kind) => kind.name === coded(RUNS.kind, i));
const leafOf = (leaf, i) => (leaf in RUNS.leaves ? coded(RUNS.leaves[leaf], i) : RUNS.same[leaf]);
const measureOf = (name, i) => (RUNS.measures[name] || [])[i] ?? null;
const holds = (i) => RUNS.certificates[i]?.holds === true;

const known = (values) => values.filter((value) => value != null);
const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);

function spread(values, kind) {
  if (values.length < 2) return 0;
  const middle = mean(values);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
  return kind.spread === "standard error" ? deviation / Math.sqrt(values.length) : deviation;
}

// By stage, the mean over a row's trials and its spread.
function stages(kind, row) {
  const curves = row.runs.map((i) => RUNS.curves[i]).filter(Boolean);
  const length = Math.max(0, ...curves.map((curve) => curve.length));
  return Array.from({ length }, (_, stage) => {
    const values = known(curves.map((curve) => curve[stage])).map((value) => value * kind.matrix.factor);
    return { mean: mean(values), spread: spread(values, kind) };
  });
}

// By stage and task, the mean over those of the trials whose matrices are in the page.
function matrixOf(runs) {
  const found = runs.map((i) => RUNS.matrices[i]).filter(Boolean);
  if (!found.length) return null;
  return found[0].map((line, stage) => line.map((_, task) => mean(known(found.map((one) => one[stage]?.[task])))));
}

const head = (kind) => kind.table.lines[0];
const cells = (kind, i) => kind.table.lines[i + 1];

// A configuration in a few words: its names, and the settings in which it differs from others that it stands among.
function label(kind, i, among = null) {
  const mine = cells(kind, i);
  const told = (j) => mine[j] !== "-" && (!among || among.some((other) => cells(kind, other)[j] !== mine[j]));
  const settings = head(kind).slice(2, kind.table.words).map((name, j) => (told(j + 2) ? `${name} ${mine[j + 2]}` : null));
  return [mine[0], mine[1], ...known(settings)].join(", ");
}

const columnIndex = (kind, name) => kind.columns.findIndex((column) => column.name === name);
const better = (column) => (column.better === "min" ? -1 : 1);
const titled = (name) => `${name[0].toUpperCase()}${name.slice(1).replaceAll("_", "-")} streams`;
