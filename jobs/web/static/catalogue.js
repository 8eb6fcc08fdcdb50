// What the server says there is, and addresses of what it shows.

export class Refused extends Error {}

export async function get(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch {
    throw new Refused("The server does not answer.");
  }
  let found = null;
  try {
    found = await answer.json();
  } catch {
    // Told below by its status.
  }
  if (!answer.ok) {
    const said = found && (found.detail || found.description);
    throw new Refused(typeof said === "string" ? said : `The server refused (${answer.status}).`);
  }
  return found;
}

export const tiles = () => get("tiles");
export const contents = (tile) => get(`tiles/${encodeURIComponent(tile)}`);

export function series(tile, at, { mask, method, variant, cube }) {
  const asked = new URLSearchParams({ lon: at[0], lat: at[1], mask, method, variant, cube });
  return get(`../series/${encodeURIComponent(tile)}?${asked}`);
}

export const explainAddress = (item, at) =>
  `explain/${item.collection}/${item.id}?lon=${at[0]}&lat=${at[1]}`;
export const lineageAddress = (item, forward) =>
  `lineage/${item.collection}/${item.id}${forward ? "?forward=true" : ""}`;
export const jsonAddress = (item) => `../collections/${item.collection}/items/${item.id}`;

export function tileAddress(item, rendering, extra = {}) {
  const asked = new URLSearchParams({ ...extra, v: item.version });
  return `../tiles/${item.collection}/${item.id}/${rendering}/{z}/{x}/{y}.png?${asked}`;
}

// A product: syntheses of one method, mask and variant.
export const productOf = (month) =>
  [month.method, month.mask, month.variant].filter((word, i) => i < 2 || word).join("~");

export function productTitle(name) {
  const [method, mask, variant] = name.split("~");
  return `${method}, mask ${mask}${variant ? `, ${variant}` : ""}`;
}

export function products(found) {
  return [...new Set(found.months.map(productOf))].sort((a, b) => {
    const first = (name) => (name.startsWith("wasp~") ? 0 : 1);
    return first(a) - first(b) || a.localeCompare(b);
  });
}

export const monthsOf = (found, product) => found.months.filter((m) => productOf(m) === product);
export const datesOf = (found, level) => found.dates.filter((d) => d.level === level);
export const levels = (found) => [...new Set(found.dates.map((d) => d.level))];

// Masks that may lie over a date: the items made of it, and other readings of the scene's own.
export function overlays(date) {
  const own = date.encoding;
  const items = date.masks.map((mask) => ({ name: mask.name, title: mask.name, item: mask }));
  if (own && !items.some((each) => each.name === own)) {
    items.unshift({ name: `${own} standard`, title: `${own}, from the scene`, reading: "standard" });
  }
  const readings = date.readings.filter((reading) => reading !== "standard");
  return items.concat(readings.map((reading) => (
    { name: `${own} ${reading}`, title: `${own}, ${reading} reading`, reading })));
}
