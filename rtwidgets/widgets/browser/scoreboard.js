/** Return a time since the beginning as a match's clock shows it: 0:07, 12:30, 1:02:03. */
export function matchTime(elapsed) {
  const seconds = Math.floor(elapsed);
  const two = (number) => String(number).padStart(2, "0");
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  return hours ? `${hours}:${two(minutes % 60)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

class ScoreView extends PlayView {
  constructor(play, el) {
    super(play, el, "match");
    this.home = element("div", "rtw-score-team");
    this.away = element("div", "rtw-score-team");
    this.points = element("div", "rtw-play-big");
    this.phase = element("div", "rtw-play-dim rtw-score-phase");
    const standing = element("div", "rtw-score", this.home, this.points, this.away);
    standing.setAttribute("role", "status");
    this.plus = ["home", "away"].map((side) => this.button("", { type: "score", side }));
    this.end = this.button("End the match", { type: "end" });
    this.buttons = element("div", "rtw-play-actions rtw-score-actions", ...this.plus, this.end, this.note);
    this.events = element("ol", "rtw-score-events");
    this.events.setAttribute("aria-label", "what has happened, the newest first");
    this.events.tabIndex = 0; // or else nobody could scroll it with keys
    this.body.append(standing, this.phase, this.buttons, this.events);
    this.begin();
  }

  show(match) {
    this.match = match;
    this.home.replaceChildren(nameElement(match.home ?? "home"));
    this.away.replaceChildren(nameElement(match.away ?? "away"));
    write(this.points, `${match.home_points} : ${match.away_points}`);
    const began = match.began === null ? "" : ` since ${new Date(match.began).toLocaleTimeString([], { timeStyle: "short" })}`;
    const phase = { scheduled: "not begun yet", live: `live${began}`, ended: "full time" }[match.phase];
    const reporter = match.reporter === null ? [] : [" · reported by ", who(this.play, match.reporter)];
    this.phase.replaceChildren(phase, ...reporter);
    this.plus.forEach((button, n) => write(button, `+1 ${nameOf([match.home, match.away][n] ?? "")}`));
    this.events.replaceChildren(...[...match.events].reverse().map((event) => this.line(event)));
  }

  line(event) {
    const side = nameOf(this.match[event.side] ?? "");
    const by = event.player ? ` (${nameOf(event.player)})` : "";
    const points = event.points === 1 ? "" : `${event.points} points `;
    const words = {
      begun: () => "the match begins",
      scored: () => `${points ? `${points}for ` : ""}${side}${points ? "" : " scores"}${by}`,
      noted: () => textOf(event.text),
      corrected: () => `taken back: ${event.points === 1 ? "a point" : `${event.points} points`} of ${side}${by}`,
      ended: () => "the match has ended",
    }[event.type];
    const time = element("span", "rtw-score-time", matchTime(event.elapsed));
    const standing = element("span", "rtw-score-then", `${event.home_points} : ${event.away_points}`);
    const what = element("bdi", "rtw-score-what", words ? words() : event.type);
    const line = element("li", "", time, what, standing);
    line.classList.toggle("rtw-score-scored", event.type === "scored");
    return line;
  }

  look() {
    super.look();
    const mine = this.match.phase === "live" && this.play.own(this.match.reporter);
    this.buttons.hidden = !mine;
    for (const button of [...this.plus, this.end]) button.disabled = this.play.lock !== null;
  }
}

export default widget(ScoreView);
