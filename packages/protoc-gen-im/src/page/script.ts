// What the page does: the filter, the place in the contents, the contents of small screens.

export const script: string = `
const sections = [...document.querySelectorAll("main section[id]")];
const items = new Map([...document.querySelectorAll("nav li")].map((item) => [item.dataset.for, item]));
const filter = document.getElementById("filter");
const menu = document.getElementById("menu");
const wide = matchMedia("(min-width: 60rem)");

const texts = new Map(sections.map((section) => [section, section.dataset.words + " " + section.querySelector(".prose").textContent.toLowerCase()]));
const apply = () => {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const section of sections) {
    const fits = words.every((word) => texts.get(section).includes(word));
    section.hidden = !fits;
    const item = items.get(section.id);
    if (item) item.hidden = !fits;
    if (fits) shown++;
  }
  for (const group of document.querySelectorAll("nav section, main .chapter, main .part")) {
    group.hidden = words.length > 0 && !group.querySelector("li:not([hidden]), section:not([hidden])");
  }
  for (const intro of document.querySelectorAll(".intro, .doors")) intro.hidden = words.length > 0;
  document.getElementById("nothing").hidden = shown > 0;
  document.getElementById("count").textContent = words.length > 0 ? shown + " of " + sections.length : "";
};
filter.addEventListener("input", apply);
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "Escape" && document.activeElement === filter) {
    filter.value = "";
    apply();
  }
});

menu.open = wide.matches;
wide.addEventListener("change", () => { menu.open = wide.matches; });
menu.addEventListener("click", (event) => {
  if (!wide.matches && event.target.closest("a")) menu.open = false;
});

const visible = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) visible.add(target); else visible.delete(target);
  }
  const first = sections.find((section) => visible.has(section));
  for (const [id, item] of items) {
    const link = item.firstElementChild;
    if (first && id === first.id) {
      if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "location");
        if (wide.matches) link.scrollIntoView({ block: "nearest" });
      }
    } else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-10% 0px -60% 0px" });
for (const section of sections) observer.observe(section);
`;
