// The page as a whole: summary, a section for each kind of stream, all trials, what failed.

const main = document.getElementById("main");
const THEMES = ["system", "light", "dark"];

function summary() {
  const failed = DATA.ended.length ? el("p", {}, el("a", { href: "#ended" }, "What failed or was stopped, by cause.")) : null;
  const notes = DATA.notes.map(([heading, lines]) => el("details", { open: true }, el("summary", { class: "bad" }, heading), el("ul", {}, lines.map((line) => el("li", {}, line)))));
  return el("section", { id: "summary", "aria-label": "Summary" }, el("h2", {}, "Summary"),
    DATA.sweeps.length > 1 ? el("p", {}, `Of the sweeps ${DATA.sweeps.join(", ")}.`) : null, failed, notes, DATA.kinds.map((kind) => [DATA.kinds.length > 1 ? el("h3", {}, titled(kind.name)) : null, asked(kind), outcome(kind)]));
}

function asked(kind) {
  const list = (values, most = 14) => values.length ? values.slice(0, most).map((value) => clip(value, 300)).join(", ") + (values.length > most ? ` and ${values.length - most} more` : "") : null;
  const { methods, optimizers, models, data, domains, seeds } = kind.asked;
  return definitions([["methods", list(methods)], ["optimizers", list(optimizers)], ["models", list(models)],
    ["data", list(data)], ["domains", list(domains)], ["seeds", list([...seeds].sort((a, b) => a - b))], ["configurations", kind.rows.length.toLocaleString("en-US")]]);
}

// On each model and stream, the configuration that is best by the first measure, and the next.
function outcome(kind) {
  const first = kind.columns[0], words = kind.table.words;
  const places = [...new Set(kind.rows.map((row) => row.place))].slice(0, MOST);
  const lines = places.flatMap((place) => kind.rows.map((row, i) => i).filter((i) => kind.rows[i].place === place && kind.rows[i].means[0] != null)
    .sort((a, b) => better(first) * (kind.rows[b].means[0] - kind.rows[a].means[0])).slice(0, places.length > 1 ? 2 : 5));
  const columns = [
    ...(places.length > 1 ? [{ title: "model and stream", word: true, text: (i) => kind.rows[i].place || "-", value: (i) => kind.rows[i].place }] : []),
    ...configurationColumns(kind).filter((_, j) => j < 2 || (j >= words && j < words + 4)).map(plain), // what is in bold leads its method alone
  ];
  if (!lines.length) return el("p", { class: "empty" }, "No trial has finished.");
  return [el("h3", {}, `Best by ${first.title}`), table({ caption: `± ${kind.spread}; chosen by the measure that is shown, so that the first of many is flattered`, columns, lines }).node];
}

const plain = ({ lead, ...column }) => column;

function everyTrial() {
  const trials = RUNS.ids.map((_, i) => i);
  const first = ["method.name", "optimizer.name", "seed"];
  const leaves = [...first.filter((leaf) => leaf in RUNS.leaves), ...Object.keys(RUNS.leaves).filter((leaf) => !first.includes(leaf))].slice(0, 16);
  const found = DATA.kinds.flatMap((kind) => kind.columns.filter((column) => column.measured).slice(0, 3));
  const measures = [...new Map(found.map((column) => [column.title, column])).values()];
  const columns = [
    { title: "trial", word: true, text: trialButton, value: (i) => RUNS.ids[i] },
    { title: "status", word: true, text: statusOf, value: statusOf },
    ...(DATA.sweeps.length > 1 ? [{ title: "sweep", word: true, text: (i) => DATA.sweeps[RUNS.sweep[i]], value: (i) => DATA.sweeps[RUNS.sweep[i]] }] : []),
    ...leaves.map((leaf) => ({ title: leaf, word: true, text: (i) => brief(leafOf(leaf, i)), value: (i) => leafOf(leaf, i) })),
    ...measures.map((column) => ({ title: column.title, text: (i) => shownMeasure(column, i), value: (i) => measureOf(column.name, i) })),
  ];
  const list = table({ caption: "Every trial; a press on its id shows all of it", columns, lines: trials });
  const search = (i) => `${RUNS.ids[i]} ${statusOf(i)} ${leaves.map((leaf) => leafOf(leaf, i)).join(" ")} ${coded(RUNS.errors, i) ?? ""}`.toLowerCase();
  return el("section", { id: "every", "aria-label": "Trials" }, el("h2", {}, "Trials"),
    filters({ lines: trials, search, columns: columns.slice(1).filter((column) => column.word), onchange: list.update }), list.node);
}

function theme() {
  const button = document.getElementById("theme");
  const kept = () => { try { return localStorage.getItem("zfscale-theme"); } catch { return null; } };
  const set = (name) => {
    if (name === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    try { localStorage.setItem("zfscale-theme", name); } catch { /* from a file, a browser may keep nothing */ }
    restyle();
  };
  let now = THEMES.includes(kept()) ? kept() : "system";
  button.addEventListener("click", () => set(now = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  set(now);
}

function start() {
  document.getElementById("title").textContent = DATA.title;
  document.getElementById("counts").textContent = DATA.counts;
  document.getElementById("made").textContent = `Made by zfscale ${DATA.version}. All of it is in this file; report.md beside it has the same tables.`;
  const ended = DATA.ended.length ? [el("section", { id: "ended", "aria-label": "Failed and stopped trials" }, el("h2", {}, "Failed and stopped trials"), DATA.ended.map((one) => [el("h3", {}, one.heading), sheet(one)].flat()))] : [];
  const sections = [summary(), ...DATA.kinds.map(section), ...ended, everyTrial()];
  main.replaceChildren(...sections);
  document.getElementById("sections").append(...sections.map((one) => el("li", {}, el("a", { href: `#${one.id}` }, one.getAttribute("aria-label")))));
  theme();
  fromAddress();
  addEventListener("hashchange", fromAddress);
}

start();
