// The candidates' table: sorted and filtered rows, the dots of the same candidates, and the network
// of the chosen one.
"use strict";

(() => {
  const source = document.getElementById("candidates");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const { columns } = data;
  const find = (id) => document.getElementById(id);
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  // A row has each value by name, and as name_text what is shown.
  const rows = columns[0].values.map((_, place) => {
    const row = { place };
    for (const { name, values, cells } of columns) {
      row[name] = values[place];
      if (cells.length) row[`${name}_text`] = cells[place];
    }
    return row;
  });
  const shown = (row, column) => String(row[`${column.name}_text`] ?? row[column.name]);
  const words = rows.map((row) => columns.map((one) => shown(row, one)).join(" ").toLowerCase());

  const STEP = 10;
  const state = { sort: null, descending: false, count: STEP, chosen: null, views: [] };
  const body = find("rows"), filter = find("filter"), until = find("until"), more = find("more");

  // "crossover flops<400K": every word must be in the row, every comparison must hold.
  function condition(word) {
    const match = /^(\D[^<>]*)([<>])=?([-\d.]+)([^\d\s]*)$/.exec(word);
    const column = match && columns.find((one) =>
      !one.text && one.heading.toLowerCase().replace(/\W/g, "").includes(match[1].replace(/\W/g, "")));
    if (!column) return (row) => words[row.place].includes(word);
    const factors = Object.entries(column.factors).map(([suffix, by]) => [suffix.toLowerCase(), by]);
    const factor = match[4] ? Object.fromEntries(factors)[match[4]] ?? NaN : 1;
    const limit = Number(match[3]) * factor;
    const sign = match[2] === "<" ? -1 : 1;
    return (row) => row[column.name] !== null && sign * (column.sign * row[column.name] - limit) >= 0;
  }

  function matching() {
    const conditions = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(condition);
    const last = until ? Number(until.value) : Infinity;
    return rows.filter((row) => row.iteration <= last && conditions.every((one) => one(row)));
  }

  function compare(a, b) {
    const { name, text } = state.sort;
    const order = text ? String(a[name]).localeCompare(b[name]) : (a[name] ?? -Infinity) - (b[name] ?? -Infinity);
    return (state.descending ? -order : order) || a.place - b.place;
  }

  function update() {
    const kept = matching(), best = kept[0];
    if (until) find("until-value").textContent = `${until.value} of ${until.max}`;
    find("count").textContent = `${kept.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} candidates`
      + (best ? `; the best has ${shown(best, columns[1])}` : "");
    const sorted = [...kept].sort(compare), drawn = sorted.slice(0, state.count);
    // A chosen dot has its row, however far down.
    if (sorted.indexOf(state.chosen) >= state.count) drawn.push(state.chosen);
    body.replaceChildren(...drawn.map(drawRow));
    more.hidden = kept.length <= state.count;
    for (const view of state.views) view.data("candidates", kept.map((row) => ({ ...row }))).runAsync();
  }

  function drawRow(row) {
    const cells = columns.map((column) => {
      const cell = make("td", { className: column.text ? "text" : "" });
      cell.dataset.label = column.heading;
      const text = shown(row, column);
      if (column.name !== "architecture") return cell.append(text), cell;
      cell.className = `text code whole${text.length > 30 ? " wide" : ""}`;
      const button = make("button", { type: "button", className: "choose", textContent: text });
      button.setAttribute("aria-pressed", String(row === state.chosen));
      cell.append(button);
      return cell;
    });
    const line = make("tr", { className: row === state.chosen ? "chosen" : "" }, ...cells);
    line.addEventListener("click", () => choose(row, line));
    return line;
  }

  // Marks the dot of a candidate and draws its network; the clicked row stays where it is.
  function choose(row, line) {
    const before = line && line.getBoundingClientRect().top;
    const place = line && [...body.children].indexOf(line);
    const focused = line && line.contains(document.activeElement);
    state.chosen = row;
    for (const view of state.views) view.data("chosen", [{ ...row }]).runAsync();
    drawNetwork(row);
    update();
    if (!line || !body.children[place]) return;
    if (focused) body.children[place].querySelector("button").focus({ preventScroll: true });
    window.scrollBy(0, body.children[place].getBoundingClientRect().top - before);
  }

  function drawNetwork(row) {
    const facts = columns.slice(0, -1).map((one) => `${one.heading} ${shown(row, one)}`).join(" · ");
    const panel = find("chosen");
    panel.replaceChildren(
      make("p", { className: "code", textContent: row.architecture }),
      make("p", { className: "soft", textContent: facts }),
    );
    const boxes = find("boxes").content.children;
    const blocks = (data.networks[row.place] || []).map((place) => boxes[place].cloneNode(true));
    const flops = blocks.map((block) => Number(block.dataset.flops || 0));
    const total = flops.reduce((a, b) => a + b, 0), largest = Math.max(...flops);
    let list = null, part = null;
    blocks.forEach((block, place) => {
      if (block.dataset.row !== part) {
        part = block.dataset.row;
        list = make("ol");
        panel.append(make("div", { className: "row" }, make("h3", { textContent: part }), list));
      }
      list.append(block);
      if (!block.dataset.flops || !total) return;
      const share = `${((100 * flops[place]) / total).toFixed(1)}%`;
      block.querySelector(".share").textContent = share;
      block.querySelector(".bar").setAttribute("width", Math.max((34 * flops[place]) / largest, 1.5));
      const drawing = block.querySelector("svg"), title = block.querySelector("title");
      title.textContent = title.textContent.replace(/\([\d.]+%\)/, `(${share})`);
      drawing.setAttribute("aria-label", title.textContent.replace("\n", ", "));
    });
  }

  function sortBy(column) {
    const first = column.best === "high";
    state.descending = state.sort === column ? !state.descending : first;
    state.sort = column;
    find("sort").value = column.name;
    [...find("headings").children].forEach((heading, place) => {
      const sorted = columns[place] === column ? (state.descending ? "descending" : "ascending") : "none";
      heading.setAttribute("aria-sort", sorted);
    });
    update();
  }

  find("headings").replaceChildren(...columns.map((column) => {
    const button = make("button", { type: "button", textContent: column.heading });
    button.addEventListener("click", () => sortBy(column));
    return make("th", { scope: "col", className: column.text ? "text" : "" }, button);
  }));
  find("sort").append(...columns.map((one) => make("option", { value: one.name, textContent: one.heading })));
  find("sort").addEventListener("change", (event) =>
    sortBy(columns.find((one) => one.name === event.target.value)));
  filter.addEventListener("input", () => { state.count = STEP; update(); });
  if (until) until.addEventListener("input", update);
  more.addEventListener("click", () => { state.count += 5 * STEP; update(); });
  find("controls").hidden = false;
  find("candidates-caption").textContent = "Choose a row or a dot: its network is drawn above.";
  sortBy(columns[0]);

  charts.then((views) => {
    state.views = Object.entries(views).filter(([id]) => id.startsWith("search-")).map(([, view]) => view);
    for (const view of state.views)
      view.addEventListener("click", (event, item) => {
        const row = item && rows[item.datum && item.datum.place];
        if (row) choose(row);
      });
    update();
  });
})();
