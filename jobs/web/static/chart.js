// The series of one pixel, drawn: dates by their class, months as a line.

import { element, plain, svg } from "./legend.js";

export const CLASSES = {
  clear: { colour: "#4f9d5b", shape: "circle" },
  cloud: { colour: "#e4576b", shape: "cross" },
  cloud_shadow: { colour: "#5b5bd6", shape: "triangle" },
  thin_cloud: { colour: "#f2a65a", shape: "diamond" },
  snow: { colour: "#8fdcf5", shape: "square" },
  water: { colour: "#2f80c3", shape: "circle" },
  no_observation: { colour: "#ffffff", shape: "circle" },
  unknown: { colour: "#b9c2bd", shape: "circle" },
};

const WIDTH = 420, HEIGHT = 250, LEFT = 38, RIGHT = 10, TOP = 10, BOTTOM = 24;
const OF_BAND = [0, .1, .2, .3, .4, .5, .6, .8, 1, 1.2, 1.6];

export function valueOf(values, quantity) {
  if (quantity !== "ndvi") return values[quantity] ?? null;
  const { red, nir } = values;
  if (red === null || nir === null || red === undefined || nir === undefined || red + nir <= 0) return null;
  return (nir - red) / (nir + red);
}

export function mark(name, x, y, size = 5) {
  const { colour, shape } = CLASSES[name] ?? CLASSES.unknown;
  const s = size;
  const paths = {
    triangle: `M${x} ${y - s}L${x + s} ${y + s * .8}L${x - s} ${y + s * .8}Z`,
    diamond: `M${x} ${y - s * 1.15}L${x + s * 1.15} ${y}L${x} ${y + s * 1.15}L${x - s * 1.15} ${y}Z`,
    square: `M${x - s * .85} ${y - s * .85}h${s * 1.7}v${s * 1.7}h${-s * 1.7}Z`,
    cross: crossed(x, y, s),
  };
  if (shape === "circle") return svg("circle", { cx: x, cy: y, r: s * .95, fill: colour });
  return svg("path", { d: paths[shape], fill: colour });
}

function crossed(x, y, s) {
  const a = s, b = s * .42;
  const points = [[0, -b], [a - b, -a], [a, -a + b], [b, 0], [a, a - b], [a - b, a], [0, b],
    [-a + b, a], [-a, a - b], [-b, 0], [-a, -a + b], [-a + b, -a]];
  return `M${points.map(([dx, dy]) => `${(x + dx).toFixed(2)} ${(y + dy).toFixed(2)}`).join("L")}Z`;
}

// lines: [{title, months}], the first of what is shown, the second of what is compared.
export function drawChart(place, { dates, lines, quantity, now, onDate }) {
  const seen = dates.map((date) => ({ ...date, at: Date.parse(date.time), value: valueOf(date.values, quantity) }));
  const months = lines.map((line) => line.months.map((month) => ({
    ...month, at: Date.parse(month.date ?? middle(month)), value: valueOf(month.values, quantity) })));
  const all = [...seen, ...months.flat()];
  const values = all.map((each) => each.value).filter((value) => value !== null);
  place.replaceChildren();
  if (!values.length) {
    place.append(element("p", { class: "says" }, "Nothing was seen here."));
    return;
  }
  const times = all.map((each) => each.at);
  const first = Math.min(...times), last = Math.max(...times, first + 86400000);
  const ndvi = quantity === "ndvi";
  const low = ndvi ? Math.min(-.1, Math.floor(Math.min(...values) * 10) / 10) : Math.min(0, Math.min(...values));
  const high = ndvi ? 1 : OF_BAND.find((each) => each >= Math.max(...values) && each > 0) ?? Math.max(...values);
  const x = (at) => LEFT + 6 + ((at - first) / (last - first)) * (WIDTH - LEFT - RIGHT - 12);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${seen.length} dates and ${months[0]?.length ?? 0} months at this place` });
  const step = high - low > .9 ? .2 : high - low > .35 ? .1 : .05;
  for (let value = Math.ceil(low / step - 1e-6) * step; value <= high + 1e-9; value += step) {
    drawing.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
      text(LEFT - 6, y(value) + 4, (Math.abs(value) < 1e-9 ? 0 : value).toFixed(step < .1 ? 2 : 1), "end"));
  }
  for (const [at, label] of months12(first, last)) {
    drawing.append(svg("line", { class: "grid", x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }),
      text(x(at), HEIGHT - 8, label, "middle"));
  }
  if (now !== null && now >= first - 4e9 && now <= last + 4e9) {
    const at = Math.min(WIDTH - RIGHT, Math.max(LEFT, x(now)));
    drawing.append(svg("line", { class: "now", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
  }
  months.forEach((line, index) => {
    const held = line.filter((month) => month.value !== null);
    const kind = index ? "second " : "";
    drawing.append(svg("polyline", { class: `${kind}month`,
      points: held.map((month) => `${x(month.at)},${y(month.value)}`).join(" ") }));
    for (const month of held) {
      const dot = svg("rect", { class: `${kind}month-dot`, x: x(month.at) - 4.5, y: y(month.value) - 4.5, width: 9, height: 9,
        "data-period": month.period, "data-value": month.value.toFixed(4) });
      dot.append(title(`${month.id}: ${month.value.toFixed(3)}, ${plain(month.status ?? "")}, ${month.clear_count} of ${month.total_count} dates clear`));
      drawing.append(dot);
    }
  });
  for (const date of seen) {
    if (date.value === null) continue;
    const name = date.class ?? "unknown";
    const dot = mark(name, x(date.at), y(Math.min(high, Math.max(low, date.value))));
    const said = `${date.time.slice(0, 10)}: ${date.value.toFixed(3)}, ${plain(name)}`;
    dot.setAttribute("class", "date");
    dot.setAttribute("tabindex", "0");
    dot.setAttribute("role", "button");
    dot.setAttribute("aria-label", said);
    dot.dataset.stamp = date.stamp;
    dot.dataset.class = name;
    dot.dataset.value = date.value.toFixed(4);
    dot.append(title(`${said}\nclick to see this date`));
    dot.addEventListener("click", () => onDate(date.stamp));
    dot.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation();
        onDate(date.stamp);
      }
    });
    drawing.append(dot);
  }
  place.append(drawing);
}

export function drawChartLegend(place, dates, lines) {
  const names = [...new Set(dates.map((date) => date.class ?? "unknown"))].filter((name) => name !== "no_observation");
  const order = Object.keys(CLASSES);
  names.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  place.replaceChildren(...names.map((name) => {
    const box = svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, mark(name, 7, 7));
    return element("span", {}, box, name === "unknown" ? "no mask" : plain(name));
  }));
  lines.forEach((line, index) => {
    const box = svg("svg", { width: 22, height: 14, "aria-hidden": "true" }, svg("line", {
      x1: 0, x2: 22, y1: 7, y2: 7, stroke: index ? "#b3541e" : "#2e7d5a", "stroke-width": 2.5,
      "stroke-dasharray": index ? "6 4" : "none" }));
    place.append(element("span", {}, box, line.title));
  });
}

function middle(month) {
  return new Date((Date.parse(month.start) + Date.parse(month.end)) / 2).toISOString();
}

function text(x, y, said, anchor) {
  return svg("text", { x, y, "text-anchor": anchor }, said);
}

function title(said) {
  return svg("title", {}, said);
}

function months12(first, last) {
  const found = [];
  const start = new Date(first);
  const span = (last - first) / 2.63e9;
  const step = span > 30 ? 12 : span > 14 ? 3 : span > 7 ? 2 : 1;
  for (let year = start.getUTCFullYear(), month = 0; ; month += step) {
    const at = Date.UTC(year, month, 1);
    if (at > last) return found;
    if (at < first) continue;
    const date = new Date(at);
    const name = date.toLocaleString("en", { month: "short", timeZone: "UTC" });
    found.push([at, date.getUTCMonth() === 0 || step === 12 ? String(date.getUTCFullYear()) : name]);
  }
}
