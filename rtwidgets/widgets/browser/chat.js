const TOGETHER = 5 * 60_000; // milliseconds in which messages of the same person stand under one name
const MOST_SHOWN = 1_000; // messages that are there while somebody reads older ones
const SHOWN_NAMES = 12;

/** One view of a chat room: who is there, what is said, and a place to say something. */
class ChatView {
  constructor(room, el) {
    this.room = room;
    this.stuck = true; // at the newest message, and to stay there
    this.top = 0; // where it is scrolled to otherwise
    this.hidden = false;
    this.onScreen = false;
    this.read = -1; // the newest message that was seen
    this.mark = null; // the line where the unread ones begin
    this.cut = false; // whether it was told that there is no connection
    this.last = null; // the row at the bottom
    this.anew = false; // whether the next one says who it is from, whoever that is
    const name = room.get("name");

    this.people = element("span", "rtw-chat-people");
    this.state = element("span", "rtw-chat-state");
    this.state.setAttribute("role", "status");
    const bar = element("div", "rtw-chat-bar", element("b", "", nameOf(name)), this.people, this.state);

    this.log = element("div", "rtw-chat-log");
    this.log.setAttribute("role", "log");
    this.log.setAttribute("aria-live", "polite");
    this.log.setAttribute("aria-label", `messages in ${name}`);
    this.waiting = element("div", "rtw-chat-waiting");
    this.scroller = element("div", "rtw-chat-scroller", this.log, this.waiting);
    this.scroller.tabIndex = 0; // or else nobody could scroll it with keys
    this.scroller.setAttribute("role", "group");
    this.scroller.setAttribute("aria-label", name);
    this.more = element("button", "rtw-chat-more");
    this.more.type = "button";
    this.more.hidden = true;

    this.typing = element("div", "rtw-chat-typing");
    this.area = element("textarea", "rtw-chat-input");
    this.area.rows = 1;
    this.area.setAttribute("aria-label", `message to ${name} as ${nameOf(room.get("user"))}`);
    this.button = element("button", "rtw-chat-send", "Send");
    this.button.type = "button";
    this.reason = element("div", "rtw-chat-reason");
    this.reason.setAttribute("role", "alert");

    el.classList.add("rtw-chat");
    const body = element("div", "rtw-chat-body", this.scroller, this.more);
    for (const each of [this.scroller, this.more, this.area, this.button]) keepKeys(each);
    el.append(bar, body, this.typing, element("div", "rtw-chat-say", this.area, this.button), this.reason);

    this.scroller.addEventListener("scroll", () => this.scrolled());
    this.more.addEventListener("click", () => this.jump());
    this.button.addEventListener("click", () => {
      this.send();
      this.area.focus();
    });
    this.area.addEventListener("input", () => this.typed());
    this.area.addEventListener("keydown", (event) => this.key(event));
    this.sizes = new ResizeObserver(() => this.sized());
    this.sizes.observe(this.scroller);
    this.screen = new IntersectionObserver((entries) => {
      this.onScreen = entries.at(-1).isIntersecting;
      this.watch();
    });
    this.screen.observe(this.scroller);
    this.watch = () => this.watchChanged();
    for (const [target, event] of looks()) target.addEventListener(event, this.watch);

    room.views.add(this);
    this.area.value = room.draft;
    room.draft = "";
    this.fill();
    this.wait();
    this.look();
    this.grow();
  }

  /** Whether somebody can see what comes. */
  get watched() {
    return this.onScreen && document.visibilityState === "visible" && document.hasFocus();
  }

  // The messages

  /** Begin anew with what the room has. */
  fill() {
    const [first] = this.room.rows;
    this.log.setAttribute("aria-busy", "true"); // or else all of it is read aloud
    this.log.replaceChildren();
    this.last = this.mark = null;
    if (first && first[0] > 0) this.log.append(aside("older messages are not shown here"));
    this.append(this.room.rows);
    this.log.setAttribute("aria-busy", "false");
    this.read = this.room.total - 1;
    this.follow();
  }

  /** Take messages that are new. */
  add(rows) {
    const unread = rows.find((row) => !this.room.own(row));
    if (!this.watched && this.mark === null && unread) {
      const at = rows.indexOf(unread);
      this.append(rows.slice(0, at));
      this.mark = element("div", "rtw-chat-unread", "new");
      this.mark.setAttribute("role", "separator");
      this.log.append(this.mark);
      this.anew = true;
      this.append(rows.slice(at));
    } else {
      this.append(rows);
    }
    this.follow();
  }

  append(rows) {
    const made = [];
    for (const row of rows) {
      made.push(...this.lines(row, this.last));
      this.last = row;
    }
    this.log.append(...made);
    this.trim();
  }

  /** Return what a message looks like, with what stands before it. */
  lines(row, previous) {
    const [number, user, text, time, missing] = row;
    const lines = [];
    const day = new Date(time ?? Number.NaN).toDateString();
    const before = previous ? new Date(previous[3] ?? Number.NaN).toDateString() : new Date().toDateString();
    if (missing) lines.push(aside("messages are missing here"));
    else if (previous && number > previous[0] + 1) lines.push(aside("more was said here than is shown"));
    if (time !== null && day !== before) lines.push(aside(new Date(time).toLocaleDateString([], { dateStyle: "medium" })));
    const together = !this.anew && !lines.length && previous?.[1] === user && time - previous[3] < TOGETHER;
    this.anew = false;
    const line = element("div", "rtw-chat-message");
    line.dataset.number = number;
    line.classList.toggle("rtw-chat-own", this.room.own(row));
    if (together) line.append(element("span", "rtw-chat-unseen", `${nameOf(user)}: `));
    else line.append(this.head(user, time));
    const said = textOf(text);
    if (time !== null) said.title = new Date(time).toLocaleString();
    line.append(said);
    return [...lines, line];
  }

  head(user, time) {
    const head = element("div", "rtw-chat-head", this.dot(user), nameElement(user));
    if (user === this.room.get("user")) head.append(" (you)");
    if (time === null) return head;
    const stamp = element("time", "", new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    stamp.dateTime = new Date(time).toISOString();
    head.append(" ", stamp);
    return head;
  }

  dot(user) {
    const dot = element("span", "rtw-chat-dot");
    dot.style.backgroundColor = colourOf(user, this.room.get("colours"));
    return dot;
  }

  /** Take the oldest away where there are too many, and leave what is read where it is. */
  trim() {
    const most = this.stuck ? KEPT : MOST_SHOWN;
    const messages = this.log.getElementsByClassName("rtw-chat-message");
    const surplus = messages.length - most;
    if (surplus <= 0) return;
    const keep = messages[surplus];
    const height = this.scroller.scrollHeight;
    while (this.log.firstChild !== keep) this.log.firstChild.remove();
    this.log.prepend(aside("older messages are not shown here"));
    if (!this.stuck) this.scroller.scrollTop -= height - this.scroller.scrollHeight;
  }

  /** Show what is on its way. */
  wait() {
    const held = this.room.words.free ? "sending…" : "is sent when the cell has ended";
    this.waiting.replaceChildren(
      ...Array.from(this.room.pending.values(), ({ text }) =>
        element("div", "rtw-chat-message", textOf(text), element("span", "rtw-chat-held", ` ${held}`)),
      ),
    );
    this.follow();
  }

  // Where it is scrolled to

  /** Go to the newest message if it was there before; where nobody looks, no further than to the unread ones. */
  follow() {
    const { scroller, mark } = this;
    if (this.stuck && !this.hidden) {
      const bottom = scroller.scrollHeight - scroller.clientHeight;
      scroller.scrollTop = mark && !this.watched ? Math.min(bottom, mark.offsetTop) : bottom;
      this.scrolled();
    }
    this.count();
  }

  scrolled() {
    const { scroller } = this;
    if (this.hidden) return;
    this.top = scroller.scrollTop;
    this.stuck = scroller.scrollHeight - scroller.clientHeight - this.top < 4;
    this.count();
  }

  /** What is out of sight with its notebook loses its place. */
  sized() {
    this.hidden = this.scroller.clientHeight === 0;
    if (this.hidden) return;
    if (!this.stuck) this.scroller.scrollTop = this.top;
    this.follow();
  }

  jump() {
    this.stuck = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.scrolled();
    this.area.focus({ preventScroll: true });
  }

  /** Bring the button up to date that tells how many have come meanwhile. */
  count() {
    const { rows, total } = this.room;
    if (this.stuck && this.watched) this.read = total - 1;
    const fresh = this.stuck ? 0 : rows.filter((row) => row[0] > this.read && !this.room.own(row)).length;
    this.more.hidden = fresh === 0;
    const words = `↓ ${fresh === KEPT ? `${KEPT} or more` : fresh} new`;
    if (fresh && this.more.textContent !== words) this.more.textContent = words;
  }

  watchChanged() {
    if (!this.watched && this.mark) {
      this.mark.remove(); // the next one that comes is the first unread one
      this.mark = null;
    }
    this.count();
  }

  // What is written here

  typed() {
    this.grow();
    this.complain("");
    this.room.types(this.area.value.trim() !== "");
  }

  grow() {
    this.area.style.height = "auto";
    const { offsetHeight, clientHeight, scrollHeight } = this.area;
    // Not before it is on the page, and laid out there.
    if (offsetHeight > 0) this.area.style.height = `${scrollHeight + offsetHeight - clientHeight}px`;
  }

  key(event) {
    const composing = event.isComposing || event.keyCode === 229; // Enter chooses a word then
    if (event.key !== "Enter" || event.altKey || composing) return;
    event.preventDefault();
    // JupyterLab takes a line break that the browser makes in a cell away; this one can be undone as well.
    if (event.shiftKey) document.execCommand("insertText", false, "\n");
    else this.send();
  }

  send() {
    const text = this.area.value.trimEnd();
    if (!text || this.room.lock !== null) return;
    if (this.room.get("state") !== "open") {
      this.complain(`not sent, for there is no connection: ${this.room.get("reason") || this.room.get("state")}`);
      this.cut = true;
      return;
    }
    this.area.value = "";
    this.complain("");
    this.grow();
    this.mark?.remove();
    this.mark = null;
    this.stuck = true;
    this.room.say(text, this);
  }

  giveBack(text, reason) {
    this.area.value = [text, this.area.value].filter(Boolean).join("\n");
    this.grow();
    this.complain(`not sent: ${reason}`);
  }

  complain(words) {
    this.cut = false;
    if (this.reason.textContent !== words) this.reason.textContent = words;
  }

  // Who is there, and how things stand

  look() {
    const { room } = this;
    const { lock, state } = room;
    if (this.cut && (lock !== null || room.get("state") === "open")) this.complain("");
    if (this.state.textContent !== state) this.state.textContent = state;
    this.area.readOnly = lock !== null;
    this.button.disabled = lock !== null;
    const hint = `Message as ${nameOf(room.get("user"))} · Shift+Enter for a new line`;
    this.area.placeholder = lock === null ? hint : `Nothing can be sent: ${lock}`;
    const names = room.get("present");
    const people = names.slice(0, SHOWN_NAMES).flatMap((user) => {
      const you = user === room.get("user") ? " (you)" : "";
      return [element("span", "rtw-chat-person", this.dot(user), nameElement(user), you), " "];
    });
    const others = room.get("people") - Math.min(names.length, SHOWN_NAMES);
    this.people.replaceChildren(...people, ...(others > 0 ? [`and ${others} more`] : []));
    this.people.title = names.map(nameOf).join(", ");
    this.typing.replaceChildren(...typingWords(lock === null || lock === READ_ONLY ? room.get("typing") : []));
  }

  destroy() {
    const { room } = this;
    room.views.delete(this);
    room.draft = this.area.value || room.draft;
    this.sizes.disconnect();
    this.screen.disconnect();
    for (const [target, event] of looks()) target.removeEventListener(event, this.watch);
  }
}

/** What tells that somebody begins to look, or does so no longer. */
function looks() {
  return [[window, "focus"], [window, "blur"], [document, "visibilitychange"]];
}

function aside(words) {
  return element("div", "rtw-chat-aside", words);
}

function typingWords(names) {
  const [one, other, ...more] = names.map((user) => element("bdi", "", nameOf(user)));
  if (!one) return [];
  if (!other) return [one, " is typing…"];
  return more.length ? ["several people are typing…"] : [one, " and ", other, " are typing…"];
}

const rooms = new Map();

export default {
  initialize({ model }) {
    const room = new Room(model);
    rooms.set(model.get("uid"), room);
    return () => {
      rooms.delete(model.get("uid"));
      room.destroy();
    };
  },
  render({ model, el }) {
    const view = new ChatView(rooms.get(model.get("uid")), el);
    return () => view.destroy();
  },
};
