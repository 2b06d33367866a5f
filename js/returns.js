/**
 * Carriage returns in the text, which is kept as it is. One before a line feed is half of a line end: it is not seen, no
 * edit tears the two apart, and the cursor is never between them. Any other is shown as a sign: a browser shows none.
 */
import { EditorSelection, EditorState, Prec, RangeSetBuilder, Text, Transaction } from "@codemirror/state";
import { Decoration, ViewPlugin, WidgetType, keymap } from "@codemirror/view";
import { ySyncAnnotation } from "y-codemirror.next";

class Sign extends WidgetType {
  eq() {
    return true;
  }

  toDOM() {
    const sign = document.createElement("span");
    sign.className = "rtw-return";
    sign.textContent = "\\r";
    sign.title = "carriage return";
    return sign;
  }
}

const half = Decoration.replace({});
const alone = Decoration.replace({ widget: new Sign() });

class Returns {
  constructor({ state, viewport }) {
    this.draw(state.doc, viewport);
  }

  update({ docChanged, viewportChanged, state, view }) {
    if (docChanged || viewportChanged) this.draw(state.doc, view.viewport);
  }

  draw(doc, { from, to }) {
    const drawn = new RangeSetBuilder();
    const text = doc.sliceString(from, Math.min(to + 1, doc.length));
    for (let at = text.indexOf("\r"); at !== -1; at = text.indexOf("\r", at + 1)) {
      drawn.add(from + at, from + at + 1, text[at + 1] === "\n" ? half : alone);
    }
    this.decorations = drawn.finish();
  }
}

/** Whether a place is in the middle of a line end. */
function tears(doc, at) {
  return at > 0 && doc.sliceString(at - 1, at + 1) === "\r\n";
}

/** What is edited here: whole line ends are deleted, and new ones are those of the first line. */
function edited(transaction) {
  const { startState, changes } = transaction;
  const { doc } = startState;
  const returns = doc.lines > 1 && doc.line(1).text.endsWith("\r");
  let kept = true;
  const made = [];
  changes.iterChanges((from, to, _from, _to, insert) => {
    const start = tears(doc, from) ? from - 1 : from;
    // What is put there is put before the line end: the command for a new line takes the blanks behind it away.
    const end = !tears(doc, to) ? to : insert.length ? to - 1 : to + 1;
    const bare = returns && insert.lines > 1;
    if (start !== from || end !== to || bare) kept = false;
    made.push({ from: start, to: end, insert: bare ? returned(insert) : insert });
  });
  if (kept) return transaction;
  const whole = startState.changes(made);
  return {
    changes: whole,
    selection: { anchor: whole.mapPos(made.at(-1).to, 1) },
    effects: transaction.effects,
    scrollIntoView: transaction.scrollIntoView,
    userEvent: transaction.annotation(Transaction.userEvent),
  };
}

function returned(text) {
  const lines = text.toJSON();
  return Text.of(lines.map((line, number) => (number < lines.length - 1 && !line.endsWith("\r") ? `${line}\r` : line)));
}

function selected(transaction) {
  const { newDoc, selection } = transaction;
  if (!selection.ranges.some(({ anchor, head }) => tears(newDoc, anchor) || tears(newDoc, head))) return transaction;
  const before = (at) => (tears(newDoc, at) ? at - 1 : at);
  const ranges = selection.ranges.map(({ anchor, head }) => EditorSelection.range(before(anchor), before(head)));
  return [transaction, { selection: EditorSelection.create(ranges, selection.mainIndex) }];
}

const filter = EditorState.transactionFilter.of((transaction) => {
  // What others do, and what is undone, is in the document already.
  if (transaction.annotation(ySyncAnnotation)) return transaction;
  if (transaction.docChanged) return edited(transaction);
  return transaction.selection ? selected(transaction) : transaction;
});

/** Go to the next line, over the whole line end. */
function onward(view, extend) {
  const { doc, selection } = view.state;
  const { anchor, head, empty } = selection.main;
  if (!tears(doc, head + 1) || !(empty || extend)) return false;
  view.dispatch({ selection: { anchor: extend ? anchor : head + 2, head: head + 2 }, scrollIntoView: true, userEvent: "select" });
  return true;
}

const keys = ["ArrowRight", "Ctrl-ArrowRight", "Alt-ArrowRight"].map((key) => ({
  key,
  run: (view) => onward(view, false),
  shift: (view) => onward(view, true),
}));

export const returns = [
  ViewPlugin.fromClass(Returns, { decorations: ({ decorations }) => decorations }),
  filter,
  Prec.high(keymap.of(keys)),
];
