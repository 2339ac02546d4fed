// Tables: sorted by buttons in their heads, filled as they are scrolled, so that 10,000 lines cost no more than 100.

const CHUNK = 100;
const FILTERS = 3; // that are seen at once

// `columns`: {title, word, text: i => string or element, value: i => what is sorted by, lead: i => whether in bold}.
// `inside`: i => an element that opens below a line, by a button in its first cell.
// Lines are numbers; `update(lines)` shows these. `onorder(lines)` hears of every new order.
function table({ caption, columns, lines, inside = null, onorder = () => {} }) {
  let shown = lines, sorted = lines, order = { column: -1, sign: 1 }, next = 0;
  const heads = columns.map((column, c) =>
    el("th", { scope: "col", class: column.word && "word" }, el("button", { type: "button", onclick: () => sort(c) }, column.title)));
  const body = el("tbody");
  const node = region(caption, el("table", {}, el("caption", {}, el("span", {}, caption)), el("thead", {}, el("tr", {}, heads)), body));
  const watcher = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && more(), { root: node, rootMargin: "200px" });

  function sort(c) {
    // The first press shows what is best or first; words ascend, numbers descend.
    const first = columns[c].word ? 1 : -1;
    order = order.column === c ? { column: c, sign: -order.sign } : { column: c, sign: first };
    heads.forEach((th, k) => (k === c ? th.setAttribute("aria-sort", order.sign > 0 ? "ascending" : "descending") : th.removeAttribute("aria-sort")));
    draw();
  }

  function draw() {
    sorted = order.column < 0 ? shown : [...shown].sort(by(columns[order.column].value, order.sign));
    next = 0;
    body.replaceChildren();
    more();
    onorder(sorted);
  }

  function more() {
    body.querySelector("tr.more")?.remove();
    watcher.disconnect();
    body.append(...sorted.slice(next, next + CHUNK).map(line));
    next = Math.min(next + CHUNK, sorted.length);
    if (next < sorted.length) {
      const button = el("button", { type: "button", onclick: more }, `Show more of ${sorted.length.toLocaleString("en-US")}`);
      const last = el("tr", { class: "more" }, el("td", { colspan: columns.length }, button));
      body.append(last);
      watcher.observe(last);
    }
    if (!sorted.length) body.append(el("tr", {}, el("td", { colspan: columns.length, class: "empty word" }, "Nothing fits the filters.")));
  }

  function line(i) {
    return el("tr", {}, columns.map((column, c) => {
      const content = column.text(i);
      const classes = [column.word && "word", column.lead?.(i) && "lead"].filter(Boolean).join(" ") || null;
      if (c === 0 && inside) return el("td", { class: classes }, opener(content, i));
      return el("td", { class: classes, title: typeof content === "string" && content.length > 80 ? content : null }, wrapped(content));
    }));
  }

  function opener(content, i) {
    const button = el("button", { type: "button", class: "link", "aria-expanded": "false", onclick: toggle }, content);
    function toggle() {
      const open = button.getAttribute("aria-expanded") === "true", row = button.closest("tr");
      button.setAttribute("aria-expanded", String(!open));
      if (open) row.nextElementSibling.remove();
      else row.after(el("tr", { class: "inside" }, el("td", { colspan: columns.length }, inside(i))));
    }
    return button;
  }

  draw();
  return { node, update: (now) => { shown = now; draw(); } };
}

const wrapped = (content) => (typeof content === "string" && content.length > 60 ? el("div", { class: "clip" }, content) : content);

// What is missing comes last in both orders.
const by = (value, sign) => (a, b) => {
  const one = value(a), other = value(b);
  if (one == null || other == null) return (one == null) - (other == null);
  if (typeof one === "number" && typeof other === "number") return sign * (one - other);
  return sign * String(one).localeCompare(String(other), "en", { numeric: true });
};

// Filters over lines: a text that is searched, and for columns of few words a choice of one. `onchange(lines)`.
function filters({ lines, search, columns, onchange }) {
  const chosen = new Map(), status = el("span", { role: "status", class: "quiet" });
  let wanted = "";
  const apply = () => {
    const left = lines.filter((i) => [...chosen].every(([column, value]) => String(column.text(i)) === value) && (!wanted || search(i).includes(wanted)));
    status.textContent = `${left.length.toLocaleString("en-US")} of ${lines.length.toLocaleString("en-US")} shown`;
    onchange(left);
  };
  const selects = columns.map((column) => {
    const values = [...new Set(lines.map((i) => String(column.text(i))))];
    if (values.length < 2 || values.length > 60) return null;
    return choice(column.title, [["", "all"], ...values.map((value) => [`=${value}`, clip(value, 60)])], (value) => {
      if (value) chosen.set(column, value.slice(1)); else chosen.delete(column);
      apply();
    });
  });
  const box = el("input", { type: "search", oninput: () => { wanted = box.value.trim().toLowerCase(); apply(); } });
  apply();
  const here = selects.filter(Boolean);
  const others = here.length > FILTERS ? el("details", {}, el("summary", {}, `More filters (${here.length - FILTERS})`), el("div", {}, here.slice(FILTERS))) : null;
  return el("div", { class: "filters" }, el("label", {}, "Search", box), here.slice(0, FILTERS), status, others);
}

// A table of the report as it is.
function sheet({ heading, lines, words, bold, note }) {
  const leading = new Set(bold.map((cell) => cell.join()));
  const columns = lines[0].map((title, j) => ({
    title, word: j < words, text: (i) => lines[i + 1][j], value: (i) => sortable(lines[i + 1][j], j < words), lead: (i) => leading.has(`${i},${j}`),
  }));
  const numbers = lines.slice(1).map((_, i) => i);
  return [table({ caption: heading, columns, lines: numbers }).node, note ? el("p", { class: "note" }, note) : null];
}

function sortable(cell, word) {
  if (cell === "-") return null;
  const value = Number.parseFloat(cell.replaceAll(",", ""));
  return word && !/^[-+\d.,e]+$/.test(cell) || Number.isNaN(value) ? cell : value;
}
