// The first measure of every configuration against what it cost.

function costs(kind, lines) {
  const first = kind.columns[0];
  const priced = kind.columns.filter((column) => column.cost && lines.some((i) => kind.rows[i].means[columnIndex(kind, column.name)] > 0));
  if (!priced.length) return null;
  const place = el("div");
  const show = (name) => place.replaceChildren(against(kind, lines, first, kind.columns.find((column) => column.name === name)));
  show(priced[0].name);
  return el("div", {}, choice("Cost", priced.map((column) => [column.name, column.title]), show), place);
}

function against(kind, lines, first, cost) {
  const c = columnIndex(kind, cost.name);
  const names = [...new Set(kind.rows.map((_, i) => cells(kind, i)[1]))];
  const series = names.map((name, n) => {
    const mine = lines.filter((i) => cells(kind, i)[1] === name && kind.rows[i].means[0] != null && kind.rows[i].means[c] != null);
    mine.sort((a, b) => kind.rows[a].means[c] - kind.rows[b].means[c]);
    const values = (column, at) => mine.map((i) => kind.rows[i].means[at] * column.factor);
    return { label: name, style: styleOf(n), points: true, x: values(cost, c), y: values(first, 0) };
  }).filter((line) => line.x.length);
  const logarithmic = spanning(series.flatMap((line) => line.x));
  return chart({ title: `${first.title} against ${cost.title}`, x: cost.title, y: first.title, lines: series, logarithmic });
}
