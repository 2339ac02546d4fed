// The section of one kind of stream: its table of configurations, and charts of those that the filters leave.

const MOST = 12; // lines in a chart

function section(kind) {
  const id = kind.name.replaceAll("_", "-");
  const charts = follower(kind);
  const columns = configurationColumns(kind);
  const lines = kind.rows.map((_, i) => i);
  const list = table({ caption: `Configurations, ± ${kind.spread}`, columns, lines, inside: (i) => inside(kind, i), onorder: charts.follow });
  const words = columns.filter((column) => column.word);
  const placed = new Set(kind.rows.map((row) => row.place)).size > 1;
  const places = placed ? [{ title: "model and stream", text: (i) => kind.rows[i].place || "-" }] : [];
  const search = (i) => cells(kind, i).join(" ").toLowerCase();
  return el("section", { id, "aria-label": titled(kind.name) },
    el("h2", {}, titled(kind.name)),
    filters({ lines, search, columns: [...places, ...words], onchange: list.update }),
    list.node,
    el("p", { class: "note" }, rich(kind.legend)),
    kind.sampling ? el("p", { class: "note" }, kind.sampling) : null,
    el("h3", {}, "Curves, costs and matrices"),
    el("p", { class: "note" }, `Drawn are the configurations that the filters leave, in the table's order: of each method and optimizer the one that is best by ${head(kind)[kind.table.words + 1]}, ${MOST} at most.`),
    charts.node,
    leaderboards(kind),
    kind.equal.length ? [el("h3", {}, "At equal cost"), kind.equal.map((one) => el("details", {}, el("summary", {}, one.heading), sheet(one)))] : [],
    space(kind));
}

function configurationColumns(kind) {
  const leading = new Set(kind.table.bold.map((cell) => cell.join()));
  const words = kind.table.words;
  return head(kind).map((title, j) => ({
    title,
    word: j < words,
    text: (i) => cells(kind, i)[j],
    value: (i) => (j > words ? kind.rows[i].means[j - words - 1] : sortable(cells(kind, i)[j], j < words)),
    lead: (i) => leading.has(`${i},${j}`),
  }));
}

// What opens below a configuration: its trials, and its curve and matrix.
function inside(kind, i) {
  const row = kind.rows[i];
  const columns = [
    { title: "trial", word: true, text: (t) => trialButton(t), value: (t) => RUNS.ids[t] },
    { title: "seed", text: (t) => brief(leafOf("seed", t)), value: (t) => leafOf("seed", t) },
    ...kind.columns.filter((column) => column.measured).map((column) => ({
      title: column.title,
      text: (t) => shownMeasure(column, t),
      value: (t) => measureOf(column.name, t),
    })),
  ];
  return el("div", {},
    el("p", {}, label(kind, i)),
    table({ caption: "Its trials", columns, lines: row.runs }).node,
    el("div", { class: "charts" }, curves(kind, [i]), heat(kind, row.runs, row.domains)));
}

function shownMeasure(column, t) {
  const value = measureOf(column.name, t);
  return value == null ? "-" : number(value * column.factor, column.decimals);
}

const trialButton = (t) =>
  el("button", { type: "button", class: "link id", onclick: () => showTrial(t) }, RUNS.ids[t], holds(t) ? " ✓" : "");

// Charts that follow the table, on one model and stream at a time. They are made again at most once a frame.
function follower(kind) {
  const charts = el("div", { class: "charts" }), chooser = el("div");
  let lines = [], asked = null, waiting = false;
  const places = () => [...new Set(lines.map((i) => kind.rows[i].place))];
  function draw() {
    waiting = false;
    const there = places(), place = there.includes(asked) ? asked : there[0];
    const mine = lines.filter((i) => kind.rows[i].place === place), best = mine.filter((i) => kind.rows[i].best);
    const drawn = (best.length ? best : mine).slice(0, MOST);
    const parts = [curves(kind, drawn), costs(kind, mine), radar(kind, drawn), heatChoice(kind, drawn)].filter(Boolean);
    charts.replaceChildren(...(parts.length ? parts : [el("p", { class: "empty" }, "Nothing to draw.")]));
  }
  function follow(now) {
    const before = places().join("\n");
    lines = now;
    const there = places();
    if (there.join("\n") !== before)
      chooser.replaceChildren(...(there.length > 1 ? [choice("Drawn on", there.map((place) => [place, clip(place || "-", 90)]), (place) => { asked = place; draw(); })] : []));
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }
  return { node: [chooser, charts], follow };
}

// Accuracy or loss per stage.
function curves(kind, drawn) {
  const lines = drawn.map((i, n) => {
    const found = stages(kind, kind.rows[i]).map((stage, at) => ({ ...stage, at })).filter((stage) => stage.mean != null);
    return { label: label(kind, i, drawn), style: styleOf(n), x: found.map((one) => one.at), y: found.map((one) => one.mean), spread: found.map((one) => one.spread), found };
  }).filter((line) => line.x.length);
  if (!lines.length) return null;
  const unit = kind.matrix.unit ? ` ${kind.matrix.unit}` : "";
  const y = `${kind.matrix.what} over all tasks so far${unit}`;
  const figure = chart({ title: `${kind.matrix.what === "accuracy" ? "Accuracy" : "Loss"} per stage`, x: "stage", y, lines, whole: true });
  figure.append(numbers(lines, kind), el("p", { class: "note" }, `Mean over trials; bands are ± one ${kind.spread}.`));
  return figure;
}

// The same as a table, for those who do not see a chart.
function numbers(lines, kind) {
  const at = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const shown = ({ mean: middle, spread: wide }) => number(middle, kind.matrix.decimals) + (wide ? ` ± ${number(wide, kind.matrix.decimals)}` : "");
  const row = (line) => el("tr", {}, el("th", { scope: "row", class: "word" }, line.label), at.map((stage) => {
    const found = line.found.find((one) => one.at === stage);
    return el("td", {}, found ? shown(found) : "-");
  }));
  const whole = () => region("Numbers of the curves", el("table", {}, el("thead", {}, el("tr", {}, el("th", { class: "word" }, "stage"), at.map((stage) => el("th", { scope: "col" }, String(stage))))), el("tbody", {}, lines.map(row))));
  return lazily("The numbers", whole);
}

// Details whose content is made when they are first opened.
function lazily(title, make) {
  const details = el("details", { ontoggle: () => details.open && details.children.length < 2 && details.append(make()) }, el("summary", {}, title));
  return details;
}

function leaderboards(kind) {
  if (!kind.boards.length) return [];
  const baseline = (board) => (board.baseline.includes("/") ? board.baseline : `${board.baseline} of the same method`);
  const named = (board) => `${board.place ? `${clip(board.place, 90)}, at ` : "At "}equal ${board.what}, against ${baseline(board)}`;
  const place = el("div");
  const show = (b) => place.replaceChildren(matrixOfBoard(kind.boards[b], `${kind.columns[0].title} at equal ${kind.boards[b].what}, against ${baseline(kind.boards[b])}`));
  show(0);
  return [
    el("h3", {}, "Leaderboards at equal cost"),
    el("p", { class: "note" }, "Cells of a method took the same cost within a tenth; below the mean, the difference from the baseline, paired by run, ± standard error; in bold where it is more than two of these from 0. ✓: zfscale verify has left a certificate that holds for every trial of the cell."),
    choice("Leaderboard", kind.boards.map((board, b) => [b, named(board)]), (b) => show(Number(b))), place,
  ];
}

function matrixOfBoard(board, caption) {
  const methods = [...new Set(board.cells.map((cell) => cell.method))];
  const optimizers = [...new Set(board.cells.map((cell) => cell.optimizer))];
  const shown = (cell) => [
    cell.value, cell.verified ? [" ", el("span", { class: "badge good" }, "✓ verified")] : [],
    cell.difference === "-" ? [] : el("span", { class: cell.beyond ? "difference beyond" : "difference" }, cell.difference),
    el("small", {}, `${cell.cost} ${board.what}, ${cell.count} ${cell.count === 1 ? "run" : "runs"}${cell.settings > 1 ? `, best of ${cell.settings} settings` : ""}`),
  ].flat(2);
  const one = (method) => (optimizer) => {
    const cell = board.cells.find((each) => each.method === method && each.optimizer === optimizer);
    return el("td", {}, cell ? shown(cell) : "-");
  };
  return region(`Leaderboard at equal ${board.what}`, el("table", { class: "board" }, el("caption", {}, el("span", {}, caption)),
    el("thead", {}, el("tr", {}, el("th", { class: "word" }, "method"), optimizers.map((name) => el("th", { scope: "col", class: "word" }, name)))),
    el("tbody", {}, methods.map((method) => el("tr", {}, el("th", { scope: "row", class: "word" }, method), optimizers.map(one(method)))))));
}
