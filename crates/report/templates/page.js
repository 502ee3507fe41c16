"use strict";
(() => {
  const radios = [...document.querySelectorAll(".switch input")];
  const narrow = matchMedia("(max-width: 55rem)");
  // The stream and the frame always show the same capture.
  const choose = (value) => radios.forEach((radio) => { radio.checked = radio.value === value; });
  radios.forEach((radio) => radio.addEventListener("change", () => choose(radio.value)));
  // A narrow screen has no room for both, so the first is chosen.
  const fit = () => {
    const chosen = radios.find((radio) => radio.checked);
    if (narrow.matches && chosen && chosen.value === "all") choose("1");
  };
  narrow.addEventListener("change", fit);
  fit();

  const tip = document.getElementById("tip");
  let open = null;
  let leaving = 0;
  const element = (name, text) => { const made = document.createElement(name); made.textContent = text; return made; };
  const close = () => {
    if (open) { open.classList.remove("open"); open.removeAttribute("aria-describedby"); }
    open = null;
    tip.hidden = true;
  };
  const show = (mark) => {
    clearTimeout(leaving);
    if (open === mark) return;
    close();
    open = mark;
    mark.classList.add("open");
    mark.setAttribute("aria-describedby", "tip");
    const facts = document.createElement("dl");
    for (const fact of ["level", "places", "frames", "offset", "bytes"]) {
      if (!mark.dataset[fact]) continue;
      facts.append(element("dt", tip.dataset[fact]), element("dd", mark.dataset[fact]));
    }
    tip.replaceChildren(element("strong", mark.dataset.title), facts);
    // A report without appendices has no list of frames.
    if (mark.dataset.href) {
      const link = element("a", tip.dataset.evidence);
      link.href = mark.dataset.href;
      tip.append(link);
    }
    tip.hidden = false;
    const at = mark.getClientRects()[0];
    const left = Math.min(at.left, document.documentElement.clientWidth - tip.offsetWidth - 16);
    const below = at.bottom + 8 + tip.offsetHeight < innerHeight;
    const top = below ? at.bottom + 8 : Math.max(8, at.top - 8 - tip.offsetHeight);
    tip.style.setProperty("left", `${Math.max(8, left) + scrollX}px`);
    tip.style.setProperty("top", `${top + scrollY}px`);
  };
  const leave = () => { leaving = setTimeout(close, 250); };
  for (const mark of document.querySelectorAll(".mark")) {
    mark.addEventListener("mouseenter", () => show(mark));
    mark.addEventListener("mouseleave", leave);
    mark.addEventListener("focus", () => show(mark));
    mark.addEventListener("click", () => show(mark));
    mark.addEventListener("keydown", (event) => {
      if (event.key === "Enter") tip.querySelector("a")?.click();
      if (event.key === " ") { event.preventDefault(); show(mark); }
    });
  }
  tip.addEventListener("mouseenter", () => clearTimeout(leaving));
  tip.addEventListener("mouseleave", leave);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".mark, #tip")) close();
  });
})();
