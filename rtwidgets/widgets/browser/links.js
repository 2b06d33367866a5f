// Texts of others as nodes: text and links, and never HTML.

const LINK = /https?:\/\/[^\s<>"\p{Cc}\p{Bidi_Control}]+/giu;
const LONGEST_NAME = 40; // characters of a name that are shown

/** Return a text with control characters, which would not be seen, as they are written in Python. */
function seen(text) {
  const written = (each) => `\\x${each.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return text.replaceAll("\r\n", "\n").replace(/(?![\n\t])\p{Cc}/gu, written);
}

/** Return a name as it is shown: one line, not too long, and in its own direction. */
export function nameOf(user) {
  const letters = [...seen(user).replace(/[\n\t]/g, " ").replace(/\p{Bidi_Control}/gu, "\ufffd")];
  const shown = letters.length > LONGEST_NAME ? [...letters.slice(0, LONGEST_NAME - 1), "…"] : letters;
  return shown.join("").trim() || "somebody";
}

/** Return the address of a link; null where it is none, or shows one server and leads to another. */
function address(written) {
  try {
    const url = new URL(written);
    return /^https?:$/.test(url.protocol) && !url.username && !url.password ? url.href : null;
  } catch {
    return null;
  }
}

/** Return what is written without what belongs to the sentence around it. */
function trimmed(written) {
  const count = (mark) => written.split(mark).length;
  const unopened = { ")": count(")") - count("("), "]": count("]") - count("["), "}": count("}") - count("{") };
  let end = written.length;
  for (; ; end -= 1) {
    const last = written[end - 1];
    if (unopened[last] > 0) unopened[last] -= 1;
    else if (!".,;:!?'’*_".includes(last)) return written.slice(0, end);
  }
}

/** Return a text as parts: strings, and links as `{ href, text }`. */
export function partsOf(text) {
  const shown = seen(text);
  const parts = [];
  let at = 0;
  for (const { 0: written, index } of shown.matchAll(LINK)) {
    const link = trimmed(written);
    const href = address(link);
    if (href === null) continue;
    parts.push(shown.slice(at, index), { href, text: link });
    at = index + link.length;
  }
  return [...parts, shown.slice(at)].filter((part) => part !== "");
}

/** Make an element of a class, with strings and nodes in it. */
function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}

/** Keep JupyterLab from taking the keys of an element that has the focus, itself and no parent, for its commands. */
function keepKeys(focusable) {
  focusable.dataset.lmSuppressShortcuts = "true";
}

/** Return a text as an element of its own direction. */
function textOf(text) {
  const nodes = partsOf(text).map((part) => {
    if (typeof part === "string") return part;
    const link = element("a", "", part.text);
    link.href = part.href;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    keepKeys(link);
    return link;
  });
  return element("bdi", "rtw-chat-text", ...nodes);
}

/** Return a name as an element of its own direction, with the whole of it as its title. */
function nameElement(user) {
  const name = element("bdi", "rtw-chat-name", nameOf(user));
  if (name.textContent !== user) name.title = seen(user);
  return name;
}

/** Return somebody's colour of these, the one that their cursor has: by the CRC-32 of the name. */
export function colourOf(user, colours) {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(user)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return colours[(~crc >>> 0) % colours.length];
}
