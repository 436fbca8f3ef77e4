// Draws the charts of a page: each element of class "chart" with its specification beside it.
"use strict";

const FONT = getComputedStyle(document.body).fontFamily;
const STYLE = {
  background: null,
  font: FONT,
  padding: { left: 0, top: 6, right: 8, bottom: 0 },
  view: { stroke: null },
  axis: {
    labelColor: "var(--soft)", titleColor: "var(--soft)", gridColor: "var(--hair)",
    domainColor: "var(--soft)", tickColor: "var(--soft)", labelFontSize: 12, titleFontSize: 13,
    titleFontWeight: "normal", titlePadding: 8, labelPadding: 6, labelFlush: false,
  },
  axisX: { grid: false, titleAnchor: "start", labelOverlap: true, tickCount: { expr: "ceil(width / 90)" } },
  axisY: { domain: false, ticks: false, tickCount: { expr: "ceil(height / 50)" }, labelLimit: 110 },
  legend: {
    orient: "top", labelColor: "var(--ink)", labelFontSize: 13, labelLimit: 0, symbolStrokeWidth: 2, symbolOpacity: 1,
    symbolType: "circle", offset: 10, columns: { expr: "width < 420 ? 1 : 4" },
  },
  line: { strokeWidth: 2, strokeJoin: "round" },
  text: { fontSize: 13 },
};

// Resolves to the view of each chart by the identifier of its element.
const charts = Promise.all(
  [...document.querySelectorAll(".chart")].map(async (element) => {
    const source = document.querySelector(`script[data-chart="${element.id}"]`);
    const spec = { ...JSON.parse(source.textContent), width: "container" };
    spec.description = element.dataset.description;
    spec.autosize = { type: "fit", contains: "padding" };
    spec.datasets = { candidates: [], chosen: [], ...spec.datasets };
    const { view } = await vegaEmbed(element, spec, {
      mode: "vega-lite", ast: true, renderer: "svg", actions: false, config: STYLE,
      tooltip: { theme: "page" },
    });
    addZoom(element, view);
    showOnTouch(view);
    return [element.id, view];
  }),
).then(Object.fromEntries);

// Buttons and two fingers magnify a chart; the library moves it, and zooms with Ctrl and the wheel.
function addZoom(element, view) {
  const domains = Object.keys(view.getState().signals)
    .filter((name) => /^zoom_(?!tuple|translate|zoom|modify)/.test(name));
  if (!domains.length) return;
  const home = { ...view.getState({ signals: (name) => domains.includes(name) }).signals };
  const scales = ["x", "y"].slice(0, domains.length);
  const zoom = (factor) => {
    domains.forEach((name, place) => {
      const [low, high] = view.signal(name) || view.scale(scales[place]).domain();
      const middle = (low + high) / 2, half = ((high - low) / 2) * factor;
      view.signal(name, [middle - half, middle + half]);
    });
    view.runAsync();
  };
  const reset = () => {
    domains.forEach((name) => view.signal(name, home[name] ?? null));
    view.runAsync();
  };
  const tools = document.createElement("div");
  tools.className = "tools";
  const buttons = [["+", "Zoom in", () => zoom(1 / 1.5)], ["−", "Zoom out", () => zoom(1.5)],
    ["⟲", "Show all", reset]];
  for (const [sign, label, action] of buttons) {
    const button = Object.assign(document.createElement("button"), { type: "button", title: label });
    button.textContent = sign;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", action);
    tools.append(button);
  }
  element.after(tools);

  const fingers = new Map(), starts = new Map();
  const distance = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, event);
    starts.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"])
    window.addEventListener(end, (event) => fingers.delete(event.pointerId));
  element.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = fingers.size === 2 && distance();
    fingers.set(event.pointerId, event);
    const start = starts.get(event.pointerId);
    const down = Math.abs(event.clientX - start.clientX) <= Math.abs(event.clientY - start.clientY);
    // A finger that goes up or down scrolls the page, and two magnify: neither moves the chart.
    if (before || down) event.stopPropagation();
    if (before) zoom(before / distance());
  }, { capture: true });
}

// A finger does not hover: a tap shows what is above a mark, until the next tap.
function showOnTouch(view) {
  let touched = false;
  view.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; });
  view.addEventListener("click", (event, item) => {
    if (touched) view.tooltip()(null, event, item, item && item.tooltip);
  });
}
