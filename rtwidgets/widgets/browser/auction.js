const SOON = 10_000; // milliseconds before the end in which the time that is left stands out

/** Return so much time as people write it: 0:07, 12:30, 2:05:00 or 3 d 4 h. */
export function timeLeft(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  const two = (number) => String(number).padStart(2, "0");
  if (days) return `${days} d ${hours % 24} h`;
  return hours ? `${hours}:${two(minutes % 60)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function amountOf(amount) {
  return amount.toLocaleString();
}

class AuctionView extends PlayView {
  constructor(play, el) {
    super(play, el, "auction");
    this.edited = false;
    this.high = element("div", "rtw-play-big");
    this.by = element("div", "rtw-play-dim");
    const standing = element("div", "rtw-auction-high", this.high, this.by);
    standing.setAttribute("role", "status");
    this.left = element("div", "rtw-play-big");
    this.left.setAttribute("role", "timer");
    this.until = element("div", "rtw-play-dim");
    const time = element("div", "rtw-auction-time", this.left, this.until);
    this.ladder = element("ol", "rtw-auction-ladder");
    this.ladder.setAttribute("aria-label", "newest bids, the highest first");

    this.amount = element("input", "rtw-play-input");
    this.amount.type = "number";
    this.button = element("button", "rtw-play-button", "Bid");
    this.button.type = "button";
    this.hint = element("span", "rtw-play-dim");
    const label = element("label", "", "Your bid", this.amount);
    this.form = element("div", "rtw-play-actions", label, this.button, this.hint, this.note);
    this.button.addEventListener("click", (event) => {
      if (event.detail < 2) this.bid(); // a double click is one bid, and not another one above it
    });
    this.amount.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.repeat && !event.shiftKey && !event.altKey) this.bid();
    });
    this.amount.addEventListener("input", () => {
      this.edited = true;
      this.complain("");
    });
    this.body.append(element("div", "rtw-auction-top", standing, time), this.ladder, this.form);
    this.begin();
  }

  bid() {
    const amount = Number(this.amount.value);
    if (this.amount.value.trim() === "" || !Number.isSafeInteger(amount)) {
      this.complain("a bid is a whole number");
      return;
    }
    if (!this.ready) return;
    this.edited = false;
    this.ask({ type: "bid", amount });
  }

  show(auction) {
    this.auction = auction;
    write(this.kind, auction.title === null ? "auction" : `auction ${nameOf(this.play.get("name"))}`);
    write(this.heading, titleOf(auction.title ?? this.play.get("name")));
    const before = this.shown;
    this.shown = JSON.stringify([auction.status, auction.amount, auction.bidder]);
    if (before !== this.shown) this.standing(auction);
    this.rungs(auction);
    const { minimum } = auction;
    if (minimum !== null) {
      this.amount.min = minimum;
      this.amount.step = auction.increment;
      if (!this.edited) this.amount.value = minimum;
    }
    this.tick();
  }

  /** Write the highest bid, and who leads or has won. */
  standing({ status, amount, bidder, start }) {
    const { play } = this;
    write(this.high, amount === null ? "—" : amountOf(amount));
    if (status === "not_open") this.by.replaceChildren("not open yet");
    else if (status === "sold") this.by.replaceChildren("sold to ", who(play, bidder));
    else if (status === "no_bids") this.by.replaceChildren("nobody has bid");
    else if (status === "reserve_not_met") this.by.replaceChildren("not sold: the reserve was not met");
    else if (bidder === null) this.by.replaceChildren(`no bids yet, from ${amountOf(start)}`);
    else this.by.replaceChildren("highest bid, by ", who(play, bidder));
    this.by.classList.toggle("rtw-auction-won", status === "sold");
  }

  /** Draw a bar for each of the newest bids. */
  rungs({ bids, amount, count }) {
    const rows = [...bids].reverse().map(([user, bid]) => {
      const bar = element("span", "rtw-auction-bar");
      bar.style.width = `${(100 * bid) / amount}%`;
      const track = element("span", "rtw-auction-track", bar);
      const name = element("span", "rtw-auction-name", nameElement(user));
      return element("li", "", name, track, element("span", "rtw-auction-amount", amountOf(bid)));
    });
    if (count > bids.length) rows.push(element("li", "rtw-play-dim", `and ${count - bids.length} before`));
    this.ladder.replaceChildren(...rows);
  }

  /** Write how much time is left, again whenever another second is over. */
  tick() {
    clearTimeout(this.timer);
    const { status, ends, reserve, reserve_met: met } = this.auction;
    const open = status === "open";
    const left = ends - this.play.now();
    const going = open && !this.play.over;
    const over = open || status === "not_open" ? "—" : "closed";
    write(this.left, going ? (left > 0 ? timeLeft(left) : "closing…") : over);
    this.left.classList.toggle("rtw-auction-soon", going && left < SOON);
    const at = ends ? new Date(ends).toLocaleTimeString() : "";
    const secret = reserve ? ` · reserve ${met ? "met" : "not met yet"}` : "";
    write(this.until, open ? `ends ${at}${secret}` : at && `ended ${at}`);
    if (going && left > 0) this.timer = setTimeout(() => this.tick(), Math.min(1000, left % 1000) + 5);
  }

  look() {
    super.look();
    const { status, seller, minimum } = this.auction;
    const mine = this.play.own(seller);
    this.form.hidden = status !== "open";
    const can = this.play.lock === null && !mine && minimum !== null;
    this.amount.readOnly = !can;
    this.button.disabled = !can;
    write(this.hint, mine ? "you sell this lot" : minimum === null ? "" : `${amountOf(minimum)} or more`);
    this.tick();
  }

  destroy() {
    clearTimeout(this.timer);
    super.destroy();
  }
}

export default widget(AuctionView);
