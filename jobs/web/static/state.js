// What is shown, kept in the part of the address after #, so that it can be sent to somebody.

const NAMES = ["tile", "mode", "product", "period", "show", "level", "stamp", "over", "opacity",
  "compare", "product2", "period2", "swipe", "z", "lat", "lon", "at", "tab"];

export const DEFAULTS = {
  tile: "", mode: "months", product: "", period: "", show: "true-colour", level: "", stamp: "",
  over: "", opacity: "65", compare: "", product2: "", period2: "", swipe: "500", z: "", lat: "",
  lon: "", at: "", tab: "series",
};

export function readHash(text) {
  const given = new URLSearchParams(text.replace(/^#/, ""));
  const state = { ...DEFAULTS };
  for (const name of NAMES) if (given.has(name)) state[name] = given.get(name);
  return state;
}

export function writeHash(state) {
  const said = new URLSearchParams();
  for (const name of NAMES) if (state[name] !== DEFAULTS[name]) said.set(name, state[name]);
  // These need no escape after #, and addresses stay readable.
  return "#" + said.toString().replace(/%2C/g, ",").replace(/%3A/g, ":").replace(/%7E/g, "~");
}
