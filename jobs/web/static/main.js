// The page: controls, keys and the address to one state; one state to the map, the slider, the drawer.

import {
  contents, datesOf, get, jsonAddress, levels, monthsOf, overlays, productOf, products, productTitle,
  tileAddress, tiles,
} from "./catalogue.js";
import { drawLegend, element, plain } from "./legend.js";
import { createMap } from "./map.js";
import { badge, createPixel } from "./pixel.js";
import { readHash, writeHash } from "./state.js";
import { createTimeline, monthName } from "./timeline.js";

const byId = (id) => document.getElementById(id);
const LEVELS = { l2a: "Level-2A", maja: "MAJA", l1c: "Level-1C" };

let state = readHash(location.hash);
let found = null;
let held = [];
let drawn = { month: null, date: null, over: null, month2: null };

const timeline = createTimeline({
  onChange: (key) => change(state.mode === "months" ? { period: key } : { stamp: key }),
});
const view = createMap(byId("map"), {
  onMove: () => {
    if (!found) return;
    const { lat, lng } = view.map.getCenter();
    state = { ...state, z: String(view.map.getZoom()), lat: lat.toFixed(5), lon: lng.toFixed(5) };
    remember();
  },
  onPick: ({ lat, lng }) => found && change({ at: `${lng.toFixed(6)},${lat.toFixed(6)}` }),
});
const pixel = createPixel({
  onClose: () => { change({ at: "" }); byId("map").focus(); },
  onDate: (stamp) => change({ mode: "dates", stamp }),
  onTab: (tab) => change({ tab }),
});

function notice(text) {
  byId("notice").textContent = text;
}

function remember() {
  history.replaceState(null, "", writeHash(state));
}

function change(some) {
  state = { ...state, ...some };
  draw();
}

// --- from what there is to what is shown ----------------------------------------------------------

function fill(select, options, value) {
  const wanted = options.map(([name, text]) => `${name}\n${text}`).join("\n\n");
  if (select.dataset.options !== wanted) {
    select.replaceChildren(...options.map(([name, text]) => element("option", { value: name }, text)));
    select.dataset.options = wanted;
  }
  select.value = value;
}

const known = (value, values) => (values.includes(value) ? value : values[0] ?? "");

function settle() {
  const names = products(found);
  state.product = known(state.product, names);
  state.level = known(state.level, levels(found));
  if (!found.months.length) state.mode = "dates";
  if (!found.dates.length) state.mode = "months";
  const months = monthsOf(found, state.product);
  const month = months.find((each) => each.period === state.period) ?? nearest(months);
  state.period = month?.period ?? "";
  const dates = datesOf(found, state.level);
  const date = dates.find((each) => each.stamp === state.stamp) ?? nearestDate(dates, month);
  state.stamp = date?.stamp ?? "";
  const offered = (state.mode === "months" ? month : date)?.renderings ?? [];
  state.show = known(state.show, offered);
  // A mask that this date lacks stays chosen for the next.
  const over = state.mode === "dates" && date ? overlays(date).find((each) => each.name === state.over) : null;
  let month2 = null;
  if (state.compare) {
    state.product2 = names.includes(state.product2) ? state.product2 : names.find((name) => name !== state.product) ?? names[0] ?? "";
    const others = monthsOf(found, state.product2);
    if (state.mode === "months" && state.product2 === state.product && !state.period2) {
      // The same picture on both sides compares nothing.
      state.period2 = (others.find((each) => each.period > state.period) ?? others.findLast((each) => each.period < state.period))?.period ?? "";
    }
    const same = state.mode === "months" ? state.period : (date?.time ?? "").slice(0, 7);
    month2 = others.find((each) => each.period === (state.period2 || same)) ?? nearestMonth(others, same);
  }
  drawn = { month, date, over, month2 };
}

function nearest(months) {
  // Of a product whose period is not there: the one after, else the last.
  return months.find((each) => each.period >= state.period && state.period) ?? months.at(state.period ? -1 : 0) ?? null;
}

function nearestMonth(months, period) {
  return months.find((each) => each.period >= period) ?? months.at(-1) ?? null;
}

function nearestDate(dates, month) {
  if (!month) return dates[0] ?? null;
  return dates.find((each) => each.time >= month.start) ?? dates.at(-1) ?? null;
}

const renderingOf = (name) => found.renderings.find((each) => each.name === name);
const isMonths = () => state.mode === "months";

function sourceAddress(item, rendering) {
  return tileAddress(item, rendering, item.stamp && item.collection === "cubes" ? { time: item.stamp } : {});
}

function overAddress(date, over) {
  if (over.item) return tileAddress(over.item, "mask-overlay");
  return tileAddress(date, "mask-overlay", { time: date.stamp, reading: over.reading });
}

// --- drawing ----------------------------------------------------------------------------------------

function draw() {
  if (!found) return;
  settle();
  const { month, date, over, month2 } = drawn;
  const item = isMonths() ? month : date;
  document.body.dataset.mode = state.mode;
  byId("mode-months").setAttribute("aria-pressed", String(isMonths()));
  byId("mode-dates").setAttribute("aria-pressed", String(!isMonths()));
  byId("mode-months").disabled = !found.months.length;
  byId("mode-dates").disabled = !found.dates.length;
  fill(byId("product"), products(found).map((name) => [name, productTitle(name)]), state.product);
  fill(byId("level"), levels(found).map((name) => [name, LEVELS[name] ?? name]), state.level);
  fill(byId("show"), (item?.renderings ?? []).map((name) => [name, renderingOf(name).title]), state.show);
  drawOver(date);
  drawMap(item, date, over, month2);
  drawTimeline();
  drawShown(item);
  drawLegends(item, over, month2);
  drawPixel(item, over);
  remember();
}

function drawOver(date) {
  const choices = date ? overlays(date).map((each) => [each.name, each.title]) : [];
  const missing = state.over && !choices.some(([name]) => name === state.over);
  fill(byId("over"), [["", "none"], ...choices, ...(missing ? [[state.over, `${state.over} (not of this date)`]] : [])], state.over);
  byId("opacity").value = state.opacity;
  byId("opacity").disabled = !state.over;
}

function drawMap(item, date, over, month2) {
  const onError = async (address) => {
    try {
      await get(address);
    } catch (error) {
      notice(error.message);
    }
  };
  notice("");
  view.show("base", item && state.show ? sourceAddress(item, state.show) : "", { onError });
  view.show("over", over ? overAddress(date, over) : "", { opacity: Number(state.opacity) / 100, order: 2, onError });
  const beside = month2 && (month2.renderings.includes(state.show) ? state.show : "true-colour");
  view.show("beside", month2 ? tileAddress(month2, beside) : "", { pane: "right", onError });
  const swiping = Boolean(month2);
  const fraction = Number(state.swipe) / 1000;
  view.split(swiping ? fraction : null);
  byId("swipe").hidden = byId("swipe-line").hidden = !swiping;
  byId("swipe").value = state.swipe;
  byId("swipe-line").style.left = `${fraction * 100}%`;
  byId("compare").checked = Boolean(state.compare);
  byId("compare").disabled = !found.months.length;
  byId("beside").hidden = !state.compare;
  if (swiping) {
    byId("left-name").textContent = isMonths() ? `${monthName(state.period)}, ${productTitle(state.product)}` : date.time.slice(0, 10);
    byId("right-name").textContent = `${monthName(month2.period)}, ${productTitle(state.product2)}`;
    fill(byId("product2"), products(found).map((name) => [name, productTitle(name)]), state.product2);
    const periods = monthsOf(found, state.product2).map((each) => [each.period, monthName(each.period)]);
    fill(byId("period2"), [["", "the same"], ...periods], state.period2);
  }
  const outlines = [];
  if (found.outline) outlines.push({ type: "Feature", properties: { kind: "tile" }, geometry: found.outline });
  if (!isMonths()) {
    for (const scene of date?.scenes ?? []) {
      if (scene.geometry) outlines.push({ type: "Feature", properties: { kind: "scene" }, geometry: scene.geometry });
    }
  }
  view.outline(outlines);
  const at = place();
  view.pin(at);
}

function drawTimeline() {
  if (isMonths()) {
    const months = monthsOf(found, state.product);
    timeline.draw(months.map((each) => ({
      key: each.period, title: monthName(each.period), clear: each.clear,
      note: `${each.clear ?? "?"} % clear, ${each.dates ?? "?"} dates`, mark: monthName(each.period) })), state.period, "Month");
    return;
  }
  let before = "";
  timeline.draw(datesOf(found, state.level).map((each) => {
    const mask = each.masks.find((one) => one.name === state.over) ?? each.masks[0];
    const month = each.time.slice(0, 7);
    const mark = month === before ? "" : monthName(month);
    before = month;
    return { key: each.stamp, title: each.time.slice(0, 10), clear: mask?.clear ?? null,
      note: `${each.time.slice(11, 16)} UTC${mask ? `, ${mask.clear} % clear` : ""}`, mark };
  }), state.stamp, "Date");
}

function drawShown(item) {
  const box = byId("shown-text");
  if (!item) {
    box.replaceChildren("nothing");
    return;
  }
  const rejected = item.rejected ?? item.scenes?.find((scene) => scene.rejected)?.rejected;
  const links = element("div", { class: "links" },
    element("a", { href: jsonAddress(item), target: "_blank" }, "JSON"),
    element("button", { onclick: () => openAt("lineage") }, "Lineage"),
    element("button", { onclick: () => openAt("explain") }, "Explain"));
  box.replaceChildren(
    element("span", { class: "id" }, isMonths() ? item.id : `${item.id}, ${item.time.slice(0, 16).replace("T", " ")}`), " ",
    item.status ? badge(item.status) : "", rejected ? badge("rejected") : "",
    ...(rejected ? [element("p", {}, rejected)] : []),
    ...(item.scenes ?? []).map((scene) => element("p", {},
      element("a", { href: jsonAddress(scene), target: "_blank" }, scene.id))),
    links);
}

function openAt(tab) {
  const { lng, lat } = view.map.getCenter();
  change({ tab, at: state.at || `${lng.toFixed(6)},${lat.toFixed(6)}` });
}

function drawLegends(item, over, month2) {
  const parts = [];
  const shown = renderingOf(state.show);
  if (item && shown) {
    const ends = item.scales?.[state.show];
    const other = month2?.scales?.[state.show];
    const differ = other && String(other) !== String(ends);
    parts.push({ rendering: shown, ends, title: differ ? `${shown.title}, ${monthName(state.period)}` : undefined });
    if (differ) parts.push({ rendering: shown, ends: other, title: `${shown.title}, ${monthName(month2.period)}` });
  }
  if (over) parts.push({ rendering: renderingOf("mask-overlay"), title: `Mask: ${over.title}` });
  drawLegend(byId("legend"), parts);
}

function place() {
  const numbers = state.at.split(",").map(Number);
  return state.at && numbers.length === 2 && numbers.every(Number.isFinite) ? numbers : null;
}

function drawPixel(item, over) {
  const at = place();
  if (!at) {
    pixel.hide();
  } else {
    const chosen = state.product ? [state.product] : [];
    if (state.compare && state.product2 && state.product2 !== state.product) chosen.push(state.product2);
    const own = !isMonths() && over?.item ? over.item.name : state.product.split("~")[1] ?? "";
    const about = !isMonths() && over?.item ? over.item : item;
    const when = isMonths()
      ? drawn.month && (Date.parse(drawn.month.start) + Date.parse(drawn.month.end)) / 2
      : drawn.date && Date.parse(drawn.date.time);
    const cube = drawn.date?.collection === "cubes" ? drawn.date.id : "";
    // Of a date its mask is what there is to explain; the cube would tell all of its dates.
    const explain = isMonths() ? item : over?.item ?? drawn.date?.masks[0] ?? item;
    pixel.show({ tile: state.tile, at, mask: own, products: chosen, item: about, explain, now: when ?? null, cube }, state.tab);
  }
  resized();
}

let open = null;
let key = state.at;
function resized() {
  const now = !byId("pixel").hidden;
  if (now !== open) {
    open = now;
    view.map.invalidateSize({ animate: false });
  }
  const at = place();
  if (!at) return;
  // Where the drawer lies over the map, the pixel comes above it.
  const drawer = byId("pixel").getBoundingClientRect();
  const map = byId("map").getBoundingClientRect();
  // As high as it may become: it grows as the series arrives.
  const covered = drawer.left < map.right - 1 ? map.height * .78 : 0;
  if (key !== state.at) view.reveal(at, covered);
  key = state.at;
}

// --- controls ---------------------------------------------------------------------------------------

const chosen = (id, name = id) => byId(id).addEventListener("change", (event) => change({ [name]: event.target.value }));
for (const id of ["product", "level", "show", "over", "product2", "period2"]) chosen(id);
byId("tile").addEventListener("change", (event) => load(event.target.value, true));
byId("mode-months").addEventListener("click", () => change({ mode: "months" }));
byId("mode-dates").addEventListener("click", () => change({ mode: "dates" }));
byId("opacity").addEventListener("input", (event) => change({ opacity: event.target.value }));
byId("compare").addEventListener("change", (event) => change({ compare: event.target.checked ? "1" : "" }));
byId("swipe").addEventListener("input", (event) => {
  state.swipe = event.target.value;
  view.split(Number(state.swipe) / 1000);
  byId("swipe-line").style.left = `${Number(state.swipe) / 10}%`;
  remember();
});
byId("options").addEventListener("click", () => {
  const now = document.body.classList.toggle("options");
  byId("options").setAttribute("aria-expanded", String(now));
});

function otherPicture(by) {
  const item = isMonths() ? drawn.month : drawn.date;
  const names = item?.renderings ?? [];
  if (names.length) change({ show: names[(names.indexOf(state.show) + by + names.length) % names.length] });
}

function toggleMask() {
  if (isMonths()) return;
  const first = drawn.date && overlays(drawn.date)[0];
  change({ over: state.over ? "" : first?.name ?? "" });
}

const KEYS = {
  ArrowLeft: () => timeline.step(-1),
  ArrowRight: () => timeline.step(1),
  ArrowUp: () => otherPicture(-1),
  ArrowDown: () => otherPicture(1),
  "+": () => view.map.zoomIn(1),
  "=": () => view.map.zoomIn(1),
  "-": () => view.map.zoomOut(1),
  m: toggleMask,
  c: () => found.months.length && change({ compare: state.compare ? "" : "1" }),
  d: () => change({ mode: isMonths() ? "dates" : "months" }),
  Escape: () => {
    document.body.classList.remove("options");
    change({ at: "" });
  },
};
const MOVES = { ArrowLeft: [-120, 0], ArrowRight: [120, 0], ArrowUp: [0, -120], ArrowDown: [0, 120] };

document.addEventListener("keydown", (event) => {
  if (!found || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  const isOwn = target.matches("select, input, textarea") && !(target.id === "slider" && !event.key.startsWith("Arrow"));
  if (isOwn && event.key !== "Escape" && !"+-=".includes(event.key)) return;
  if (event.shiftKey && MOVES[event.key]) {
    event.preventDefault();
    view.map.panBy(MOVES[event.key]);
    return;
  }
  if (event.key === "Enter" && target.id === "map") {
    const { lng, lat } = view.map.getCenter();
    change({ at: `${lng.toFixed(6)},${lat.toFixed(6)}` });
    return;
  }
  const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    act();
  }
});

window.addEventListener("hashchange", () => {
  const given = readHash(location.hash);
  if (given.tile !== state.tile) {
    state = given;
    load(given.tile, !given.z);
  } else {
    state = given;
    if (given.z) view.map.setView([Number(given.lat), Number(given.lon)], Number(given.z), { animate: false });
    draw();
  }
});

// --- start --------------------------------------------------------------------------------------------

async function load(tile, fit) {
  try {
    const there = await contents(tile);
    if (found && tile !== state.tile) state.at = "";
    state = { ...state, tile };
    found = there;
    byId("tile").value = tile;
    draw();
    const box = held.find((each) => each.tile === tile)?.bbox;
    if (fit && box) view.fit(box);
    key = "";
    resized();
    view.others(held.filter((each) => each.tile !== tile), (name) => load(name, true));
  } catch (error) {
    notice(error.message);
  }
}

async function start() {
  try {
    held = await tiles();
  } catch (error) {
    notice(error.message);
    return;
  }
  fill(byId("tile"), held.map(({ tile }) => [tile, tile]), state.tile);
  if (!held.length) {
    notice("Nothing is catalogued yet: ingest something, then load this page again.");
    return;
  }
  const wanted = held.find((each) => each.tile === state.tile) ?? held[0];
  const placed = state.z && state.lat && state.lon && state.tile === wanted.tile;
  if (placed) view.map.setView([Number(state.lat), Number(state.lon)], Number(state.z), { animate: false });
  await load(wanted.tile, !placed);
  document.body.dataset.ready = "true";
}

start();
