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
