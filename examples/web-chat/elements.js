// DOM by textContent only: nothing that anybody wrote is ever read as HTML.

export const byId = (id) => document.getElementById(id);

/** @param attributes `class`, `onclick` and the like; false and undefined are left out */
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      made[key] = value;
    } else if (value !== undefined && value !== false) {
      made.setAttribute(key, value);
    }
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/**
 * A list that makes anew only the items whose value has changed: the focus stays where it is, and a screen reader hears what is new.
 * @param make an element of a value
 */
export function createList(parent, make) {
  let shown = new Map();
  /** @param items pairs of a key and a value, in their order */
  return (items) => {
    const next = new Map();
    for (const [key, value] of items) {
      const look = JSON.stringify(value);
      const before = shown.get(key);
      next.set(key, before?.look === look ? before : { look, made: make(value) });
    }
    shown = next;
    const elements = [...next.values()].map(({ made }) => made);
    for (const child of [...parent.children].filter((one) => !elements.includes(one))) {
      child.remove();
    }
    elements.forEach((made, index) => {
      if (parent.children[index] !== made) {
        parent.insertBefore(made, parent.children[index] ?? null);
      }
    });
  };
}

export function showAvatar(avatar, id, name) {
  const hue = [...id].reduce((sum, letter) => (sum + letter.charCodeAt(0)) % 6, 0);
  avatar.className = `avatar hue-${hue}`;
  avatar.textContent = ([...name.trim()][0] ?? "?").toUpperCase();
  return avatar;
}

/** The time of a day, of another day its date. */
export function timeOf(ms) {
  const date = new Date(ms);
  const today = date.toDateString() === new Date().toDateString();
  const text = today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
  return element("time", { datetime: date.toISOString() }, text);
}
