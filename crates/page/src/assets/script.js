// The page works without this: it switches the horizontal axis and filters the transcripts.
"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  // Horizontal axis of the main chart.
  const buttons = all("[data-show]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const panels of all("[data-axis]")) panels.hidden = panels.dataset.axis !== button.dataset.show;
    });
  }

  // Transcripts.
  const filters = all("[data-filter]");
  const samples = all("details.sample");
  const count = document.querySelector(".count");
  if (!samples.length || !count) return;
  const nothing = document.querySelector(".nothing");

  const apply = () => {
    let shown = 0;
    for (const sample of samples) {
      const fits = filters.every((f) => f.value === "" || sample.dataset[f.dataset.filter] === f.value);
      sample.hidden = !fits;
      shown += fits;
    }
    for (const group of all(".group")) group.hidden = !group.querySelector("details.sample:not([hidden])");
    count.textContent = shown === samples.length ? `${shown} transcripts` : `${shown} of ${samples.length} transcripts`;
    nothing.hidden = shown > 0;
  };
  const set = (values) => {
    for (const f of filters) f.value = values[f.dataset.filter] ?? "";
    apply();
  };
  for (const f of filters) f.addEventListener("change", apply);
  for (const button of all("[data-clear]")) {
    button.addEventListener("click", () => {
      set({});
      history.replaceState(null, "", "#samples");
    });
  }

  // A mark on a curve leads to #t-ARM-STEP: show that arm and step only, and open the first transcript.
  const follow = (kind) => {
    const place = /^#t-(\d+)-(\d+)$/.exec(location.hash);
    if (!place || !document.getElementById(location.hash.slice(1))) return;
    set({ arm: place[1], step: place[2], kind });
    const group = document.getElementById(location.hash.slice(1));
    const first = group.querySelector("details.sample:not([hidden])");
    if (first) first.open = true;
    document.querySelector("form.filters").scrollIntoView({ block: "start" });
    group.focus({ preventScroll: true });
  };
  let clicked; // The kind of the mark that was clicked; the hash names arm and step only.
  addEventListener("hashchange", () => {
    follow(clicked);
    clicked = undefined;
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.to-samples");
    if (!link) return;
    clicked = link.dataset.kind;
    // The same mark clicked twice changes no hash.
    if (link.getAttribute("href") === location.hash) follow(clicked);
  });
  apply();
  follow();
})();
