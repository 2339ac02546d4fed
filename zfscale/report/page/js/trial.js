// One trial: how it ended, what it measured, its curves, its spec, its error, its certificate.

const dialog = document.getElementById("trial");
const ADDRESS = "#trial-";

function showTrial(i) {
  const kind = kindOf(i), status = statusOf(i);
  const close = el("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const sweep = DATA.sweeps.length > 1 ? DATA.sweeps[RUNS.sweep[i]] : null;
  const stopped = RUNS.ends[i] == null ? "" : ` after stage ${RUNS.ends[i]}`;
  const error = coded(RUNS.errors, i);
  dialog.replaceChildren(
    el("div", { class: "head" }, el("h2", { id: "trial-title", tabindex: "-1" }, "Trial ", el("span", { class: "id" }, RUNS.ids[i])), close),
    el("p", {}, el("span", { class: status === "failed" ? "badge bad" : "badge" }, status + stopped), " ", certificateBadge(i)),
    definitions([["sweep", sweep], ["method", leafOf("method.name", i)], ["optimizer", leafOf("optimizer.name", i)], ["seed", brief(leafOf("seed", i))], ["W&B", link(RUNS.urls[i])]]),
    ...(error ? [el("h3", {}, "Error"), el("pre", { tabindex: "0" }, error)] : []),
    ...(kind ? measured(kind, i) : []),
    ...certificate(i),
    lazily("Its whole spec", () => specOf(i)),
  );
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", ADDRESS + RUNS.ids[i]);
}

dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));

const link = (url) => (url ? el("a", { href: url, rel: "noreferrer" }, url) : null);

function measured(kind, i) {
  const pairs = kind.columns.filter((column) => column.measured && measureOf(column.name, i) != null).map((column) => [column.title, shownMeasure(column, i)]);
  const domains = kind.rows.find((row) => row.runs.includes(i))?.domains ?? [];
  const charts = [stageCurve(kind, i), lossCurve(i), heat(kind, [i], domains)].filter(Boolean);
  const left = RUNS.losses[i] ? null : el("p", { class: "note" }, `Training losses and matrices are in this page for ${RUNS.drawn.toLocaleString("en-US")} of ${RUNS.ids.length.toLocaleString("en-US")} trials, those of the best configurations first; the Parquet tables have them all.`);
  return [el("h3", {}, "Measures"), pairs.length ? definitions(pairs) : el("p", { class: "empty" }, "None: it did not finish."), el("div", { class: "charts" }, charts), ...(RUNS.drawn < RUNS.ids.length && left ? [left] : [])];
}

function stageCurve(kind, i) {
  const found = (RUNS.curves[i] ?? []).map((value, at) => [at, value]).filter(([, value]) => value != null);
  if (!found.length) return null;
  const unit = kind.matrix.unit ? ` ${kind.matrix.unit}` : "";
  const line = { label: kind.matrix.what, style: styleOf(0), x: found.map(([at]) => at), y: found.map(([, value]) => value * kind.matrix.factor) };
  return chart({ title: "Per stage", x: "stage", y: `${kind.matrix.what}${unit}`, lines: [line], keys: false, whole: true });
}

function lossCurve(i) {
  const found = RUNS.losses[i];
  if (!found || !found.at.some((at) => at > 0)) return null;
  const figure = chart({ title: "Training loss", x: "forwards", y: "loss", lines: [{ label: "loss", style: styleOf(1), x: found.at, y: found.loss }], ends: found.ends.slice(0, -1), keys: false });
  figure.append(el("p", { class: "note" }, "Means over stretches of steps; dotted: where a task ends."));
  return figure;
}

function certificateBadge(i) {
  const found = RUNS.certificates[i];
  if (!found) return null;
  return el("span", { class: found.holds === true ? "badge good" : "badge bad" }, found.holds === true ? "✓ verified" : "verification failed");
}

const certificate = (i) => (RUNS.certificates[i] ? [el("h3", {}, "Certificate"), tree(RUNS.certificates[i])] : []);

function tree(value) {
  if (value === null || typeof value !== "object") return brief(value);
  if (Array.isArray(value)) return value.length && value.every((one) => one === null || typeof one !== "object") ? value.map(brief).join(", ") : el("ol", {}, value.slice(0, 100).map((one) => el("li", {}, tree(one))));
  return definitions(Object.entries(value).map(([name, one]) => [name, tree(one)]));
}

function specOf(i) {
  const leaves = [...Object.keys(RUNS.leaves), ...Object.keys(RUNS.same)].sort();
  return el("div", {},
    el("p", { class: "note" }, "In bold, what varies between the trials of this report."),
    definitions(leaves.filter((leaf) => leafOf(leaf, i) != null).map((leaf) => [leaf in RUNS.leaves ? el("b", {}, leaf) : leaf, String(leafOf(leaf, i))])));
}

function fromAddress() {
  if (!location.hash.startsWith(ADDRESS)) return;
  const i = RUNS.ids.indexOf(location.hash.slice(ADDRESS.length));
  if (i >= 0) showTrial(i);
}
