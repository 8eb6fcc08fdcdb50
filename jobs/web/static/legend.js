// Legends: a ramp with its two ends, or the colours of classes.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export const plain = (name) => name.replace(/_/g, " ");

export function day(number) {
  return new Date(number * 86400000).toISOString().slice(0, 10);
}

function ramp(legend, ends) {
  const id = `ramp-${Math.random().toString(36).slice(2)}`;
  const stops = legend.stops.map((colour, i) => svg("stop", {
    offset: `${(100 * i) / (legend.stops.length - 1)}%`, "stop-color": colour }));
  const [low, high] = ends ?? [legend.low, legend.high];
  const text = legend.kind === "days" ? day : (value) => String(value);
  return [
    svg("svg", { class: "ramp", role: "img", preserveAspectRatio: "none", viewBox: "0 0 100 12",
      "aria-label": `from ${text(low)} to ${text(high)}` },
    svg("defs", {}, svg("linearGradient", { id }, ...stops)),
    svg("rect", { width: 100, height: 12, fill: `url(#${id})` })),
    element("div", { class: "ends" },
      element("span", {}, text(low)), element("span", {}, text(high))),
  ];
}

export function swatch(colour) {
  return svg("svg", { class: "key", width: 15, height: 15, "aria-hidden": "true" },
    svg("rect", { x: .5, y: .5, width: 14, height: 14, rx: 3, fill: colour, stroke: "#0004" }));
}

function classes(legend) {
  return element("ul", {}, ...legend.classes.map((each) =>
    element("li", { title: each.about }, swatch(each.colour), plain(each.name))));
}

// parts: [{rendering, ends, title}] of all that lies on the map.
export function drawLegend(place, parts) {
  place.replaceChildren();
  for (const { rendering, ends, title } of parts) {
    const legend = rendering.legend;
    if (legend.kind === "none") continue;
    place.append(element("h2", {}, title ?? rendering.title));
    place.append(...(legend.kind === "classes" ? [classes(legend)] : ramp(legend, ends)));
  }
}
