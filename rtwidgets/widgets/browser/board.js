const DISCS = { 1: "●", 2: "○", ".": "" };
const WORDS_FOR = { 1: "filled", 2: "ring", ".": "empty" };

class BoardView extends PlayView {
  constructor(play, el) {
    super(play, el, "connect four");
    this.players = element("div", "rtw-board-players");
    this.news = element("div", "rtw-board-news");
    this.news.setAttribute("role", "status");
    this.board = element("div", "rtw-board");
    this.board.setAttribute("role", "grid");
    this.board.setAttribute("aria-label", `board of ${nameOf(play.get("name"))}`);
    this.cells = [];
    for (let row = 0; row < 6; row += 1) {
      const line = element("div", "rtw-board-row");
      line.setAttribute("role", "row");
      this.cells.push(Array.from({ length: 7 }, (_, column) => this.cell(line, row, column)));
      this.board.append(line);
    }
    this.at = [0, 3]; // the cell that takes the keys
    this.sit = this.button("Take a seat", { type: "sit" });
    this.again = this.button("Play again", { type: "again" });
    this.resign = this.button("Resign", { type: "resign" });
    this.stand = this.button("Leave the seat", { type: "stand" });
    this.buttons = element("div", "rtw-play-actions", this.sit, this.again, this.resign, this.stand, this.note);
    this.body.append(this.players, this.news, this.board, this.buttons);
    this.board.addEventListener("keydown", (event) => this.key(event));
    this.board.addEventListener("mouseleave", () => this.aim(null));
    this.board.addEventListener("focusout", () => this.aim(null));
    this.begin();
  }

  cell(line, row, column) {
    const button = element("button", "rtw-board-cell");
    button.type = "button";
    button.tabIndex = row === 0 && column === 3 ? 0 : -1;
    button.addEventListener("click", () => this.drop(column));
    button.addEventListener("focus", () => {
      this.at = [row, column];
      this.rove();
      this.aim(column);
    });
    button.addEventListener("mouseenter", () => this.aim(column));
    const cell = element("div", "rtw-board-place", button);
    cell.setAttribute("role", "gridcell");
    line.append(cell);
    return button;
  }

  /** The seat of who sits here, 1 or 2; 0 for who watches. */
  get seat() {
    return 1 + this.game.players.indexOf(this.play.get("user"));
  }

  drop(column) {
    this.ask({ type: "drop", column });
  }

  key(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const [row, column] = this.at;
    const ends = { Home: [row, 0], End: [row, 6] };
    const [down, across] = steps[event.key] ?? [0, 0];
    const next = ends[event.key] ?? [row + down, column + across];
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (!(event.key in steps || event.key in ends || event.key === "Enter")) return;
    event.preventDefault();
    if (event.key === "Enter" && !event.repeat) this.drop(column);
    else this.cells[next[0]]?.[next[1]]?.focus();
  }

  /** Have one cell take part in the order of the tab key: the one that had the focus last. */
  rove() {
    for (const [row, line] of this.cells.entries()) {
      for (const [column, button] of line.entries()) {
        button.tabIndex = row === this.at[0] && column === this.at[1] ? 0 : -1;
      }
    }
  }

  /** Show where a disc would land in a column. */
  aim(column) {
    this.aimed = column;
    const mine = this.ready && this.game.turn !== null && this.game.turn === this.seat;
    const rows = this.game.board.filter((line) => line[column] === ".").length;
    for (const [row, line] of this.cells.entries()) {
      for (const [each, button] of line.entries()) {
        button.classList.toggle("rtw-board-aim", mine && each === column && row === rows - 1);
      }
    }
  }

  show(game) {
    this.game = game;
    const four = new Set((game.cells ?? []).map(String));
    for (const [row, line] of this.cells.entries()) {
      for (const [column, button] of line.entries()) {
        const seat = game.board[row][column];
        const last = String(game.last) === String([row, column]);
        const won = four.has(String([row, column]));
        write(button, DISCS[seat]);
        button.className = `rtw-board-cell rtw-board-${WORDS_FOR[seat]}`;
        button.classList.toggle("rtw-board-last", last);
        button.classList.toggle("rtw-board-won", won);
        const marks = `${last ? ", the last move" : ""}${won ? ", one of the four" : ""}`;
        button.setAttribute("aria-label", `column ${column + 1}, row ${6 - row}: ${this.words(seat)}${marks}`);
      }
    }
    this.seats(game);
    this.tell(game);
    this.aim(this.aimed ?? null);
  }

  words(seat) {
    const { names } = this.game;
    return seat === "." ? "empty" : `${DISCS[seat]} ${nameOf(names[seat - 1] ?? `seat ${seat}`)}`;
  }

  seats({ players, turn }) {
    const seats = players.map((user, n) => {
      const name = user === null ? element("span", "rtw-play-dim", "free seat") : who(this.play, user);
      const seat = element("span", "rtw-board-seat", element("span", "rtw-board-disc", DISCS[n + 1]), " ", name);
      seat.classList.toggle("rtw-board-turn", turn === n + 1);
      return seat;
    });
    this.players.replaceChildren(seats[0], element("span", "rtw-play-dim", "against"), seats[1]);
  }

  /** Say whose turn it is, or how it has ended. */
  tell({ turn, result, winner, cells, names, players }) {
    const { play } = this;
    const name = (seat) => (play.own(names[seat - 1]) ? "you" : `\u2068${nameOf(names[seat - 1] ?? `seat ${seat}`)}\u2069`);
    const has = (seat) => (play.own(names[seat - 1]) ? "have" : "has");
    const upper = (words) => words[0].toUpperCase() + words.slice(1);
    let words;
    if (turn !== null) words = play.own(names[turn - 1]) ? `Your turn ${DISCS[turn]}` : `Turn of ${name(turn)} ${DISCS[turn]}`;
    else if (result === "draw") words = "A draw: the board is full";
    else if (result === "won" && cells) words = `${upper(name(winner))} ${has(winner)} won ${DISCS[winner]}: four in a row`;
    else if (result === "won") words = `${upper(name(3 - winner))} ${has(3 - winner)} resigned: ${name(winner)} ${has(winner)} won`;
    else words = players.some((user) => user !== null) ? "Waiting for a second player" : "Two seats are free";
    write(this.news, words);
  }

  look() {
    super.look();
    const { players, turn } = this.game;
    const { seat } = this;
    const may = this.play.lock === null;
    const full = players.every((user) => user !== null);
    const focus = document.activeElement;
    const shown = [
      [this.sit, !seat && !full],
      [this.again, seat && full && turn === null],
      [this.resign, seat && turn !== null],
      [this.stand, seat && turn === null],
    ];
    for (const [button, there] of shown) {
      button.hidden = !there;
      button.disabled = !may;
    }
    // A button that has gone leaves the keys to the board.
    if (focus?.hidden && this.buttons.contains(focus)) this.cells[this.at[0]][this.at[1]].focus();
    this.board.classList.toggle("rtw-board-mine", may && turn !== null && turn === seat);
    this.aim(this.aimed ?? null);
  }
}

export default widget(BoardView);
