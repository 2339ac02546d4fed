// Several measures of a few configurations at once: uPlot draws no polar charts, so that this is an SVG of few marks.

const SPOKES = 6; // configurations, at most

function radar(kind, drawn) {
  const shown = drawn.slice(0, SPOKES);
  const columns = kind.columns.filter((column) => column.ranked && shown.every((i) => kind.rows[i].means[columnIndex(kind, column.name)] != null));
  if (columns.length < 3 || !shown.length) return null;
  const axes = columns.map((column) => {
    const values = shown.map((i) => kind.rows[i].means[columnIndex(kind, column.name)] * column.factor);
    const low = Math.min(...values), high = Math.max(...values), wide = high - low || 1;
    const best = better(column) > 0 ? high : low, worst = better(column) > 0 ? low : high;
    return { column, values, best, worst, at: (value) => 0.15 + 0.85 * (high === low ? 1 : better(column) > 0 ? (value - low) / wide : (high - value) / wide) };
  });
  const point = (share, a) => {
    const angle = (2 * Math.PI * a) / axes.length - Math.PI / 2;
    return [200 + 125 * share * Math.cos(angle), 165 + 125 * share * Math.sin(angle)];
  };
  const ring = (share) => axes.map((_, a) => point(share, a).join()).join(" ");
  const web = [0.15, 0.575, 1].map((share) => svg("polygon", { class: "web", points: ring(share) }));
  const spokes = axes.map((axis, a) => {
    const [x, y] = point(1, a), [tx, ty] = point(1.16, a);
    const anchor = Math.abs(tx - 200) < 10 ? "middle" : tx < 200 ? "end" : "start";
    return [svg("line", { class: "web", x1: 200, y1: 165, x2: x, y2: y }),
      svg("text", { x: tx, y: ty, "text-anchor": anchor }, axis.column.title, svg("tspan", { x: tx, dy: 14 }, `${number(axis.worst, 2)} to ${number(axis.best, 2)}`))];
  });
  const shapes = shown.map((_, n) => {
    const shape = svg("polygon", { points: axes.map((axis, a) => point(axis.at(axis.values[n]), a).join()).join(" "), fill: "none", "stroke-width": 2, "stroke-dasharray": styleOf(n).dash.join(" ") });
    shape.style.stroke = `var(${styleOf(n).name})`;
    return shape;
  });
  const said = shown.map((i, n) => `${label(kind, i, shown)}: ${axes.map((axis) => `${axis.column.title} ${number(axis.values[n], 2)}`).join(", ")}`).join("; ");
  const title = columns.slice(0, 3).map((column) => column.title.replace(" %", "")).join(", ") + (columns.length > 3 ? " and others" : "");
  return el("figure", {}, el("figcaption", {}, title),
    svg("svg", { class: "radar", viewBox: "-60 0 520 340", role: "img", "aria-label": said }, web, spokes, shapes),
    el("ul", { class: "keys" }, shown.map((i, n) => key(styleOf(n), label(kind, i, shown)))),
    el("p", { class: "note" }, `Each axis goes from the worst of these configurations (inside) to the best (outside), so that shapes of other configurations cannot be compared with these; ${SPOKES} at most.`));
}
