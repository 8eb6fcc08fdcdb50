// The map: pictures, outlines, a graticule, and two pictures that meet at a line.

import { element } from "./legend.js";

const L = window.L;
const STEPS = [10, 5, 2, 1, .5, .2, .1, .05, .02, .01, .005, .002, .001];

export function createMap(place, { onMove, onPick }) {
  const map = L.map(place, {
    attributionControl: false, keyboard: false, maxZoom: 19, minZoom: 2, worldCopyJump: true,
  });
  map.setView([20, 0], 3);
  L.control.scale({ imperial: false, position: "bottomright" }).addTo(map);
  for (const [name, order] of [["graticule", 210], ["left", 250], ["right", 260], ["outlines", 420], ["degrees", 430]]) {
    map.createPane(name).style.zIndex = order;
  }
  for (const name of ["graticule", "degrees"]) map.getPane(name).style.pointerEvents = "none";
  const lines = L.layerGroup().addTo(map);
  const outlines = L.geoJSON(null, {
    pane: "outlines", interactive: false,
    style: (feature) => ({
      color: feature.properties.kind === "tile" ? "#2e7d5a" : "#1d2a26", weight: 1.6, fill: false,
      dashArray: feature.properties.kind === "tile" ? null : "5 5", opacity: .85,
    }),
  }).addTo(map);
  const pin = L.circleMarker([0, 0], {
    pane: "outlines", radius: 7, color: "#fff", weight: 3, fillColor: "#111", fillOpacity: 1, interactive: false });
  const others = L.layerGroup().addTo(map);
  const shown = {};
  let fraction = null;

  map.on("moveend zoomend resize", () => { drawGraticule(map, lines); clip(); onMove(); });
  map.on("move zoom", clip);
  map.on("click", (event) => onPick(event.latlng.wrap()));
  drawGraticule(map, lines);

  function clip() {
    const size = map.getSize();
    const corner = map.containerPointToLayerPoint([0, 0]);
    const at = corner.x + size.x * (fraction ?? 1);
    const [top, bottom] = [corner.y, corner.y + size.y];
    const [left, right] = [corner.x, corner.x + size.x];
    const box = (a, b) => `polygon(${a}px ${top}px, ${b}px ${top}px, ${b}px ${bottom}px, ${a}px ${bottom}px)`;
    map.getPane("left").style.clipPath = fraction === null ? "" : box(left, at);
    map.getPane("right").style.clipPath = fraction === null ? "" : box(at, right);
  }

  // One picture a slot; the one before stays until the new one is there.
  function show(slot, address, { pane = "left", opacity = 1, bounds, onError, order = 1 } = {}) {
    const held = shown[slot];
    if (held?.address === address) {
      held.layer.setOpacity(opacity);
      return;
    }
    delete shown[slot];
    if (!address) {
      held?.layer.remove();
      return;
    }
    const layer = L.tileLayer(address, {
      pane, opacity, bounds, zIndex: order, className: "sharp", maxNativeZoom: 16, maxZoom: 19, noWrap: true,
      updateWhenZooming: false, keepBuffer: 1,
    });
    const old = held?.layer;
    if (old) {
      layer.once("load", () => old.remove());
      setTimeout(() => old.remove(), 4000);
    }
    let told = false;
    layer.on("tileerror", (event) => {
      if (!told) onError?.(event.tile.src);
      told = true;
    });
    layer.addTo(map);
    shown[slot] = { address, layer };
  }

  return {
    map,
    show,
    split(value) { fraction = value; clip(); },
    outline(features) {
      outlines.clearLayers();
      outlines.addData({ type: "FeatureCollection", features });
    },
    others(tiles, onChoose) {
      others.clearLayers();
      for (const { tile, bbox: [west, south, east, north] } of tiles) {
        L.rectangle([[south, west], [north, east]], { color: "#7d8b85", weight: 1, fillOpacity: .04, bubblingMouseEvents: false })
          .bindTooltip(tile).on("click", () => onChoose(tile)).addTo(others);
      }
    },
    pin(at) {
      if (at) pin.setLatLng([at[1], at[0]]).addTo(map);
      else pin.remove();
    },
    reveal(at, covered) {
      map.panInside([at[1], at[0]], { paddingTopLeft: [24, 24], paddingBottomRight: [24, 24 + covered], animate: false });
    },
    fit([west, south, east, north]) {
      map.fitBounds([[south, west], [north, east]], { padding: [4, 4], animate: false });
    },
  };
}

function drawGraticule(map, group) {
  group.clearLayers();
  const bounds = map.getBounds().pad(.1);
  const across = bounds.getEast() - bounds.getWest();
  const step = STEPS.findLast((each) => across / each <= 9) ?? 30;
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const style = { pane: "graticule", color: "#c3cfc9", weight: 1, interactive: false };
  const label = (at, text, shift) => L.marker(at, {
    pane: "degrees", interactive: false, keyboard: false,
    icon: L.divIcon({ className: "degree", iconSize: null, iconAnchor: shift, html: element("span", {}, text) }),
  }).addTo(group);
  const view = map.getBounds();
  const { x: width, y: height } = map.getSize();
  const at = (lat, lon) => map.latLngToContainerPoint([lat, lon]);
  const range = (low, high) => {
    const first = Math.ceil(low / step);
    return Array.from({ length: Math.max(0, Math.floor(high / step) - first + 1) }, (_, i) => (first + i) * step);
  };
  const south = Math.max(bounds.getSouth(), -85), north = Math.min(bounds.getNorth(), 85);
  for (const lon of range(bounds.getWest(), bounds.getEast())) {
    L.polyline([[south, lon], [north, lon]], style).addTo(group);
    if (at(0, lon).x < width - 150) label([view.getSouth(), lon], `${Math.abs(lon).toFixed(digits)}° ${lon < 0 ? "W" : "E"}`, [-4, 18]);
  }
  for (const lat of range(south, north)) {
    L.polyline([[lat, bounds.getWest()], [lat, bounds.getEast()]], style).addTo(group);
    // Not under the buttons, nor under the scale.
    const { y } = at(lat, 0);
    if (y > 100 && y < height - 26) label([lat, view.getWest()], `${Math.abs(lat).toFixed(digits)}° ${lat < 0 ? "S" : "N"}`, [-6, 17]);
  }
}
