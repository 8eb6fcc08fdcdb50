// The slider over months or dates, each with a bar as high as it is clear.

import { element } from "./legend.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function monthName(period) {
  const [year, month] = period.split("-");
  return MONTHS[month - 1] ? `${MONTHS[month - 1]} ${year}` : period;
}

export function createTimeline({ onChange }) {
  const slider = document.getElementById("slider");
  const ticks = document.getElementById("ticks");
  const when = document.getElementById("when");
  let entries = [];

  const place = (index) => (entries.length > 1 ? (100 * index) / (entries.length - 1) : 50);
  const go = (index) => {
    const wanted = Math.min(entries.length - 1, Math.max(0, index));
    if (entries[wanted] && wanted !== Number(slider.value)) onChange(entries[wanted].key);
  };
  slider.addEventListener("input", () => onChange(entries[slider.value].key));
  document.getElementById("before").addEventListener("click", () => go(Number(slider.value) - 1));
  document.getElementById("after").addEventListener("click", () => go(Number(slider.value) + 1));

  return {
    step: (by) => go(Number(slider.value) + by),
    // list: [{key, title, note, clear, mark}], in order of time
    draw(list, key, kind) {
      entries = list;
      const index = Math.max(0, list.findIndex((each) => each.key === key));
      slider.max = Math.max(0, list.length - 1);
      slider.value = index;
      slider.disabled = list.length < 2;
      slider.setAttribute("aria-label", kind);
      const now = list[index];
      when.replaceChildren(now ? now.title : "nothing here yet", " ", element("small", {}, now?.note ?? ""));
      slider.setAttribute("aria-valuetext", now ? `${now.title} ${now.note}` : "");
      ticks.replaceChildren();
      let last = -Infinity;
      const width = ticks.clientWidth / 100;
      list.forEach((each, i) => {
        const bar = element("i", { class: i === index ? "now" : each.clear === null ? "none" : "" });
        bar.style.left = `${place(i)}%`;
        bar.style.height = `${each.clear === null ? 4 : 4 + each.clear * .14}px`;
        ticks.append(bar);
        if (each.mark && (place(i) - last) * width > 66) {
          const mark = element("span", {}, each.mark);
          mark.style.left = `${place(i)}%`;
          // Those at the ends stay within the track.
          if (list.length > 1 && place(i) < 3) mark.classList.add("first");
          if (list.length > 1 && place(i) > 97) mark.classList.add("last");
          ticks.append(mark);
          last = place(i);
        }
      });
    },
  };
}
