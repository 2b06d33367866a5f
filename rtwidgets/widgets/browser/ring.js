const BLOCK = 64; // rows that an entry of a ring's overview stands for

/** Rows of one series in order of x, with an overview of extremes to thin from. */
class Ring {
  constructor() {
    this.reserve(1024);
    this.clear();
  }

  clear() {
    this.start = 0; // slot of the oldest row
    this.end = 0; // slot after the newest
    this.first = 0; // number of the row in slot 0, a multiple of BLOCK
  }

  get length() {
    return this.end - this.start;
  }

  reserve(capacity) {
    const { x, y, low, high } = this;
    this.x = new Float64Array(capacity);
    this.y = new Float64Array(capacity);
    this.low = new Int32Array(capacity / BLOCK); // slot of each block's least value
    this.high = new Int32Array(capacity / BLOCK);
    if (x) {
      this.x.set(x);
      this.y.set(y);
      this.low.set(low);
      this.high.set(high);
    }
  }

  /** Put rows in; `x` is sorted, and is usually later than all that is here. */
  push(x, y) {
    this.makeRoom(x.length);
    let at = this.end;
    if (this.length && x.length && x[0] < this.x[this.end - 1]) {
      at = this.search(x[0]);
      [x, y] = merge(this.x.slice(at, this.end), this.y.slice(at, this.end), x, y);
    }
    this.x.set(x, at);
    this.y.set(y, at);
    this.end = at + x.length;
    this.overview(at);
  }

  /** Let go of what is older than `left`, but for the row that the line comes from. */
  drop(left) {
    this.start = Math.max(this.start, this.search(left) - 1);
  }

  /** Slot of the first row at or after `x`. */
  search(x) {
    let low = this.start;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  makeRoom(rows) {
    if (this.end + rows <= this.x.length) return;
    const gone = this.start - (this.start % BLOCK);
    if (gone > this.x.length / 2) {
      this.x.copyWithin(0, gone, this.end);
      this.y.copyWithin(0, gone, this.end);
      this.start -= gone;
      this.end -= gone;
      this.first += gone;
      const blocks = gone / BLOCK;
      for (let block = 0; block * BLOCK < this.end; block++) {
        this.low[block] = this.low[block + blocks] - gone;
        this.high[block] = this.high[block + blocks] - gone;
      }
    }
    let capacity = this.x.length;
    while (this.end + rows > capacity) capacity *= 2;
    if (capacity > this.x.length) this.reserve(capacity);
  }

  overview(from) {
    const { y, low, high } = this;
    for (let block = Math.floor(from / BLOCK); block * BLOCK < this.end; block++) {
      const stop = Math.min(this.end, (block + 1) * BLOCK);
      let least = Math.max(this.start, block * BLOCK);
      let most = least;
      for (let slot = least + 1; slot < stop; slot++) {
        if (y[slot] < y[least]) least = slot;
        if (y[slot] > y[most]) most = slot;
      }
      low[block] = least;
      high[block] = most;
    }
  }

  /**
   * Rows from slot `from` to `to`, thinned to about two for each of `buckets`, extremes kept.
   *
   * Buckets begin at multiples of their width in row numbers, so that a line that moves on does not shimmer.
   */
  thin(from, to, buckets) {
    const rows = to - from;
    if (rows <= 2 * buckets) return [this.x.slice(from, to), this.y.slice(from, to)];
    let width = 2;
    while (width * buckets < rows) width *= 2;
    const kept = [from];
    for (let slot = from; slot < to; ) {
      const stop = Math.min(to, slot + width - ((this.first + slot) % width));
      const [least, most] = this.extremes(slot, stop);
      kept.push(Math.min(least, most));
      if (least !== most) kept.push(Math.max(least, most));
      slot = stop;
    }
    kept.push(to - 1);
    const x = new Float64Array(kept.length);
    const y = new Float64Array(kept.length);
    for (let n = 0; n < kept.length; n++) {
      x[n] = this.x[kept[n]];
      y[n] = this.y[kept[n]];
    }
    return [x, y];
  }

  extremes(from, to) {
    const { y, low, high } = this;
    let least = from;
    let most = from;
    const see = (a, b) => {
      if (y[a] < y[least]) least = a;
      if (y[b] > y[most]) most = b;
    };
    for (let slot = from; slot < to; ) {
      if (slot % BLOCK === 0 && slot + BLOCK <= to) {
        see(low[slot / BLOCK], high[slot / BLOCK]);
        slot += BLOCK;
      } else {
        see(slot, slot);
        slot++;
      }
    }
    return [least, most];
  }
}

/** Merge two runs that are sorted by x. */
function merge(ax, ay, bx, by) {
  const x = new Float64Array(ax.length + bx.length);
  const y = new Float64Array(x.length);
  for (let n = 0, a = 0, b = 0; n < x.length; n++) {
    const first = b >= bx.length || (a < ax.length && ax[a] <= bx[b]);
    x[n] = first ? ax[a] : bx[b];
    y[n] = first ? ay[a++] : by[b++];
  }
  return [x, y];
}

export { Ring };
