// A list of any length of which only the visible rows are elements.

// Browsers lose precision in elements of more than some 30 million pixels; longer lists scroll in larger steps.
const TALLEST = 15_000_000;

export class VirtualList {
  /** `render(i)` makes row `i`; while `stamp(i)` is the same, the row stays as it is, so that clicks are not lost. */
  constructor(box, { rowHeight, render, stamp }) {
    Object.assign(this, { box, rowHeight, render, stamp, count: 0, rows: new Map() });
    this.sizer = document.createElement("div");
    this.sizer.className = "sizer";
    this.sizer.setAttribute("role", "presentation");
    box.append(this.sizer);
    box.addEventListener("scroll", () => this.soon(), { passive: true });
    this.observer = new ResizeObserver(() => this.soon());
    this.observer.observe(box);
  }

  /** States how many rows there are, and renews those that changed. */
  set(count) {
    this.count = count;
    this.sizer.style.setProperty("height", `${Math.min(count * this.rowHeight, TALLEST)}px`);
    this.draw();
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.draw(); });
  }

  /** How much further the rows move than the scroll bar: 1 but in huge lists. */
  ratio() {
    const view = this.box.clientHeight;
    const tall = this.count * this.rowHeight;
    return tall > TALLEST ? (tall - view) / (TALLEST - view) : 1;
  }

  draw() {
    const { rowHeight, rows, box } = this;
    const top = box.scrollTop * this.ratio();
    const first = Math.max(0, Math.floor(top / rowHeight) - 3);
    const end = Math.min(this.count, Math.ceil((top + box.clientHeight) / rowHeight) + 3);
    for (const [at, row] of rows) {
      if (at < first || at >= end) { row.element.remove(); rows.delete(at); }
    }
    for (let at = first; at < end; at += 1) {
      const stamp = this.stamp(at);
      let row = rows.get(at);
      if (row?.stamp !== stamp) {
        const element = this.render(at);
        if (row) row.element.replaceWith(element); else this.sizer.append(element);
        rows.set(at, row = { stamp, element });
      }
      row.element.style.setProperty("transform", `translateY(${box.scrollTop + at * rowHeight - top}px)`);
    }
    this.drawn?.();
  }

  /** Scrolls as little as needed to show row `at`. */
  reveal(at) {
    const { box, rowHeight } = this;
    const ratio = this.ratio();
    const top = box.scrollTop * ratio;
    const view = box.clientHeight;
    if (at * rowHeight < top) box.scrollTop = at * rowHeight / ratio;
    else if ((at + 1) * rowHeight > top + view) box.scrollTop = ((at + 1) * rowHeight - view) / ratio;
    this.draw();
  }

  /** Whether the last row is in view. */
  atEnd() {
    return (this.box.scrollTop * this.ratio()) + this.box.clientHeight >= (this.count - 1) * this.rowHeight;
  }
}
