// Charts by uPlot, in the page's colours and as wide as their places. They are built again when the theme changes.

const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const COLOURS = 8;
const built = new Set();
const probe = el("span", { hidden: true });
document.body.append(probe);

// Canvases need a colour itself, not a variable of the style sheet.
function colour(name, alpha = 1) {
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  return alpha === 1 ? found : found.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

// Where colours repeat, lines are dashed and dots are hollow.
const styleOf = (i) => ({ name: `--c${i % COLOURS}`, dash: DASHES[Math.floor(i / COLOURS) % DASHES.length], hollow: i >= COLOURS });

function key(style, text, point) {
  const stroke = `var(${style.name})`;
  const mark = point
    ? svg("circle", { cx: 13, cy: 6, r: 4, "stroke-width": 2, fill: "none" })
    : svg("line", { x1: 0, y1: 6, x2: 26, y2: 6, "stroke-width": 2.5, "stroke-dasharray": style.dash.join(" ") });
  mark.style.stroke = stroke;
  if (point && !style.hollow) mark.style.fill = stroke;
  return el("li", { title: text }, svg("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, mark), clip(text, 90));
}

const axis = (title, more = {}) => ({
  stroke: colour("--text"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 },
  font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", label: title, labelSize: 20, ...more,
});

// `whole`: whether x has whole numbers alone. `lines`: {label, x: [], y: [], spread: [] or null, style, points: whether dots alone}; x grows within each.
// The chart lies in a host, so that it can be built again there; what is under the pointer is written below it.
function chart({ title, x, y, lines, logarithmic = false, names = null, ends = [], keys = true, whole = false }) {
  const host = el("div", { class: "host", role: "img", "aria-label": `${title}: ${y} against ${x}, ${lines.length} series` });
  const readout = el("p", { class: "readout", "aria-hidden": "true" });
  const figure = el("figure", {}, el("figcaption", {}, title), host, readout);
  if (keys && lines.some((line) => line.label))
    figure.append(el("ul", { class: "keys" }, lines.filter((line) => line.label).map((line) => key(line.style, line.label, line.points))));
  const build = () => {
    const made = plotted({ x, y, lines, logarithmic, names, ends, whole, readout }, host.clientWidth || 480);
    host.replaceChildren();
    return new uPlot(made.options, made.data, host);
  };
  live(host, build);
  return figure;
}

// Every series over all places of all lines, in order of x; what it does not have is null.
function plotted({ x, y, lines, logarithmic, names, ends, whole, readout }, width) {
  const places = lines.flatMap((line, l) => line.x.map((at, k) => ({ at, l, k }))).sort((a, b) => a.at - b.at);
  const shared = lines.some((line) => !line.points);
  const xs = shared ? [...new Set(places.map((place) => place.at))] : places.map((place) => place.at);
  const slot = new Map(shared ? xs.map((at, i) => [at, i]) : []);
  const data = [xs], series = [{}], bands = [];
  const column = () => { const made = new Array(xs.length).fill(null); data.push(made); return made; };
  const columns = lines.map((line) => {
    const stroke = colour(line.style.name);
    const values = column(), index = series.length;
    series.push({
      label: line.label, stroke, width: line.points ? 0 : 2, dash: line.style.dash, spanGaps: true,
      ...(line.points ? { paths: () => null } : {}),
      points: { show: line.points || xs.length < 30, size: line.points ? 8 : 5, width: 2, fill: line.style.hollow && line.points ? colour("--ground") : stroke, stroke },
    });
    let low = null, high = null;
    if (line.spread) {
      for (const bound of [1, -1]) series.push({ stroke: "transparent", width: 0, points: { show: false }, spanGaps: true, bound });
      high = column(); low = column();
      bands.push({ series: [index + 1, index + 2], fill: colour(line.style.name, 0.1) });
    }
    return { values, high, low };
  });
  const put = ({ at, l, k }, i) => {
    const { values, high, low } = columns[l], line = lines[l];
    values[i] = line.y[k];
    if (high && line.y[k] != null) { high[i] = line.y[k] + line.spread[k]; low[i] = line.y[k] - line.spread[k]; }
  };
  places.forEach((place, i) => put(place, shared ? slot.get(place.at) : i));
  const say = (u) => {
    const i = u.cursor.idx;
    const there = i == null ? [] : series.map((one, s) => [one.label, data[s][i]]).filter(([name, value], s) => s && name && value != null);
    const at = i == null ? "" : `${x} ${names ? names[xs[i]] ?? "" : brief(xs[i])}: `;
    readout.textContent = at + there.slice(0, 6).map(([name, value]) => `${clip(name, 40)} ${brief(value)}`).join("; ");
  };
  const marks = (u) => {
    u.ctx.save();
    u.ctx.strokeStyle = colour("--quiet");
    u.ctx.setLineDash([3, 4]);
    for (const end of ends) {
      const at = Math.round(u.valToPos(end, "x", true));
      u.ctx.beginPath(); u.ctx.moveTo(at, u.bbox.top); u.ctx.lineTo(at, u.bbox.top + u.bbox.height); u.ctx.stroke();
    }
    u.ctx.restore();
  };
  const naming = names ? { splits: () => names.map((_, i) => i), values: (_, at) => at.map((i) => clip(names[i] ?? "", 14)), rotate: names.length > 6 ? -40 : 0, size: names.length > 6 ? 90 : 50 } : {};
  const range = names ? { range: [-0.5, names.length - 0.5] } : shared ? {} : { range: (_, low, high) => padded(low, high, logarithmic) };
  const options = {
    width, height: 300, legend: { show: false }, series, bands, hooks: { setCursor: [say], draw: ends.length ? [marks] : [] },
    scales: { x: { time: false, ...(logarithmic ? { distr: 3 } : {}), ...range } },
    axes: [axis(x, { size: 36, ...(whole ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] } : {}), ...naming }), axis(y, { size: 60 })], cursor: { drag: { x: true, y: false }, points: { show: false } },
  };
  return { options, data };
}

function padded(low, high, logarithmic) {
  if (low == null) return [1, 10];
  if (logarithmic) return [low / 1.3, high * 1.3];
  const edge = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - edge, high + edge];
}

// A chart in the page: built when it is seen first, as wide as its host, in the theme of now.
function live(host, build) {
  let plot = null, width = 0;
  const again = () => { plot?.destroy(); plot = build(); };
  const item = { host, again: () => plot && again() };
  built.add(item);
  new ResizeObserver(() => {
    const now = host.clientWidth;
    if (!host.isConnected || !now || now === width) return;
    width = now;
    if (plot) plot.setSize({ width, height: 300 }); else again();
  }).observe(host);
}

function restyle() {
  for (const item of built) if (item.host.isConnected) item.again(); else built.delete(item);
}

const spanning = (values) => {
  const positive = values.filter((value) => value > 0);
  return positive.length === values.length && values.length > 1 && Math.max(...values) / Math.min(...values) > 30;
};
