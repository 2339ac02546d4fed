// What the settings go with: their shares of the variance, and a measure along one of them.

function space(kind) {
  const { shares, count } = kind.importance;
  if (!shares.length) return [];
  const measure = kind.columns[0].title;
  const bar = (share) => { const made = el("span", { class: "bar", "aria-hidden": "true" }); made.style.width = `${60 * share}%`; return made; };
  const columns = [
    { title: "setting", word: true, text: (i) => shares[i].leaf, value: (i) => shares[i].leaf },
    { title: "share of the variance", word: true, text: (i) => el("span", {}, bar(shares[i].share), `${number(100 * shares[i].share, 1)} %`), value: (i) => shares[i].share },
    { title: "by chance", text: (i) => `${number(100 * shares[i].chance, 1)} %`, value: (i) => shares[i].chance },
    { title: "groups", text: (i) => `${shares[i].groups}${shares[i].cut ? " ranges" : ""}`, value: (i) => shares[i].groups },
  ];
  return [
    el("h3", {}, "Settings: importance and slices"),
    el("p", { class: "note" }, `Eta squared of each setting alone, over ${count.toLocaleString("en-US")} finished trials: the sum of squares of ${measure} between the groups of trials with one value of the setting, over the total; numbers of many values are cut into ranges of about as many trials. "By chance" is what it is on average where a setting has no effect. Settings that vary together share their variance, so that shares need not add up to 100 %; none says what causes what.`),
    table({ caption: `What ${measure} goes with`, columns, lines: shares.map((_, i) => i) }).node,
    slices(kind, shares.map((share) => share.leaf)),
  ];
}

function slices(kind, leaves) {
  const measures = kind.columns.filter((column) => column.measured);
  const place = el("div"), asked = { leaf: leaves[0], measure: measures[0].name };
  const show = (changes) => {
    Object.assign(asked, changes);
    place.replaceChildren(slice(kind, asked.leaf, measures.find((column) => column.name === asked.measure)));
  };
  const options = (values) => values.map((value) => [value, clip(value, 60)]);
  const chooser = el("div", { class: "filters" },
    choice("Setting", options(leaves), (leaf) => show({ leaf })),
    choice("Measure", measures.map((column) => [column.name, column.title]), (measure) => show({ measure })));
  show({});
  return el("div", {}, chooser, place);
}

function slice(kind, leaf, column) {
  const trials = RUNS.ids.map((_, i) => i).filter((i) => kindOf(i) === kind && statusOf(i) === "finished" && measureOf(column.name, i) != null);
  const values = [...new Set(trials.map((i) => leafOf(leaf, i)))];
  const numeric = values.every((value) => typeof value === "number");
  const names = numeric ? null : values.map((value) => (value == null ? "(none)" : String(value)));
  const at = (i) => (numeric ? leafOf(leaf, i) : values.indexOf(leafOf(leaf, i)));
  const points = trials.map((i) => [at(i), measureOf(column.name, i) * column.factor]).sort((a, b) => a[0] - b[0]);
  const groups = new Map();
  for (const [x, y] of points) groups.set(x, [...(groups.get(x) ?? []), y]);
  const middles = values.length <= 60 ? [...groups].map(([x, ys]) => [x, mean(ys)]) : [];
  const line = (text, n, found) => ({ label: text, style: styleOf(n), points: true, x: found.map((one) => one[0]), y: found.map((one) => one[1]) });
  const lines = [line("a trial", 0, points), ...(middles.length ? [line("mean of a value", 1, middles)] : [])];
  return chart({ title: `${column.title} along ${clip(leaf, 60)}`, x: leaf, y: column.title, lines, names, logarithmic: numeric && spanning(values) });
}
