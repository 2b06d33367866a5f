/**
 * Where the others are in a text: their cursors with their names, and what they have selected.
 *
 * Awareness states are those of y-codemirror.next: `{ user: { name, color }, cursor: { anchor, head } }`, the last two
 * as relative positions. Anybody may send anything, so nothing of it is used unseen.
 */
import { Annotation } from "@codemirror/state";
import { Decoration, EditorView, ViewPlugin, WidgetType } from "@codemirror/view";
import {
  compareRelativePositions,
  createAbsolutePositionFromRelativePosition,
  createRelativePositionFromJSON,
  createRelativePositionFromTypeIndex,
} from "yjs";

const LONGEST = 40; // characters of a name that are shown
const GREY = "#595959"; // of those without a colour

const moved = Annotation.define();

/** What is known of somebody, whatever a state may hold. */
export function personOf(user) {
  const name = typeof user?.name === "string" ? [...user.name.trim()].slice(0, LONGEST).join("") : "";
  const color = /^#[0-9a-f]{6}$/i.test(user?.color) ? user.color : GREY;
  return { name: name || "somebody", color };
}

/** Black or white, whichever is read better on a colour: 4.5 : 1 and more. The luminance is that of WCAG 2. */
function ink(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) ** 2 > 1.05 * 0.05 ? "#000" : "#fff";
}

/** A cursor with the names of those who have it in this place. */
class Caret extends WidgetType {
  constructor(people, where) {
    super();
    this.people = people;
    this.where = where;
  }

  eq(other) {
    return this.where === other.where && JSON.stringify(this.people) === JSON.stringify(other.people);
  }

  toDOM() {
    const caret = document.createElement("span");
    caret.className = `rtw-cursor rtw-cursor-${this.where}`;
    caret.style.borderColor = this.people[0].color;
    caret.setAttribute("aria-hidden", "true"); // or else names were read out as part of the text
    const names = document.createElement("span");
    names.className = "rtw-cursor-names";
    for (const { name, color } of this.people) {
      const label = document.createElement("span");
      label.className = "rtw-cursor-name";
      label.textContent = name;
      label.style.backgroundColor = color;
      label.style.color = ink(color);
      names.append(label);
    }
    caret.append("\u2060", names); // a word joiner is as high as a letter, and has no width
    return caret;
  }
}

class Cursors {
  constructor(view, text, awareness) {
    this.text = text;
    this.awareness = awareness;
    this.hear = ({ added, updated, removed }) => {
      const own = awareness.clientID;
      if ([...added, ...updated, ...removed].some((client) => client !== own)) view.dispatch({ annotations: moved.of(true) });
    };
    awareness.on("change", this.hear);
    this.draw(view);
  }

  update(update) {
    if (update.docChanged || update.selectionSet || update.focusChanged) this.tell(update.view);
    if (update.docChanged || update.transactions.some((each) => each.annotation(moved))) this.draw(update.view);
    else if (update.geometryChanged) this.turn(update.view);
  }

  destroy() {
    this.awareness.off("change", this.hear);
  }

  /** Say where the cursor of this page is, in Yjs's terms: what is written before it moves it along. */
  tell(view) {
    const state = this.awareness.getLocalState();
    if (state === null || !view.hasFocus || !view.dom.ownerDocument.hasFocus()) return;
    const { anchor, head } = view.state.selection.main;
    const cursor = {
      anchor: createRelativePositionFromTypeIndex(this.text, anchor),
      head: createRelativePositionFromTypeIndex(this.text, head),
    };
    const before = state.cursor;
    if (before && ["anchor", "head"].every((end) => compareRelativePositions(before[end], cursor[end]))) return;
    this.awareness.setLocalStateField("cursor", cursor);
  }

  draw(view) {
    const { doc } = view.state;
    const drawn = [];
    const carets = new Map(); // who is in which place
    for (const [client, { user, cursor }] of this.awareness.getStates()) {
      if (client === this.awareness.clientID) continue;
      const [anchor, head] = [this.place(cursor?.anchor), this.place(cursor?.head)];
      if (anchor === null || head === null || Math.max(anchor, head) > doc.length) continue;
      const person = personOf(user);
      if (anchor !== head) {
        const mark = Decoration.mark({ attributes: { style: `background-color: ${person.color}40` } });
        drawn.push(mark.range(Math.min(anchor, head), Math.max(anchor, head)));
      }
      if (!carets.has(head)) carets.set(head, []);
      carets.get(head).push(person);
    }
    for (const [at, people] of carets) {
      const line = doc.lineAt(at);
      // Where nothing follows in the line the names hide nothing; in the first line there is no room above.
      const where = line.text.slice(at - line.from).trim() === "" ? "end" : line.number === 1 ? "below" : "above";
      people.sort((one, other) => (one.name < other.name ? -1 : 1));
      drawn.push(Decoration.widget({ widget: new Caret(people, where), side: 1 }).range(at));
    }
    this.decorations = Decoration.set(drawn, true);
    this.turn(view);
  }

  /** Have names that would leave the editor at its right side stand on the left of their cursors. */
  turn(view) {
    view.requestMeasure({
      key: this,
      read: () => {
        const { left, right } = view.scrollDOM.getBoundingClientRect();
        return [...view.contentDOM.querySelectorAll(".rtw-cursor")].map((caret) => {
          const at = caret.getBoundingClientRect().left;
          const { width } = caret.lastChild.getBoundingClientRect();
          return [caret, at + width > right && at - width > left];
        });
      },
      write: (carets) => {
        for (const [caret, leave] of carets) caret.classList.toggle("rtw-cursor-left", leave);
      },
    });
  }

  /** The index that a relative position of somebody's state has here and now; null when it has none. */
  place(position) {
    const parts = [position?.item, position?.type].filter((part) => part !== null && part !== undefined);
    const whole = (number) => Number.isSafeInteger(number) && number >= 0;
    if (!parts.every((part) => whole(part.client) && whole(part.clock))) return null;
    if (parts.length === 0 && position?.tname !== "content") return null;
    const found = createAbsolutePositionFromRelativePosition(createRelativePositionFromJSON(position), this.text.doc);
    return found?.type === this.text ? found.index : null;
  }
}

const theme = EditorView.baseTheme({
  ".rtw-cursor": { position: "relative", borderLeft: "2px solid", marginLeft: "-1px", marginRight: "-1px" },
  ".rtw-cursor-names": {
    display: "inline-flex",
    pointerEvents: "none", // what is under them can be clicked
    userSelect: "none",
    whiteSpace: "nowrap",
    fontFamily: "var(--jp-ui-font-family, sans-serif)",
    fontSize: "11px",
    fontWeight: "normal",
    fontStyle: "normal",
    lineHeight: "14px",
  },
  ".rtw-cursor-name": { padding: "0 4px" },
  ".rtw-cursor-end .rtw-cursor-names": { verticalAlign: "1px", borderRadius: "0 3px 3px 0", overflow: "hidden" },
  ".rtw-cursor-above .rtw-cursor-names, .rtw-cursor-below .rtw-cursor-names": {
    position: "absolute",
    zIndex: 2,
    left: "-2px",
    overflow: "hidden",
  },
  ".rtw-cursor-above .rtw-cursor-names": { bottom: "calc(100% - 2px)", borderRadius: "3px 3px 3px 0" },
  ".rtw-cursor-below .rtw-cursor-names": { top: "calc(100% - 2px)", borderRadius: "0 3px 3px 3px" },
  ".rtw-cursor-above.rtw-cursor-left .rtw-cursor-names, .rtw-cursor-below.rtw-cursor-left .rtw-cursor-names": {
    left: "auto",
    right: "-2px",
  },
});

export function cursors(text, awareness) {
  const plugin = ViewPlugin.define((view) => new Cursors(view, text, awareness), { decorations: (each) => each.decorations });
  return [plugin, theme];
}
