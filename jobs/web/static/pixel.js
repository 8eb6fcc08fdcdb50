// The drawer about one pixel: its series, how an item came about there, what that was made of.

import { drawChart, drawChartLegend, CLASSES } from "./chart.js";
import { explainAddress, get, jsonAddress, lineageAddress, productTitle, series } from "./catalogue.js";
import { element, plain } from "./legend.js";

const byId = (id) => document.getElementById(id);
const TABS = ["series", "explain", "lineage"];

export function createPixel({ onClose, onDate, onTab }) {
  const box = byId("pixel");
  let subject = null; // what the drawer is about: at, tile, mask, products, item, now
  let found = null; // series by product
  let tab = "series";
  let turn = 0;

  byId("close").addEventListener("click", onClose);
  byId("quantity").addEventListener("change", draw);
  for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => onTab(name));
  box.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length];
    onTab(next);
    byId(`tab-${next}`).focus();
  });

  function draw() {
    if (!found) return;
    const lines = found.map(({ product, months }) => ({ title: productTitle(product), months }));
    const { dates } = found[0];
    drawChart(byId("chart"), { dates, lines, quantity: byId("quantity").value, now: subject.now, onDate });
    drawChartLegend(byId("chart-legend"), dates, lines);
    byId("values").replaceChildren(valueTable(dates));
  }

  async function fill(place, work) {
    const mine = ++turn;
    place.replaceChildren(element("p", { class: "says" }, "…"));
    try {
      const made = await work();
      if (mine === turn) place.replaceChildren(...made);
    } catch (error) {
      if (mine === turn) place.replaceChildren(element("p", { class: "says bad" }, error.message));
    }
  }

  function open(name) {
    tab = name;
    for (const each of TABS) {
      byId(`tab-${each}`).setAttribute("aria-selected", String(each === name));
      byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
      byId(`view-${each}`).hidden = each !== name;
    }
    const { item, explain, at } = subject;
    if (name === "explain") {
      if (!explain) byId("view-explain").replaceChildren(element("p", { class: "says" }, "Nothing is shown that could be explained."));
      else fill(byId("view-explain"), async () => explained(await get(explainAddress(explain, at)), explainAddress(explain, at)));
    }
    if (name === "lineage" && item) fill(byId("view-lineage"), () => lineages(item));
  }

  return {
    hide() { box.hidden = true; subject = null; found = null; },
    async show(about, name) {
      const same = subject && found && key(subject) === key(about);
      subject = about;
      box.hidden = false;
      const [lon, lat] = about.at;
      byId("place").textContent = `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
      open(name);
      if (same) {
        draw();
        return;
      }
      found = null;
      byId("chart").replaceChildren(element("p", { class: "says" }, "…"));
      byId("chart-legend").replaceChildren();
      byId("values").replaceChildren();
      try {
        const asked = about.products.length ? about.products : ["wasp~" + about.mask];
        const answers = await Promise.all(asked.map((product) => {
          const [method, mask, variant = ""] = product.split("~");
          return series(about.tile, about.at, { method, mask: mask || about.mask, variant, cube: about.cube });
        }));
        if (subject !== about) return;
        found = answers.map((answer, i) => ({ product: asked[i], ...answer }));
        draw();
      } catch (error) {
        if (subject === about) byId("chart").replaceChildren(element("p", { class: "says bad" }, error.message));
      }
    },
  };
}

const key = (about) => JSON.stringify([about.at, about.tile, about.mask, about.products, about.cube]);

export function classCell(name) {
  if (!name) return "–";
  const dot = element("i");
  dot.style.background = (CLASSES[name] ?? CLASSES.unknown).colour;
  return element("span", { class: "class" }, dot, plain(name));
}

function table(titles, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...rows.map(([kind, ...cells]) =>
      element("tr", { class: kind }, ...cells.map((cell) => element("td", {}, cell))))));
}

const number = (value) => (value === null || value === undefined ? "–" : typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value));

function valueTable(dates) {
  return table(["Date", "Class", "Blue", "Green", "Red", "NIR"], dates.map((date) => ["",
    date.time.slice(0, 10), classCell(date.class), ...["blue", "green", "red", "nir"].map((name) => number(date.values[name]))]));
}

// --- explain ------------------------------------------------------------------------------------

const AGREES = {
  true: ["good", "The item holds what follows from its dates."],
  false: ["bad", "The item does not hold what follows from its dates."],
  null: ["", "Not everything could be compared with the item."],
};

function* explainedParts(found) {
  if (found.kind === "synthesis") {
    yield element("p", { class: "says" }, `${found.title}. Dates from ${found.window.join(" to ")}, mask ${found.mask.encoding}, ${found.mask.reading} reading.`);
    const [kind, said] = AGREES[String(found.agrees)];
    yield element("p", { class: `says ${kind}` }, said);
    for (const note of found.notes) yield element("p", { class: "says" }, note);
    for (const group of found.groups) {
      yield element("h2", {}, `At ${group.resolution} m: row ${group.pixel[0]}, column ${group.pixel[1]}`);
      yield table(["Date", "Class", "Weight", "Used?"], group.dates.map((date) => [
        date.kept ? "" : "left-out", date.date, classCell(date.mask?.class), number(date.weight),
        `${date.kept ? "yes" : "no"}${date.reason ? `: ${date.reason}` : ""}`]));
      yield table(["Layer", "Value", "How"], group.results.map((result) => ["",
        result.asset, number(result.reflectance ?? result.day ?? result.value), result.formula]));
    }
    return;
  }
  for (const said of [found.note, ...(found.notes ?? [])]) if (said) yield element("p", { class: "says" }, said);
  for (const group of found.groups ?? []) {
    yield element("h2", {}, `At ${group.resolution} m: row ${group.pixel[0]}, column ${group.pixel[1]}`);
    yield datesTable(group.dates);
  }
  if (found.kind === "series") yield datesTable(found.dates, new Set(found.scenes));
  if (found.kind === "mask" && found.mask) {
    const rows = Object.entries(found.mask.meaning).map(([name, lines]) => ["", name, lines.join("; ")]);
    yield element("p", { class: "says" }, classCell(found.mask.class), ` by the ${found.reading} reading, buffer ${found.buffer} m`);
    yield table(["Stored", "Means"], rows);
  }
  if (found.assets) {
    yield table(["Asset", "Value"], Object.entries(found.assets).map(([name, asset]) => ["",
      name, [number(asset.reflectance ?? asset.values?.[0]), ...asset.meaning].join("  ")]));
  }
}

function datesTable(dates, own = new Set()) {
  return table(["Date", "Class", "Stored"], dates.map((date) => [
    date.scenes.some((scene) => own.has(scene)) ? "own" : "", date.date, classCell(date.mask?.class),
    date.mask ? Object.values(date.mask.meaning).flat().join("; ") : "–"]));
}

function explained(found, address) {
  return [
    element("p", { class: "says" }, element("b", {}, found.item), " ",
      element("a", { href: address, target: "_blank" }, "JSON")),
    ...explainedParts(found),
  ];
}

// --- lineage ------------------------------------------------------------------------------------

async function lineages(item) {
  const [from, became] = await Promise.all([get(lineageAddress(item, false)), get(lineageAddress(item, true))]);
  const own = `${item.collection}/${item.id}`;
  const list = (found) => {
    const others = found.items.filter((each) => `${each.collection}/${each.id}` !== own);
    if (!others.length) return element("p", { class: "says" }, "nothing");
    return element("ul", {}, ...others.map((each) => element("li", {},
      element("a", { href: jsonAddress(each), target: "_blank" }, each.id), " ", badge(each.state),
      element("small", {}, [each.collection, ...each.because].join(" · ")))));
  };
  const self = from.items.find((each) => `${each.collection}/${each.id}` === own);
  return [
    element("p", { class: "says" }, element("b", {}, item.id), " ", self ? badge(self.state) : "",
      ...(self?.because ?? []).map((why) => element("span", {}, ` ${why}`)), " ",
      element("a", { href: jsonAddress(item), target: "_blank" }, "JSON")),
    element("h2", {}, "Made from"), list(from),
    element("h2", {}, "Made from it"), list(became),
  ];
}

export function badge(state) {
  return element("span", { class: `badge ${state}` }, state);
}
