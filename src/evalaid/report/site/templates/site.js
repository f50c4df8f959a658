"use strict";
const read = (id) => { const found = document.getElementById(id); return found && JSON.parse(found.textContent); };
const fill = (text, names) => text.replace(/\{(\w+)\}/g, (whole, name) => (name in names ? names[name] : whole));

// Notes: where a number comes from, on hover, focus and touch.
const notes = read("notes");
if (notes) {
  const box = document.getElementById("note");
  let shown = null, touched = false;
  const keyOf = (link) => {
    if (link.dataset.k) return link.dataset.k;
    const cell = link.closest("td,th"), table = cell.closest("table");
    const column = table.tHead.rows[0].cells[cell.cellIndex].dataset.column;
    const start = `${table.closest(".table").id.replace("table-", "")}.${cell.parentElement.dataset.row}`;
    if (column === "value") return start;
    return `${start}.${column}` + (column in notes.pairs ? `, ${notes.pairs[column]}` : "");
  };
  const lines = (link) => {
    const [method, clusters] = notes.made[link.dataset.n];
    const [notebook, number] = /#in-(.+)-(\d+)$/.exec(link.hash)?.slice(1) ?? ["", ""];
    return [
      keyOf(link), method,
      notebook && fill(notes.words.cell, { notebook, number }),
      clusters && fill(notes.words.clusters, { clusters }),
      fill(notes.words.data, { hash: notes.hash }),
    ].filter(Boolean);
  };
  const hide = () => { if (shown) shown.removeAttribute("aria-describedby"); box.hidden = true; shown = null; };
  const show = (link) => {
    if (shown === link) return;
    hide();
    box.replaceChildren(...lines(link).map((text, place) => {
      const line = document.createElement(place ? "span" : "code");
      line.textContent = text;
      return line;
    }));
    box.hidden = false;
    const at = link.getBoundingClientRect(), room = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(at.left, room - box.offsetWidth - 8)) + scrollX}px`;
    const below = at.bottom + box.offsetHeight + 12 < innerHeight;
    box.style.top = `${(below ? at.bottom + 6 : at.top - box.offsetHeight - 6) + scrollY}px`;
    link.setAttribute("aria-describedby", "note");
    shown = link;
  };
  const linkOf = (event) => event.target.closest?.("a.v");
  document.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") linkOf(event) ? show(linkOf(event)) : hide(); });
  document.addEventListener("focusin", (event) => { linkOf(event) ? show(linkOf(event)) : hide(); });
  document.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch" && shown !== linkOf(event); }, true);
  document.addEventListener("click", (event) => {
    const link = linkOf(event);
    if (link && touched) { event.preventDefault(); show(link); }
    touched = false;
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  // A table is one stop of the tab key; arrows go from number to number.
  for (const table of document.querySelectorAll("table")) {
    const links = [...table.querySelectorAll("a.v")];
    for (const link of links.slice(1)) link.tabIndex = -1;
    table.addEventListener("keydown", (event) => {
      const from = links.indexOf(event.target);
      if (from < 0 || !/^Arrow/.test(event.key)) return;
      event.preventDefault();
      const cell = (link) => link.closest("td,th").cellIndex, row = (link) => link.closest("tr").rowIndex;
      const ahead = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const line = ahead > 0 ? links.slice(from + 1) : links.slice(0, from).reverse();
      const sideways = /Left|Right/.test(event.key);
      const to = line.find((link) => (sideways ? row(link) === row(event.target) : cell(link) === cell(event.target)));
      if (!to) return;
      event.target.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    });
  }
}

// The code of a cell opens when a link leads to it.
const open = () => {
  const cell = location.hash.startsWith("#in-") && document.getElementById(location.hash.slice(1));
  if (cell) { cell.open = true; cell.scrollIntoView(); }
};
addEventListener("hashchange", open);
open();

// The list of numbers.
const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.querySelectorAll("tbody tr")];
  filter.addEventListener("input", () => {
    const sought = filter.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(sought);
  });
}

// The explorer: everything was computed; choices look up a place on the curve of distinct estimates.
const data = read("explorer");
if (data) {
  const words = data.words, form = document.getElementById("choices"), said = document.getElementById("said");
  const selects = data.choices.map(([name]) => document.getElementById(`choose-${name}`));
  const other = document.getElementById("choose-estimand"), curve = document.getElementById("curve");
  const minus = "\u2212";
  const signed = (value) => {
    const text = Math.abs(value).toFixed(2);
    return Number(text) === 0 ? text : (value > 0 ? "+" : minus) + text;
  };
  const number = (value) => fill(data.unit, { value: signed(value) });
  const write = ([value, low, high]) =>
    low === null ? fill(words.plain, { estimate: number(value) })
      : fill(words.estimate, { estimate: number(value), low: signed(low), high: number(high), level: data.level });
  const nameNow = () => selects.map((select) => select.value).join(",");
  const mark = (point, place) => {
    for (const svg of curve.querySelectorAll("svg")) {
      const now = svg.querySelector(".now"), at = place === null ? null : svg.querySelector(`[data-at="${place}"]`);
      const { low, high, bottom, top } = Object.fromEntries(Object.entries(svg.dataset).map(([key, value]) => [key, Number(value)]));
      const y = (value) => bottom + ((Math.max(low, Math.min(high, value)) - low) / (high - low)) * (top - bottom);
      const x = at ? Number(at.getAttribute("cx")) : Number(now.dataset.right);
      const [dot, line] = [now.querySelector("circle"), now.querySelector("line")];
      now.classList.toggle("apart", !at);
      now.style.visibility = point ? "visible" : "hidden";
      if (!point) continue;
      dot.setAttribute("cx", x); dot.setAttribute("cy", y(point[0]));
      line.setAttribute("x1", x); line.setAttribute("x2", x);
      line.setAttribute("y1", y(point[1] ?? point[0])); line.setAttribute("y2", y(point[2] ?? point[0]));
    }
  };
  let last = { name: data.start, point: data.points[data.combinations[data.start]], estimand: "" };
  const label = (place, value) => data.choices[place][1][value];
  const tell = () => {
    const name = nameNow(), estimand = other ? other.value : "";
    const found = data.combinations[name];
    const changed = name.split(",").flatMap((value, place) => {
      const before = last.name.split(",")[place];
      return value === before ? [] : [fill(words.changed, { choice: words[data.choices[place][0]], before: label(place, before), after: label(place, value) })];
    });
    for (const select of selects) select.disabled = estimand !== "";
    let point = null, place = null, text;
    if (estimand !== "") {
      const [title, ...ends] = data.others[Number(estimand)];
      point = ends[0] === null ? null : ends.slice(0, 3);
      text = fill(words.other, { title }) + words.between + (point ? write(point) : ends[3] || words.nothing);
    } else if (found === undefined || found < 0) {
      text = fill(words.none, { reason: data.reasons[-1 - found] || words.undeclared });
    } else {
      [point, place] = [data.points[found], found];
      const moved = last.point && (changed.length || last.estimand)
        ? fill(point[0] === last.point[0] ? words.stays : words.moves, { before: number(last.point[0]), after: number(point[0]) }) + words.between : "";
      const where = fill(words.place, { place: found + 1, n: data.points.length });
      text = `${moved}${write(point)}${words.between}${name === data.start && data.has_main ? words.main : where}`;
    }
    said.textContent = [...changed, text].join(words.between);
    mark(point, place);
    curve.setAttribute("aria-valuenow", (place ?? data.combinations[data.start]) + 1);
    curve.setAttribute("aria-valuetext", said.textContent);
    last = { name, point: point ?? last.point, estimand };
  };
  const go = (place) => {
    const names = Object.keys(data.combinations).filter((name) => data.combinations[name] === place);
    const now = nameNow().split(",");
    const far = (name) => name.split(",").filter((value, at) => value !== now[at]).length;
    const nearest = names.sort((one, two) => far(one) - far(two))[0];
    if (nearest === undefined) return;
    if (other) other.value = "";
    nearest.split(",").forEach((value, at) => { selects[at].value = value; });
    tell();
  };
  const back = () => { if (other) other.value = ""; data.start.split(",").forEach((value, at) => { selects[at].value = value; }); tell(); };
  form.addEventListener("change", tell);
  form.addEventListener("reset", (event) => { event.preventDefault(); back(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  curve.addEventListener("keydown", (event) => {
    const here = Number(curve.getAttribute("aria-valuenow")) - 1, end = data.points.length - 1;
    const to = { ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here - 1, ArrowDown: here - 1, Home: 0, End: end }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(Math.max(0, Math.min(end, to)));
  });
  curve.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest("svg");
    if (!svg) return;
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) * (svg.viewBox.baseVal.width / box.width);
    const far = (dot) => Math.abs(Number(dot.getAttribute("cx")) - at);
    const dots = [...svg.querySelectorAll("[data-at]")].sort((one, two) => far(one) - far(two));
    go(Number(dots[0].dataset.at));
  });
  form.hidden = said.hidden = false;
  curve.tabIndex = 0;
  for (const [name, value] of Object.entries({ role: "slider", "aria-label": words.curve, "aria-valuemin": 1, "aria-valuemax": data.points.length }))
    curve.setAttribute(name, value);
  back();
}
