// Elements, whose texts are always texts: nothing here parses HTML.

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null));
  return node;
}

const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// "a **b** `c`", as the legends of the tables have it.
const rich = (text) => text.split(/(\*\*.+?\*\*|`.+?`)/).map((part) =>
  part.startsWith("**") ? el("b", {}, part.slice(2, -2)) : part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : part);

const number = (value, decimals) =>
  value == null ? "-" : value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

const brief = (value) => (value == null ? "-" : typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value));

const definitions = (pairs) =>
  el("dl", {}, pairs.filter(([, value]) => value != null).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

function choice(label, options, onchange) {
  const select = el("select", { onchange: () => onchange(select.value) }, options.map(([value, text]) => el("option", { value }, text)));
  return el("label", { class: "choice" }, label, select);
}

const region = (label, ...children) => el("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, children);

const clip = (text, most = 80) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
